/* SPDX-License-Identifier: GPL-2.0 */

#ifndef _LINUX_IOMMU_LIVEUPDATE_H
#define _LINUX_IOMMU_LIVEUPDATE_H

#include <linux/compiler.h>
#include <linux/kho/abi/iommu.h>
#include <linux/types.h>

struct device;
struct iommu_domain;
struct liveupdate_file_handler;

/**
 * struct iommu_liveupdate_ops - What a driver of IOMMUs does for live update
 * @preserve_device:   Keep, for the next kernel, the tables of the IOMMU that lead
 *                     to the entry of a device, which is attached to a domain
 *                     with these page tables, which are preserved. Fills in the
 *                     unit, and the domain id of the device. Returns -EOPNOTSUPP
 *                     for a device whose entry is not all that there is to hand
 *                     over, or does not lead to these page tables.
 * @unpreserve_device: Undo @preserve_device.
 * @restore_domain:    Make a domain of page tables that the previous kernel
 *                     preserved, without writing to them. Attaching a device that
 *                     was preserved with it must not touch the entry of that.
 *
 * All are called in process context. @preserve_device and @unpreserve_device are
 * called one at a time.
 */
struct iommu_liveupdate_ops {
	int (*preserve_device)(struct device *dev,
			       const struct pt_iommu_ser *table,
			       struct iommu_dev_ser *ser,
			       struct iommu_unit_ser *unit);
	void (*unpreserve_device)(struct device *dev);
	struct iommu_domain *(*restore_domain)(struct device *dev,
					       const struct pt_iommu_ser *ser);
};

#ifdef CONFIG_IOMMU_LIVEUPDATE
/**
 * iommu_liveupdate_register_flb - Let a file handler preserve domains
 * @fh: A handler of the LUO for files that stand for IO address spaces
 *
 * Links the file-lifecycle-bound object of the IOMMU core to @fh. That is undone
 * when @fh is unregistered. It is a part of what the compatible string of @fh
 * stands for.
 *
 * Context: Process context, right after @fh was registered, before any of its
 * files can be preserved.
 *
 * Return: 0, or a negative errno: -EOPNOTSUPP if live update is disabled,
 * -EEXIST if @fh is linked already, -ENOSPC or -ENOMEM.
 */
int iommu_liveupdate_register_flb(struct liveupdate_file_handler *fh);

/**
 * iommu_liveupdate_preserve - Preserve a domain for a device
 * @domain: A domain, whose page tables must not change until it is unpreserved
 * @dev:    A PCI device that is attached to it, and must stay so until then
 *
 * Called for each device of the domain. The device goes on with DMA through the
 * kexec and into the next kernel. The caller must see to it that all memory that
 * is mapped is preserved, and in its freeze callback that @dev is still alone in
 * its group, see iommu_liveupdate_is_alone().
 *
 * Context: The preserve callback of a handler for which
 * iommu_liveupdate_register_flb() was called.
 *
 * Return: 0, or a negative errno, with which nothing has changed: -EOPNOTSUPP if
 * the IOMMU, the domain or the device is of a kind that cannot be handed over;
 * -ENODEV if it is not a PCI device behind an IOMMU; -EBUSY if it is not alone in
 * its group, or is preserved already; -ENOSPC if there are too many IOMMUs, or
 * devices in the domain;
 * -ENOENT if iommu_liveupdate_register_flb() was not called; -ENOMEM.
 */
int iommu_liveupdate_preserve(struct iommu_domain *domain, struct device *dev);

/**
 * iommu_liveupdate_unpreserve - Undo iommu_liveupdate_preserve()
 * @domain: The domain
 * @dev:    The device, which is still attached to the domain
 *
 * Context: Process context, while a file is preserved of the handler for which
 * iommu_liveupdate_register_flb() was called.
 */
void iommu_liveupdate_unpreserve(struct iommu_domain *domain,
				 struct device *dev);

/**
 * iommu_liveupdate_is_final - Whether the next kernel is about to take over
 *
 * From when the reboot notifiers are called, before devices are shut down, what
 * is handed over must not change any more.
 *
 * Context: Any.
 *
 * Return: Whether the machine is rebooting into the next kernel. There is no way
 * back.
 */
bool iommu_liveupdate_is_final(void);

bool iommu_liveupdate_is_alone(struct device *dev);

/* Stops the kernel, because the tables of a unit are not what it was told. */
void iommu_liveupdate_lost(const char *unit, const char *reason) __noreturn;

/* For the IOMMU core. A device goes away, and be it one that was handed over. */
void iommu_liveupdate_release_device(struct device *dev);

/*
 * For the IOMMU core. Stops the kernel if a device was handed over that is about
 * to be let go of, although it has not gone away.
 */
void iommu_liveupdate_assert_unused(struct device *dev);

/*
 * For the IOMMU core. The domain that the previous kernel preserved with a
 * device, or NULL if it did not. It is not attached yet.
 */
struct iommu_domain *iommu_liveupdate_restored_domain(struct device *dev);

/*
 * For drivers of IOMMUs. What the previous kernel said of a unit, by the
 * physical address of its registers. Returns the index by which devices refer to
 * it, or -ENOENT if the previous kernel did not list the unit.
 */
int iommu_liveupdate_find_unit(u64 registers, struct iommu_unit_ser *unit);

/* The same of a device. @table may be NULL, or is filled in as well. */
int iommu_liveupdate_find_device(u32 segment, u16 bdf,
				 struct iommu_dev_ser *ser,
				 struct pt_iommu_ser *table);

/* How many devices behind a unit the previous kernel listed. */
u32 iommu_liveupdate_nr_devices(u64 registers);

/* Says that the tables of a unit are in use by this kernel now. */
void iommu_liveupdate_adopted(u64 registers);

/* Stops the kernel if an IOMMU that is handed over would be switched off. */
void iommu_liveupdate_assert_none(void);

/* The same, and if a device that is handed over was not set up. */
void iommu_liveupdate_assert_all(void);
#else
static inline struct iommu_domain *
iommu_liveupdate_restored_domain(struct device *dev)
{
	return NULL;
}

static inline void iommu_liveupdate_release_device(struct device *dev)
{
}

static inline void iommu_liveupdate_assert_unused(struct device *dev)
{
}

static inline void iommu_liveupdate_assert_none(void)
{
}
#endif /* CONFIG_IOMMU_LIVEUPDATE */

#endif /* _LINUX_IOMMU_LIVEUPDATE_H */
