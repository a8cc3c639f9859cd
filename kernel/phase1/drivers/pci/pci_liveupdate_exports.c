// SPDX-License-Identifier: GPL-2.0
/*
 * What pci_liveupdate.rs offers to drivers that are modules. Rust code cannot
 * export C functions by itself.
 */

#include <linux/export.h>
#include <linux/pci_liveupdate.h>

/* vfio-pci is the only driver that uses them so far. */
#define EXPORT_RUST_FUNCTION(name) EXPORT_SYMBOL_FOR_MODULES(name, "vfio-pci")

EXPORT_RUST_FUNCTION(pci_liveupdate_register_flb);
EXPORT_RUST_FUNCTION(pci_liveupdate_preserve);
EXPORT_RUST_FUNCTION(pci_liveupdate_unpreserve);
EXPORT_RUST_FUNCTION(pci_liveupdate_retrieve);
EXPORT_RUST_FUNCTION(pci_liveupdate_finish);
EXPORT_RUST_FUNCTION(pci_liveupdate_write_state);
EXPORT_RUST_FUNCTION(pci_liveupdate_read_state);
