// SPDX-License-Identifier: GPL-2.0
/*
 * What iommu_liveupdate.rs offers to iommufd, which can be a module. Rust code
 * cannot export C functions by itself.
 */

#include <linux/export.h>
#include <linux/iommu-liveupdate.h>

EXPORT_SYMBOL_FOR_MODULES(iommu_liveupdate_register_flb, "iommufd");
EXPORT_SYMBOL_FOR_MODULES(iommu_liveupdate_preserve, "iommufd");
EXPORT_SYMBOL_FOR_MODULES(iommu_liveupdate_unpreserve, "iommufd");
