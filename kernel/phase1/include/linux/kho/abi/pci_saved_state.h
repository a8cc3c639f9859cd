/* SPDX-License-Identifier: GPL-2.0 */

#ifndef _LINUX_KHO_ABI_PCI_SAVED_STATE_H
#define _LINUX_KHO_ABI_PCI_SAVED_STATE_H

#include <linux/compiler.h>
#include <linux/types.h>

/**
 * DOC: PCI saved state ABI
 *
 * A driver that gives its device to a user saves the configuration space of the
 * device first, and restores it when it takes the device back. If the device
 * crosses a live update in between, the next kernel cannot save that state
 * again: it finds the device as its user has set it up. So the state is handed
 * over, as a part of what the driver hands over for the device.
 *
 * It consists of one &struct pci_saved_state_ser, which is followed by the
 * capabilities that were saved, each with a &struct pci_saved_cap_ser and its
 * contents, without gaps. All numbers are in the byte order of the machine.
 *
 * The next kernel checks that the state is one of the device that it finds:
 * that vendor and device are the same, and that the capabilities are those that
 * it saves, with the same sizes. If not it refuses the state, and the driver's
 * file cannot be retrieved. It does not restore the BARs, the address of the
 * expansion ROM and the interrupt line, but what it has assigned itself.
 *
 * The contents of a capability are in the form of the buffer in which the kernel
 * saves it. So that form is a part of the interface: to save more registers of
 * a capability, or in another order, or another capability, needs a new version.
 *
 * This interface is a contract. A change of the layout or of the meaning of a
 * field needs a new version, which kernels that do not know it refuse. @version
 * stays where it is forever. As that shows only when a device is retrieved, the
 * drivers that hand over such a state change their compatible strings as well.
 */

/* The version of this interface */
#define PCI_SAVED_STATE_SER_VERSION	1

/**
 * struct pci_saved_state_ser - The saved state of a device.
 * @version:      %PCI_SAVED_STATE_SER_VERSION. Must remain the first field.
 * @size:         Size in bytes of this struct and of what follows.
 * @config_space: The first 64 bytes of the configuration space, as read by the
 *                dword.
 */
struct pci_saved_state_ser {
	u32 version;
	u32 size;
	u32 config_space[16];
} __packed;

/**
 * struct pci_saved_cap_ser - The saved contents of one capability.
 * @cap_nr:   The ID of the capability.
 * @extended: 1 for an extended capability, else 0.
 * @size:     Size in bytes of the contents that follow, not zero. Their form is
 *            that in which the kernel saves this capability. The next one
 *            begins right after them, aligned or not.
 */
struct pci_saved_cap_ser {
	u16 cap_nr;
	u16 extended;
	u32 size;
} __packed;

#endif /* _LINUX_KHO_ABI_PCI_SAVED_STATE_H */
