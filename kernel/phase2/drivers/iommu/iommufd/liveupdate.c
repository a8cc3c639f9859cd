// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which parts of an iommufd can be preserved across a live update, and how they
 * are kept from changing while they are.
 */
#include <linux/fs.h>
#include <linux/iommu-liveupdate.h>
#include <linux/liveupdate.h>
#include <linux/memfd.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>
#include <uapi/linux/fcntl.h>

#include "io_pagetable.h"
#include "iommufd_private.h"

/* A device that is preserved, with the page table that it is attached to. */
struct iommufd_preserved {
	struct list_head item;
	struct iommufd_hw_pagetable *hwpt;
	struct device *dev;
};

/* Taken around everything that changes an iommufd, which can be refused. */
int iommufd_liveupdate_begin(struct iommufd_ctx *ictx)
{
	down_read(&ictx->liveupdate_rwsem);
	if (list_empty(&ictx->preserved))
		return 0;
	up_read(&ictx->liveupdate_rwsem);
	return -EBUSY;
}

/* The same for what cannot be refused: a device goes away. */
void iommufd_liveupdate_hold(struct iommufd_ctx *ictx)
{
	down_read(&ictx->liveupdate_rwsem);
}

void iommufd_liveupdate_end(struct iommufd_ctx *ictx)
{
	up_read(&ictx->liveupdate_rwsem);
}

/* The memory must be that of files which cannot be made shorter. */
static int iommufd_check_pages(struct iopt_pages *pages)
{
	const int seals = F_SEAL_SEAL | F_SEAL_GROW | F_SEAL_SHRINK;
	int has;

	if (pages->type != IOPT_ADDRESS_FILE)
		return -EINVAL;

	has = memfd_get_seals(pages->file);
	if (has < 0)
		return -EINVAL;
	return (has & seals) == seals ? 0 : -EPERM;
}

static int iommufd_for_each_pages(struct iommufd_ioas *ioas,
				  int (*check)(struct iopt_pages *pages,
					       void *data),
				  void *data)
{
	struct io_pagetable *iopt = &ioas->iopt;
	struct iopt_area *area;
	int ret;

	guard(rwsem_read)(&iopt->iova_rwsem);
	for (area = iopt_area_iter_first(iopt, 0, ULONG_MAX); area;
	     area = iopt_area_iter_next(area, 0, ULONG_MAX)) {
		/* Not even set up yet */
		if (!area->pages)
			return -EBUSY;
		ret = check(area->pages, data);
		if (ret)
			return ret;
	}
	return 0;
}

static int iommufd_check_area(struct iopt_pages *pages, void *data)
{
	return iommufd_check_pages(pages);
}

static int iommufd_check_hwpt(struct iommufd_hw_pagetable *hwpt)
{
	struct iommufd_hwpt_paging *paging;

	if (!hwpt_is_paging(hwpt) || hwpt->fault || !hwpt->domain ||
	    hwpt->domain->dirty_ops)
		return -EOPNOTSUPP;

	paging = to_hwpt_paging(hwpt);
	if (paging->nest_parent)
		return -EOPNOTSUPP;

	return iommufd_for_each_pages(paging->ioas, iommufd_check_area, NULL);
}

static int iommufd_preserve_device(struct iommufd_ctx *ictx,
				   struct iommufd_device *idev)
{
	struct iommufd_group *igroup = idev->igroup;
	struct iommufd_preserved *preserved;
	struct iommufd_attach *attach;
	unsigned long pasid = IOMMU_NO_PASID;
	int ret;

	guard(mutex)(&igroup->lock);

	attach = xa_load(&igroup->pasid_attach, IOMMU_NO_PASID);
	if (xa_find_after(&igroup->pasid_attach, &pasid, ULONG_MAX, XA_PRESENT))
		return -EOPNOTSUPP;
	/* It does no DMA, and does not need anything of this */
	if (!attach || !attach->hwpt)
		return 0;

	ret = iommufd_check_hwpt(attach->hwpt);
	if (ret)
		return ret;

	preserved = kzalloc_obj(*preserved);
	if (!preserved)
		return -ENOMEM;

	ret = iommu_liveupdate_preserve(attach->hwpt->domain, idev->dev);
	if (ret) {
		kfree(preserved);
		return ret;
	}

	/* One that was made for the devices would go away with them */
	refcount_inc(&attach->hwpt->obj.users);
	preserved->hwpt = attach->hwpt;
	preserved->dev = get_device(idev->dev);
	list_add_tail(&preserved->item, &ictx->preserved);
	return 0;
}

static void __iommufd_unpreserve(struct iommufd_ctx *ictx)
{
	struct iommufd_preserved *preserved, *next;

	list_for_each_entry_safe_reverse(preserved, next, &ictx->preserved,
					 item) {
		iommu_liveupdate_unpreserve(preserved->hwpt->domain,
					    preserved->dev);
		list_del(&preserved->item);
		put_device(preserved->dev);
		iommufd_hw_pagetable_put(ictx, preserved->hwpt);
		kfree(preserved);
	}
}

/* Preserves all page tables that devices are attached to. */
int iommufd_liveupdate_preserve(struct iommufd_ctx *ictx, u32 *nr_devices)
{
	struct iommufd_object *obj;
	unsigned long index;
	int ret = 0;

	guard(rwsem_write)(&ictx->liveupdate_rwsem);

	*nr_devices = 0;
	xa_for_each(&ictx->objects, index, obj) {
		switch (obj->type) {
		case IOMMUFD_OBJ_DEVICE:
			ret = iommufd_preserve_device(
				ictx,
				container_of(obj, struct iommufd_device, obj));
			(*nr_devices)++;
			break;
		case IOMMUFD_OBJ_IOAS:
		case IOMMUFD_OBJ_HWPT_PAGING:
			break;
		default:
			ret = -EOPNOTSUPP;
		}
		if (ret)
			goto err_unpreserve;
	}

	/* There is nothing to preserve */
	if (list_empty(&ictx->preserved))
		return -ENODEV;
	return 0;

err_unpreserve:
	__iommufd_unpreserve(ictx);
	return ret;
}

void iommufd_liveupdate_unpreserve(struct iommufd_ctx *ictx)
{
	guard(rwsem_write)(&ictx->liveupdate_rwsem);
	__iommufd_unpreserve(ictx);
}

static int iommufd_check_in_session(struct iopt_pages *pages, void *session)
{
	u64 token;

	return liveupdate_get_token_outgoing(session, pages->file, &token);
}

/* Whatever it depends on is preserved by now, or is not going to be. */
int iommufd_liveupdate_freeze(struct iommufd_ctx *ictx,
			      struct liveupdate_session *session)
{
	struct iommufd_preserved *preserved;
	int ret;

	guard(rwsem_read)(&ictx->liveupdate_rwsem);

	list_for_each_entry(preserved, &ictx->preserved, item) {
		if (!pci_liveupdate_outgoing(to_pci_dev(preserved->dev)))
			return -ENODEV;
		if (iommu_get_domain_for_dev(preserved->dev) !=
		    preserved->hwpt->domain)
			return -ENXIO;
		ret = iommufd_for_each_pages(
			to_hwpt_paging(preserved->hwpt)->ioas,
			iommufd_check_in_session, session);
		if (ret)
			return ret;
	}
	return 0;
}
