/* SPDX-License-Identifier: GPL-2.0 */

#ifndef _LINUX_PCI_LIVEUPDATE_H
#define _LINUX_PCI_LIVEUPDATE_H

#include <linux/compiler.h>
#include <linux/pci.h>

struct liveupdate_file_handler;

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

/**
 * pci_liveupdate_write_state - Write down a saved state for the next kernel
 * @state:  A state that pci_store_saved_state() or pci_liveupdate_read_state()
 *          returned
 * @buffer: Memory that is going to be handed over
 * @size:   Its size in bytes
 *
 * Writes a &struct pci_saved_state_ser, with the saved capabilities.
 *
 * Context: Process context.
 *
 * Return: 0, or -ENOSPC if the state does not fit.
 */
int pci_liveupdate_write_state(const struct pci_saved_state *state,
			       void *buffer, size_t size);

/**
 * pci_liveupdate_read_state - Read a saved state of the previous kernel
 * @dev:    A device that pci_liveupdate_retrieve() returned
 * @buffer: What pci_liveupdate_write_state() wrote
 * @size:   Its size in bytes, or more
 *
 * The state is neither restored nor loaded into @dev, but is checked to be one
 * that can be. BARs, the address of the expansion ROM and the interrupt line are
 * those that this kernel has assigned.
 *
 * Context: The retrieve callback of the handler.
 *
 * Return: The state, to be given to pci_load_and_free_saved_state() or kfree(),
 * or an ERR_PTR(): -EINVAL if it is not a state that this kernel could have
 * saved of @dev, -ENODEV if it is that of another kind of device, -EIO if @dev
 * does not answer, -ENOMEM.
 */
struct pci_saved_state *pci_liveupdate_read_state(struct pci_dev *dev,
						  const void *buffer,
						  size_t size);

/**
 * pci_liveupdate_incoming - Whether the previous kernel preserved a device
 * @dev: Any PCI device
 *
 * Until pci_liveupdate_finish() is called for it, such a device belongs to
 * whoever retrieves it. It may be running, and must be left alone by all others.
 *
 * Context: Any. The answer changes once, from true to false.
 *
 * Return: Whether @dev, or a device below it, is preserved and not finished.
 */
static inline bool pci_liveupdate_incoming(struct pci_dev *dev)
{
	return READ_ONCE(dev->liveupdate_incoming);
}
#else
static inline bool pci_liveupdate_incoming(struct pci_dev *dev)
{
	return false;
}
#endif /* CONFIG_PCI_LIVEUPDATE */

#endif /* _LINUX_PCI_LIVEUPDATE_H */
