// SPDX-License-Identifier: GPL-2.0-only

//! Host tests of `vfio_pci_liveupdate`: the record by which kernels tell each other about a vfio-pci device.
//!
//! The expectations come from the ABI, `include/linux/kho/abi/vfio_pci.h`. What is in the saved state is the matter of the
//! PCI core, and of the tests of `pci_liveupdate`; that it gets there and back is that of [`fuzz`].

// The kernel formats its sources by rules of its own.
#[rustfmt::skip]
#[path = "../../../phase1/drivers/vfio/pci/vfio_pci_liveupdate/handover.rs"]
mod handover;
#[rustfmt::skip]
// What is asked of the device is the business of the PCI core.
#[allow(dead_code)]
#[path = "../../../phase1/drivers/pci/pci_liveupdate/state_record.rs"]
mod state_record;

// As they are in the tests of the PCI core.
#[path = "../pci_liveupdate/state_corpus.rs"]
mod state_corpus;
#[path = "../pci_liveupdate/state_image.rs"]
mod state_image;

mod encoding;
mod fuzz;
