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
 * the next kernel for which device to recreate the file. Version 1 carries
 * nothing else: the device has been reset before the kexec, so that there is no
 * state to carry.
 *
 * This interface is a contract. Any change of the structure's layout, of the
 * meaning of a field, or of the state in which the device is handed over is
 * incompatible. Such a change requires a new VFIO_PCI_LUO_FH_COMPATIBLE, and a
 * kernel refuses to retrieve a file under a string that it does not know. In
 * particular, a kernel that hands over running devices must not use version 1:
 * its successor would take the device for an idle one.
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
#define VFIO_PCI_LUO_FH_COMPATIBLE	"vfio-pci-v1"

#endif /* _LINUX_KHO_ABI_VFIO_PCI_H */
