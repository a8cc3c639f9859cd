// SPDX-License-Identifier: GPL-2.0

//! The saved state of a device as the PCI core keeps it.

use core::{
    mem::{
        offset_of,
        ManuallyDrop, //
    },
    ptr::NonNull,
    slice, //
};

use kernel::{
    bindings::{
        self,
        pci_cap_saved_data,
        pci_saved_state, //
    },
    prelude::*, //
};

use crate::{
    device::Device,
    state_record::{
        self,
        Cap,
        Record,
        Writer,
        ASSIGNED,
        CONFIG_DWORDS, //
    }, //
};

// `state_record` describes the C structs of the ABI, byte by byte, and what the PCI core saves.
const _: () = {
    use bindings::{
        pci_saved_cap_ser,
        pci_saved_state_ser, //
    };

    assert!(state_record::VERSION == bindings::PCI_SAVED_STATE_SER_VERSION);
    assert!(state_record::HEADER_SIZE == size_of::<pci_saved_state_ser>());
    assert!(offset_of!(pci_saved_state_ser, version) == 0);
    assert!(offset_of!(pci_saved_state_ser, size) == 4);
    assert!(offset_of!(pci_saved_state_ser, config_space) == 8);
    assert!(state_record::CAP_HEADER_SIZE == size_of::<pci_saved_cap_ser>());
    assert!(offset_of!(pci_saved_cap_ser, cap_nr) == 0);
    assert!(offset_of!(pci_saved_cap_ser, extended) == 2);
    assert!(offset_of!(pci_saved_cap_ser, size) == 4);
    assert!(size_of::<pci_saved_state>() == 4 * state_record::CONFIG_DWORDS);
    assert!(offset_of!(pci_cap_saved_data, data) == size_of::<pci_cap_saved_data>());
};

/// Writes a state down for the next kernel.
///
/// Fails with [`ENOSPC`] if it does not fit.
///
/// # Safety
///
/// `state` must be one that `pci_store_saved_state()` or [`SavedState::read`] made.
pub(crate) unsafe fn write(state: *const pci_saved_state, buffer: &mut [u8]) -> Result {
    // SAFETY: By the requirements of this function.
    let config = unsafe { &(*state).config_space };
    let mut writer = Writer::new(buffer, config).ok_or(ENOSPC)?;
    // SAFETY: As above; no reference is made.
    let mut cap = unsafe { &raw const (*state).cap }.cast::<pci_cap_saved_data>();

    loop {
        // SAFETY: The capabilities follow each other without gaps, up to one without contents.
        let (nr, extended, size) = unsafe {
            (
                (&raw const (*cap).cap_nr).read_unaligned(),
                (&raw const (*cap).cap_extended).read_unaligned(),
                (&raw const (*cap).size).read_unaligned() as usize,
            )
        };
        if size == 0 {
            return Ok(());
        }

        // SAFETY: That many bytes of contents follow the header.
        let contents = unsafe { slice::from_raw_parts(cap.add(1).cast::<u8>(), size) };
        writer
            .add(Cap {
                nr,
                extended,
                contents,
            })
            .ok_or(ENOSPC)?;
        // SAFETY: The next one begins after the contents.
        cap = unsafe { cap.add(1).byte_add(size) };
    }
}

/// A state that was read.
///
/// # Invariants
///
/// The pointer is that of a state like those that `pci_store_saved_state()` makes, which this
/// object owns.
pub(crate) struct SavedState(NonNull<pci_saved_state>);

impl SavedState {
    /// Reads the state of a device that the previous kernel wrote down.
    ///
    /// Fails with [`EINVAL`] if it is not the state of such a device, with [`ENODEV`] if it is that
    /// of another kind of device, with [`EIO`] if the device does not answer, and with [`ENOMEM`].
    pub(crate) fn read(device: Device<'_>, bytes: &[u8]) -> Result<Self> {
        let record = Record::read(bytes).ok_or(EINVAL)?;

        if record.ids() != device.ids() {
            return Err(ENODEV);
        }
        if !record.has_exactly(&device.saved_caps()) {
            return Err(EINVAL);
        }
        // What the previous kernel has assigned means nothing here.
        let mut config = record.config;
        for (index, dword) in config.iter_mut().enumerate() {
            if ASSIGNED.contains(&index) {
                *dword = device.config_dword(index)?;
            }
        }
        Self::new(&record, config)
    }

    fn new(record: &Record<'_>, config: [u32; CONFIG_DWORDS]) -> Result<Self> {
        const CAP_SIZE: usize = size_of::<pci_cap_saved_data>();

        let size = record
            .caps()
            .map(|cap| CAP_SIZE + cap.contents.len())
            .sum::<usize>()
            + size_of::<pci_saved_state>()
            + CAP_SIZE;
        let words = KVec::from_elem(0u64, size.div_ceil(8), GFP_KERNEL)?;
        let (memory, _, _) = words.into_raw_parts();
        let state = NonNull::new(memory.cast::<pci_saved_state>()).ok_or(ENOMEM)?;

        // SAFETY: The memory is large enough and zeroed.
        unsafe { (*state.as_ptr()).config_space = config };
        // SAFETY: As above; no reference is made.
        let mut next = unsafe { &raw mut (*state.as_ptr()).cap }.cast::<pci_cap_saved_data>();

        for cap in record.caps() {
            // SAFETY: The memory was allocated for all capabilities with their contents, and is
            // zeroed.
            unsafe {
                (&raw mut (*next).cap_nr).write_unaligned(cap.nr);
                (&raw mut (*next).cap_extended).write_unaligned(cap.extended);
                (&raw mut (*next).size).write_unaligned(cap.contents.len() as c_uint);
                next = next.add(1);
                next.cast::<u8>()
                    .copy_from_nonoverlapping(cap.contents.as_ptr(), cap.contents.len());
                next = next.byte_add(cap.contents.len());
            }
        }

        // INVARIANT: The memory comes from `kmalloc()`, and holds the state, which ends with a
        // capability that has no contents.
        Ok(Self(state))
    }

    /// Gives the state away, to be freed with `kfree()`.
    pub(crate) fn into_raw(self) -> *mut pci_saved_state {
        ManuallyDrop::new(self).0.as_ptr()
    }
}

impl Drop for SavedState {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the memory is ours, and comes from `kmalloc()`.
        unsafe { bindings::kfree(self.0.as_ptr().cast()) };
    }
}
