/* SPDX-License-Identifier: GPL-2.0 */

#ifndef _LINUX_PCI_LIVEUPDATE_H
#define _LINUX_PCI_LIVEUPDATE_H

struct liveupdate_file_handler;
struct pci_dev;

#ifdef CONFIG_PCI_LIVEUPDATE
/**
 * pci_liveupdate_register_flb - Let a file handler preserve PCI devices
 * @fh: A handler of the LUO for files that stand for PCI devices
 *
 * Links the file-lifecycle-bound object of the PCI core to @fh. That is undone
 * when @fh is unregistered. It is a part of what the compatible string of @fh
 * stands for.
 *
 * Context: Process context, right after @fh was registered, before any of its
 * files can be preserved.
 *
 * Return: 0, or a negative errno: -EOPNOTSUPP if live update is disabled,
 * -EEXIST if @fh is linked already, -ENOSPC or -ENOMEM.
 */
int pci_liveupdate_register_flb(struct liveupdate_file_handler *fh);

/**
 * pci_liveupdate_preserve - Preserve a device, and the bridges above it
 * @dev: A device that is bound to the driver of the handler
 *
 * The device must stay bound until it is unpreserved.
 *
 * If no IOMMU translates for the device, it goes on with DMA through the kexec,
 * and into the next kernel. The caller must see to it that all memory that the
 * device may access by then is preserved.
 *
 * Context: The preserve callback of a handler for which
 * pci_liveupdate_register_flb() was called.
 *
 * Return: 0, or a negative errno, with which nothing has changed: -EOPNOTSUPP
 * for a virtual function, which the next kernel does not find by scanning the
 * bus, and for a device below a root bus that ACPI does not describe, which it
 * may number differently or find too late; -EINVAL for a bridge; -EBUSY if the
 * device is preserved already; -EOVERFLOW if too many devices below a bridge
 * are; -ENOENT if pci_liveupdate_register_flb() was not called; -ENOMEM.
 */
int pci_liveupdate_preserve(struct pci_dev *dev);

/**
 * pci_liveupdate_unpreserve - Undo pci_liveupdate_preserve()
 * @dev: The device
 *
 * Context: The unpreserve callback of the handler.
 */
void pci_liveupdate_unpreserve(struct pci_dev *dev);

/**
 * pci_liveupdate_retrieve - Look up a device that the previous kernel preserved
 * @domain: The domain (segment) number of the device
 * @bus:    Its bus number
 * @devfn:  Its device and function number
 *
 * To be called for every file, whether or not the file can be retrieved in the
 * end: it tells the PCI core that the device is accounted for.
 *
 * Context: The retrieve callback of the handler.
 *
 * Return: The device, with a reference that must be put with pci_dev_put(), or
 * an ERR_PTR(): -EINVAL if the previous kernel preserved no device at the
 * address, -EBUSY if it was called for the device before, -ENODEV if the device
 * is gone.
 */
struct pci_dev *pci_liveupdate_retrieve(int domain, unsigned int bus,
					unsigned int devfn);

/**
 * pci_liveupdate_finish - Let go of a device that was retrieved
 * @dev: The device, which is bound to the driver of the handler
 *
 * If the driver has not enabled the device, its bus mastering is cleared.
 *
 * Context: The finish callback of the handler.
 */
void pci_liveupdate_finish(struct pci_dev *dev);
#endif /* CONFIG_PCI_LIVEUPDATE */

#endif /* _LINUX_PCI_LIVEUPDATE_H */
