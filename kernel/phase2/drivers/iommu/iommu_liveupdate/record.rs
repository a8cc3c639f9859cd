// SPDX-License-Identifier: GPL-2.0

//! What one kernel writes for the next, field by field.
//!
//! Pure data, like [`handover`](crate::handover), which reads it.

use crate::handover::{
    Device,
    Page,
    Table,
    Unit,
    DEVICE_SIZE,
    DOMAIN_SIZE,
    HEADER_SIZE,
    SCALABLE,
    UNIT_SIZE,
    VERSION, //
};

/// Writes bytes at an offset. None are written outside of the page.
fn put<const N: usize>(page: &mut Page, at: usize, bytes: [u8; N]) {
    if let Some(to) = page.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *to = bytes;
    }
}

/// A page with a `struct iommu_ser`.
pub(crate) mod header {
    use super::*;

    /// Begins a header with neither units nor domains.
    pub(crate) fn clear(page: &mut Page) {
        page.fill(0);
        put(page, 0, VERSION.to_ne_bytes());
    }

    /// Sets where the list of domains begins, and how many there are.
    pub(crate) fn set_domains(page: &mut Page, first: u64, count: u32) {
        put(page, 8, count.to_ne_bytes());
        put(page, 16, first.to_ne_bytes());
    }

    /// Sets the number of units.
    pub(crate) fn set_nr_units(page: &mut Page, count: u32) {
        put(page, 4, count.to_ne_bytes());
    }

    /// Sets a unit.
    pub(crate) fn set_unit(page: &mut Page, index: usize, unit: Unit) {
        let at = HEADER_SIZE + index * UNIT_SIZE;
        let mode = if unit.scalable { SCALABLE } else { 0 };

        put(page, at, unit.registers.to_ne_bytes());
        put(page, at + 8, unit.root.to_ne_bytes());
        put(page, at + 16, mode.to_ne_bytes());
        put(page, at + 20, 0u32.to_ne_bytes());
    }
}

/// A page with a `struct iommu_domain_ser`.
pub(crate) mod domain {
    use super::*;

    /// Sets where the next one is.
    pub(crate) fn set_next(page: &mut Page, next: u64) {
        put(page, 0, next.to_ne_bytes());
    }

    /// Sets the page tables.
    pub(crate) fn set_table(page: &mut Page, table: Table) {
        put(page, 8, table.0);
    }

    /// Sets the number of devices.
    pub(crate) fn set_nr_devices(page: &mut Page, count: u32) {
        put(page, 40, count.to_ne_bytes());
    }

    /// Sets a device.
    pub(crate) fn set_device(page: &mut Page, index: usize, device: Device) {
        let at = DOMAIN_SIZE + index * DEVICE_SIZE;

        put(page, at, device.segment.to_ne_bytes());
        put(page, at + 4, device.bdf.to_ne_bytes());
        put(page, at + 6, device.did.to_ne_bytes());
        put(page, at + 8, device.unit.to_ne_bytes());
        put(page, at + 12, 0u32.to_ne_bytes());
    }
}
