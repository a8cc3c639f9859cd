/* SPDX-License-Identifier: GPL-2.0 */

/*
 * What one kernel tells the next about files of iommufd.
 */

#ifndef _LINUX_KHO_ABI_IOMMUFD_H
#define _LINUX_KHO_ABI_IOMMUFD_H

#include <linux/types.h>

/**
 * DOC: iommufd Live Update ABI
 *
 * The iommufd handler uses the ABI defined below for handing over its files
 * across a kexec reboot using the LUO.
 *
 * The data of a file is one &struct iommufd_ser. The page tables of its devices
 * are in the file-lifecycle-bound object of the IOMMU core, see
 * include/linux/kho/abi/iommu.h, which goes with each file, and so does that of
 * the PCI core.
 *
 * This interface is a contract. Any change of the structure's layout, of the
 * meaning of a field, or of the file-lifecycle-bound objects that go with the
 * files is incompatible and needs a new IOMMUFD_LUO_FH_COMPATIBLE.
 */

/**
 * struct iommufd_ser - Handed over for each iommufd file.
 * @nr_devices: Number of devices that are preserved with it, those that were
 *              detached or taken away since included. For the log so far.
 */
struct iommufd_ser {
	u64 nr_devices;
} __packed;

/* The compatibility string for the iommufd file handler */
#define IOMMUFD_LUO_FH_COMPATIBLE	"iommufd-running-v1"

#endif /* _LINUX_KHO_ABI_IOMMUFD_H */
