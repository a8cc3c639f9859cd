// SPDX-License-Identifier: GPL-2.0
/*
 * What iommu_liveupdate.rs offers to iommufd, which can be a module. Rust code
 * cannot export C functions by itself.
 */

#include <linux/export.h>
#include <linux/iommu-liveupdate.h>

/* iommufd is the only user. */
#define EXPORT_RUST_FUNCTION(name) EXPORT_SYMBOL_FOR_MODULES(name, "iommufd")

EXPORT_RUST_FUNCTION(iommu_liveupdate_register_flb);
EXPORT_RUST_FUNCTION(iommu_liveupdate_preserve);
EXPORT_RUST_FUNCTION(iommu_liveupdate_unpreserve);
EXPORT_RUST_FUNCTION(iommu_liveupdate_is_final);
