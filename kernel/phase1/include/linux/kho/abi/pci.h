/* SPDX-License-Identifier: GPL-2.0 */

#ifndef _LINUX_KHO_ABI_PCI_H
#define _LINUX_KHO_ABI_PCI_H

#include <linux/compiler.h>
#include <linux/types.h>

/**
 * DOC: PCI Live Update ABI
 *
 * The PCI core uses the ABI defined below for telling the next kernel, across a
 * kexec reboot using the LUO, which devices go on without it.
 *
 * It is the file-lifecycle-bound (FLB) object of the files that stand for PCI
 * devices. The object is one &struct pci_ser. It leads to a list of KHO
 * serialization blocks with entries of type &struct pci_dev_ser: one for each
 * preserved device, and one for each bridge between such a device and its root
 * bus. An entry whose @refcount is zero is free and has no meaning. The order
 * of entries has no meaning either.
 *
 * Devices are named by their address. The next kernel must keep segment and bus
 * numbers as it finds them in the bridges. Each device that is not a bridge
 * comes with exactly one file. If the next kernel finds that anything of this
 * is not so, it panics.
 *
 * An IOMMU that is handed over translating is told by the version, see
 * PCI_LUO_FLB_LIVE_TRANSLATION.
 *
 * Bus mastering is left on for a preserved device whose DMA remains valid in
 * the next kernel, and for the bridges above it. The previous kernel has
 * switched it off for all others. So a device that is listed may be running,
 * and must be taken for one that is.
 *
 * This interface is a contract. A kernel that cannot make sense of what it was
 * handed must not go on, as it cannot tell which devices access memory. So a
 * change of the layout or of the meaning of a field needs a new version, and
 * not a new compatible string: that of an unknown string is data that nobody
 * reads. For the same reason @version stays where it is forever. Fields can be
 * added at the end of &struct pci_ser, with a new version, which kernels that
 * do not know it refuse.
 */

/* The compatibility string of the FLB */
#define PCI_LUO_FLB_COMPATIBLE	"pci"

/* The version of this interface */
#define PCI_LUO_FLB_VERSION	2

/*
 * Added to the version by a kernel that hands over an IOMMU which translates
 * for the preserved devices. A kernel that does not know how to take that over
 * must not get to switch the translation off. This is checked when the first
 * PCI device is found, which is before VT-d is initialised for DMA. An IOMMU
 * that is enabled earlier, such as AMD's with interrupt remapping, needs an
 * earlier check before this may be used.
 */
#define PCI_LUO_FLB_LIVE_TRANSLATION	0x80000000

/**
 * struct pci_ser - What one kernel tells the next about PCI devices.
 * @version:    %PCI_LUO_FLB_VERSION, with %PCI_LUO_FLB_LIVE_TRANSLATION if that
 *              applies. Must remain the first field.
 * @nr_devices: Number of entries that are in use, bridges included.
 * @devices:    Physical address of the first KHO serialization block, or zero
 *              if there is none.
 */
struct pci_ser {
	u32 version;
	u32 nr_devices;
	u64 devices;
} __packed;

/**
 * struct pci_dev_ser - A preserved device, or a bridge above one.
 * @domain:   PCI domain (segment) number of the device, at most INT_MAX. 32
 *            bits, because the domains of VMD begin at 0x10000.
 * @bdf:      Bus number of the device in the upper, device and function number
 *            in the lower eight bits.
 * @refcount: Number of preserved devices at or below this one. Zero if the
 *            entry is free.
 */
struct pci_dev_ser {
	u32 domain;
	u16 bdf;
	u16 refcount;
} __packed;

#endif /* _LINUX_KHO_ABI_PCI_H */
