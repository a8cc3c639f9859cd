// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which parts of an iommufd can be preserved across a live update, and how they
 * are kept from changing while they are.
 */
#include <linux/fs.h>
#include <linux/iommu-liveupdate.h>
#include <linux/liveupdate.h>
#include <linux/memfd.h>
#include <linux/notifier.h>
#include <linux/pagemap.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>
#include <linux/reboot.h>
#include <linux/sched/signal.h>
#include <uapi/linux/fcntl.h>

#include "io_pagetable.h"
#include "iommufd_private.h"

/* A device that is preserved, with the page table that it is attached to. */
struct iommufd_preserved {
	struct list_head item;
	struct iommufd_hw_pagetable *hwpt;
	struct device *dev;
	/* The memory is preserved, and the file will not change any more */
	bool checked;
	/* It was detached since, and so is not handed over */
	bool detached;
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

/*
 * The same for what cannot be refused: a device is detached, or goes away. The
 * last reference to the iommufd may go with it, so take another one, unless the
 * device has none: those of the tests go away with the iommufd. Returns whether
 * there is one to be released.
 */
bool iommufd_liveupdate_hold(struct iommufd_device *idev)
{
	bool has_ref = !iommufd_selftest_is_mock_dev(idev->dev);

	if (has_ref)
		iommufd_ctx_get(idev->ictx);
	down_read(&idev->ictx->liveupdate_rwsem);
	return has_ref;
}

void iommufd_liveupdate_release(struct iommufd_ctx *ictx, bool has_ref)
{
	up_read(&ictx->liveupdate_rwsem);
	if (has_ref)
		iommufd_ctx_put(ictx);
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

static int iommufd_check_areas(struct io_pagetable *iopt)
{
	struct iopt_area *area;
	int ret;

	guard(rwsem_read)(&iopt->iova_rwsem);
	for (area = iopt_area_iter_first(iopt, 0, ULONG_MAX); area;
	     area = iopt_area_iter_next(area, 0, ULONG_MAX)) {
		ret = iommufd_check_pages(area->pages);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * What is mapped must be what the file has at the same place. It is not if a
 * hole was punched meanwhile: then the mapped pages belong to nobody but the
 * mapping, and would belong to nobody in the next kernel. From when the file is
 * preserved on, that cannot happen any more.
 *
 * A folio was mapped as a whole if its first page was, as folios do not grow.
 */
static int iommufd_check_backing(struct iopt_area *area,
				 struct iommu_domain *domain)
{
	struct iopt_pages *pages = area->pages;
	struct address_space *mapping = pages->file->f_mapping;
	unsigned long iova = iopt_area_iova(area);
	unsigned long last = iopt_area_last_iova(area);

	while (true) {
		unsigned long start = iopt_area_start_byte(area, iova);
		pgoff_t index = (pages->start + start) >> PAGE_SHIFT;
		struct folio *folio = filemap_get_folio(mapping, index);
		unsigned long nr, length;
		phys_addr_t phys;

		if (IS_ERR(folio))
			return -ESTALE;
		phys = page_to_phys(folio_file_page(folio, index));
		nr = folio_next_index(folio) - index;
		folio_put(folio);

		if (iommu_iova_to_phys(domain, iova) !=
		    phys + offset_in_page(start))
			return -ESTALE;

		length = (nr << PAGE_SHIFT) - offset_in_page(start);
		if (last - iova < length)
			return 0;
		iova += length;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
}

/* Whether all that is mapped is preserved in the session, and is what it was */
static int iommufd_check_memory(struct io_pagetable *iopt,
				struct iommu_domain *domain,
				struct liveupdate_session *session)
{
	struct iopt_area *area;
	int ret;

	guard(rwsem_read)(&iopt->iova_rwsem);
	for (area = iopt_area_iter_first(iopt, 0, ULONG_MAX); area;
	     area = iopt_area_iter_next(area, 0, ULONG_MAX)) {
		ret = liveupdate_get_token_outgoing(session, area->pages->file,
						    NULL);
		if (ret)
			return ret;
		ret = iommufd_check_backing(area, domain);
		if (ret)
			return ret;
	}
	return 0;
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

	return iommufd_check_areas(&paging->ioas->iopt);
}

/* Whether another device has the same page tables, and comes first. */
static bool iommufd_is_checked(struct iommufd_ctx *ictx,
			       struct iommufd_preserved *preserved)
{
	struct iommufd_preserved *other;

	if (preserved->checked)
		return true;
	list_for_each_entry(other, &ictx->preserved, item) {
		if (other == preserved)
			break;
		if (other->hwpt == preserved->hwpt)
			return true;
	}
	return false;
}

/*
 * Checks the memory of all page tables for which that was not done before. Goes
 * on if a file is not preserved: it may be later.
 */
static int iommufd_check_preserved(struct iommufd_ctx *ictx,
				   struct liveupdate_session *session)
{
	struct iommufd_preserved *preserved;
	struct iommufd_hwpt_paging *paging;
	int ret, missing = 0;

	list_for_each_entry(preserved, &ictx->preserved, item) {
		if (iommufd_is_checked(ictx, preserved))
			continue;
		paging = to_hwpt_paging(preserved->hwpt);
		ret = iommufd_check_memory(&paging->ioas->iopt,
					   preserved->hwpt->domain, session);
		if (!ret)
			preserved->checked = true;
		else if (ret == -ENOENT)
			missing = ret;
		else
			return ret;
	}
	return missing;
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
		if (!preserved->detached)
			iommu_liveupdate_unpreserve(preserved->hwpt->domain,
						    preserved->dev);
		list_del(&preserved->item);
		put_device(preserved->dev);
		iommufd_hw_pagetable_put(ictx, preserved->hwpt);
		kfree(preserved);
	}
}

/*
 * The next device from @index on, or NULL. Devices cannot go away meanwhile, as
 * that takes the lock; other objects can.
 */
static struct iommufd_object *iommufd_next_object(struct iommufd_ctx *ictx,
						  unsigned long *index)
{
	struct iommufd_object *obj, *found = NULL;

	xa_lock(&ictx->objects);
	for (; (obj = xa_find(&ictx->objects, index, ULONG_MAX, XA_PRESENT));
	     (*index)++) {
		if (obj->type == IOMMUFD_OBJ_DEVICE) {
			found = obj;
			(*index)++;
			break;
		}
#ifdef CONFIG_IOMMUFD_TEST
		/* It goes with a device of the tests, to which the rest applies */
		if (obj->type == IOMMUFD_OBJ_SELFTEST)
			continue;
#endif
		if (obj->type != IOMMUFD_OBJ_IOAS &&
		    obj->type != IOMMUFD_OBJ_HWPT_PAGING) {
			found = ERR_PTR(-EOPNOTSUPP);
			break;
		}
	}
	xa_unlock(&ictx->objects);
	return found;
}

/*
 * Preserves all page tables that devices are attached to, and counts these
 * devices.
 */
int iommufd_liveupdate_preserve(struct iommufd_ctx *ictx,
				struct liveupdate_session *session,
				u64 *nr_devices)
{
	struct iommufd_object *obj;
	unsigned long index = 0;
	int ret = 0;

	/* What is under way may be waiting for userspace. */
	if (!down_write_trylock(&ictx->liveupdate_rwsem))
		return -EBUSY;

	while ((obj = iommufd_next_object(ictx, &index))) {
		struct iommufd_device *idev;

		if (IS_ERR(obj)) {
			ret = PTR_ERR(obj);
			goto err_unpreserve;
		}
		idev = container_of(obj, struct iommufd_device, obj);
		ret = iommufd_preserve_device(ictx, idev);
		if (ret)
			goto err_unpreserve;
	}

	*nr_devices = list_count_nodes(&ictx->preserved);
	if (!*nr_devices) {
		/* There is nothing to preserve */
		ret = -ENODEV;
		goto err_unpreserve;
	}

	/*
	 * What is found out now does not make the reboot take longer. But it can
	 * take long, so let others find out meanwhile that nothing can change.
	 */
	downgrade_write(&ictx->liveupdate_rwsem);
	ret = iommufd_check_preserved(ictx, session);
	up_read(&ictx->liveupdate_rwsem);
	if (!ret || ret == -ENOENT)
		return 0;

	/* The session is locked, so nobody else does this. */
	down_write(&ictx->liveupdate_rwsem);
err_unpreserve:
	__iommufd_unpreserve(ictx);
	up_write(&ictx->liveupdate_rwsem);
	return ret;
}

static struct iommufd_preserved *
iommufd_find_preserved(struct iommufd_device *idev)
{
	struct iommufd_preserved *preserved;

	list_for_each_entry(preserved, &idev->ictx->preserved, item) {
		if (preserved->dev == idev->dev && !preserved->detached)
			return preserved;
	}
	return NULL;
}

/*
 * On the way to the next kernel, tasks end wherever they are. None may be in the
 * midst of changing what that one is going to read.
 */
static DECLARE_RWSEM(iommufd_reboot_rwsem);
static bool iommufd_reboot_has_begun;

/*
 * A device is about to be detached, which cannot be refused any more. If it is
 * preserved, its DMA ends with this kernel, and freezing fails from now on. It
 * may have succeeded already: then the next kernel does not find the device.
 *
 * Returns false if it is too late, because the reboot has begun. Then nothing may
 * be done to the device, which the next kernel takes over as it is. All that it
 * has in this kernel is kept until then.
 */
bool iommufd_liveupdate_detach(struct iommufd_device *idev)
{
	struct iommufd_preserved *preserved;

	guard(rwsem_read)(&iommufd_reboot_rwsem);
	guard(mutex)(&idev->ictx->preserved_lock);

	preserved = iommufd_find_preserved(idev);
	if (!preserved)
		return true;
	if (iommufd_reboot_has_begun) {
		dev_info(idev->dev, "is not detached any more, as the reboot has begun\n");
		return false;
	}
	iommu_liveupdate_unpreserve(preserved->hwpt->domain, preserved->dev);
	preserved->detached = true;
	return true;
}

/*
 * Called before devices are shut down. If this is on the way to the next kernel,
 * there is no way back, and nobody closes the file of a device that is preserved.
 */
static int iommufd_liveupdate_reboot(struct notifier_block *nb,
				     unsigned long action, void *data)
{
	guard(rwsem_write)(&iommufd_reboot_rwsem);
	iommufd_reboot_has_begun = iommu_liveupdate_is_final();
	return NOTIFY_DONE;
}

static struct notifier_block iommufd_liveupdate_nb = {
	.notifier_call = iommufd_liveupdate_reboot,
};

int iommufd_liveupdate_register_reboot(void)
{
	return register_reboot_notifier(&iommufd_liveupdate_nb);
}

void iommufd_liveupdate_unregister_reboot(void)
{
	unregister_reboot_notifier(&iommufd_liveupdate_nb);
}

void iommufd_liveupdate_unpreserve(struct iommufd_ctx *ictx)
{
	guard(rwsem_write)(&ictx->liveupdate_rwsem);
	__iommufd_unpreserve(ictx);
}

/* Whatever it depends on is preserved by now, or is not going to be. */
int iommufd_liveupdate_freeze(struct iommufd_ctx *ictx,
			      struct liveupdate_session *session)
{
	struct iommufd_preserved *preserved;

	guard(rwsem_read)(&ictx->liveupdate_rwsem);
	guard(mutex)(&ictx->preserved_lock);

	list_for_each_entry(preserved, &ictx->preserved, item) {
		if (preserved->detached)
			return -ENXIO;
		if (!pci_liveupdate_outgoing(to_pci_dev(preserved->dev)))
			return -ENODEV;
		if (!iommu_liveupdate_is_alone(preserved->dev))
			return -EBUSY;
		if (iommu_get_domain_for_dev(preserved->dev) !=
		    preserved->hwpt->domain)
			return -ENXIO;
	}
	return iommufd_check_preserved(ictx, session);
}
