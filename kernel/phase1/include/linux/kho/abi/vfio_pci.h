/* SPDX-License-Identifier: GPL-2.0 */

#ifndef _LINUX_KHO_ABI_VFIO_PCI_H
#define _LINUX_KHO_ABI_VFIO_PCI_H

#include <linux/compiler.h>
#include <linux/types.h>

/**
 * DOC: vfio-pci Live Update ABI
 *
 * vfio-pci uses the ABI defined below for preserving device files across a
 * kexec reboot using the LUO.
 *
 * For each file one &struct vfio_pci_core_device_ser is handed over. It tells
 * the next kernel where the device of the file was found, and what to restore
 * when the device is closed: the state that was saved before it was first given
 * to its user. The next kernel recreates the file for the device that it finds
 * at the same address. The files depend on the object by which the PCI core
 * hands over the same address, see include/linux/kho/abi/pci.h.
 *
 * The device is handed over in the state in which its user has put it, and must
 * not be reset while it is in use. Its interrupts are off: INTx is disabled,
 * and so are MSI and MSI-X. Its bus mastering is off if DMA cannot go on.
 * Nothing that the kernel has set up for its user is handed over.
 *
 * This interface is a contract. Any change of the structure's layout, of the
 * meaning of a field, of the state in which the device is handed over, or of the
 * file-lifecycle-bound objects that go with the files is incompatible and needs
 * a new VFIO_PCI_LUO_FH_COMPATIBLE. In a kernel that does not know the string
 * of a file, every open of /dev/liveupdate fails: no session can be retrieved
 * or created until that kernel is replaced. The saved state has a version of
 * its own, and a flag that is not defined here makes the file one that cannot
 * be retrieved; the others of its session can. So a new flag must be one that
 * matters to this device.
 */

/**
 * struct vfio_pci_core_device_ser - Handed over for each vfio-pci device file.
 * @domain: PCI domain (segment) number of the device. 32 bits, because the
 *          domains of VMD begin at 0x10000.
 * @bdf:    Bus number of the device in the upper, device and function number in
 *          the lower eight bits.
 * @flags:  %VFIO_PCI_SER_RESET_WORKS if the device can be reset. The others
 *          must be zero.
 * @state:  A &struct pci_saved_state_ser, with the saved capabilities, see
 *          include/linux/kho/abi/pci_saved_state.h. The rest of it is zero.
 */
struct vfio_pci_core_device_ser {
	u32 domain;
	u16 bdf;
	u16 flags;
	u8 state[4088];
} __packed;

#define VFIO_PCI_SER_RESET_WORKS	0x0001

/* The compatibility string for the vfio-pci file handler */
#define VFIO_PCI_LUO_FH_COMPATIBLE	"vfio-pci-running-v1"

#endif /* _LINUX_KHO_ABI_VFIO_PCI_H */
