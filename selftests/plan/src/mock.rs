// SPDX-License-Identifier: GPL-2.0-only

//! Devices behind the kernel's own mock IOMMU (`CONFIG_IOMMUFD_TEST`).

use serde::{Deserialize, Serialize};

/// What such a device is attached to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mock {
    /// Page tables like any other's.
    Plain,
    /// Page tables that others can be nested in.
    NestParent,
    /// Page tables that are nested in others.
    Nested,
    /// Page tables that can tell which pages were written to.
    DirtyTracking,
    /// Page tables, and others for a PASID.
    Pasid,
}
