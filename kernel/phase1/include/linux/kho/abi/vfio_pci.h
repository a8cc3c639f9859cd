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
 * the next kernel where the device of the file was found, and nothing about its
 * state. The next kernel recreates the file for the device that it finds at the
 * same address. The files depend on the object by which the PCI core hands over
 * the same address, see include/linux/kho/abi/pci.h.
 *
 * The device may be running when it is handed over, or may have been stopped by
 * the PCI core. Either way it can be reset, and must be before it is used. Nothing
 * else that it was set up for is handed over.
 *
 * This interface is a contract. Any change of the structure's layout, of the
 * meaning of a field, of the state in which the device is handed over, or of the
 * file-lifecycle-bound objects that go with the files is incompatible and needs
 * a new VFIO_PCI_LUO_FH_COMPATIBLE. In particular, a device that must not be reset
 * must not go by this string. In a kernel that does not know the string of a file,
 * every open of /dev/liveupdate fails: no session can be retrieved or created
 * until that kernel is replaced.
 */

/**
 * struct vfio_pci_core_device_ser - Handed over for each vfio-pci device file.
 * @domain: PCI domain (segment) number of the device. 32 bits, because the
 *          domains of VMD begin at 0x10000.
 * @bdf:    Bus number of the device in the upper, device and function number in
 *          the lower eight bits.
 */
struct vfio_pci_core_device_ser {
	u32 domain;
	u16 bdf;
} __packed;

/* The compatibility string for the vfio-pci file handler */
#define VFIO_PCI_LUO_FH_COMPATIBLE	"vfio-pci-reset-on-open-v1"

#endif /* _LINUX_KHO_ABI_VFIO_PCI_H */
