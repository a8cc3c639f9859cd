// SPDX-License-Identifier: GPL-2.0

//! The entries of a hand-over that is being written.

use core::ptr::NonNull;

use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

use crate::handover::{
    Entry,
    EntryBytes,
    ENTRY_SIZE, //
};

/// Slots for entries, in memory that is preserved across kexec.
///
/// There can be as many as needed. A slot that was given back is used again; memory is freed only
/// with the whole.
///
/// # Invariants
///
/// - `set` is an initialised block set, and `next` an iterator over it that has passed as many
///   entries as there are `slots`.
/// - `slots` are pointers to distinct entries of `set`.
/// - `free` are indices of slots, each once, and has room for as many as there are slots.
pub(crate) struct Blocks {
    set: KBox<Opaque<bindings::kho_block_set>>,
    next: KBox<Opaque<bindings::kho_block_set_it>>,
    slots: KVec<NonNull<EntryBytes>>,
    free: KVec<u32>,
}

// SAFETY: The object owns the memory, which is not bound to a thread.
unsafe impl Send for Blocks {}

impl Blocks {
    /// Creates an empty set.
    pub(crate) fn new() -> Result<Self> {
        let set = KBox::new(Opaque::<bindings::kho_block_set>::uninit(), GFP_KERNEL)?;
        let next = KBox::new(Opaque::<bindings::kho_block_set_it>::uninit(), GFP_KERNEL)?;

        // SAFETY: The memory is ours. It stays where it is, which the list head in it requires,
        // because it is never moved out of the box.
        unsafe { bindings::kho_block_set_init(set.get(), ENTRY_SIZE) };

        // INVARIANT: The set was initialised, and has neither entries nor slots. The iterator is
        // initialised together with the first block, before it is used.
        Ok(Self {
            set,
            next,
            slots: KVec::new(),
            free: KVec::new(),
        })
    }

    /// Physical address of the first block, or zero.
    pub(crate) fn phys(&self) -> u64 {
        // SAFETY: By the type invariants the set is initialised.
        unsafe { (*self.set.get()).head_pa }
    }

    /// Makes sure that `count` slots can be [taken](Self::take).
    pub(crate) fn reserve(&mut self, count: usize) -> Result {
        while self.free.len() < count {
            self.add_slot()?;
        }
        Ok(())
    }

    /// Adds a slot that is free.
    fn add_slot(&mut self) -> Result {
        let index = self.slots.len();
        let number = u32::try_from(index)?;

        self.slots.reserve(1, GFP_KERNEL)?;
        self.free.reserve(index + 1 - self.free.len(), GFP_KERNEL)?;

        let entry = match self.next_entry() {
            Some(entry) => entry,
            None => {
                self.add_block(index)?;
                self.next_entry().ok_or(ENOMEM)?
            }
        };

        // INVARIANT: The iterator went on by one entry, which no other slot points to. There is
        // room for its index.
        self.slots.push_within_capacity(entry).map_err(|_| ENOMEM)?;
        self.free.push_within_capacity(number).map_err(|_| ENOMEM)?;
        Ok(())
    }

    /// Makes room for one more entry than there are slots.
    fn add_block(&mut self, slots: usize) -> Result {
        // SAFETY: By the type invariants the set is initialised; it is borrowed exclusively.
        to_result(unsafe { bindings::kho_block_set_grow(self.set.get(), slots as u64 + 1) })?;

        if slots == 0 {
            // SAFETY: The set is initialised, and lives as long as the iterator.
            unsafe { bindings::kho_block_set_it_init(self.next.get(), self.set.get()) };
        }
        Ok(())
    }

    /// The next entry of the blocks that there are.
    fn next_entry(&mut self) -> Option<NonNull<EntryBytes>> {
        if self.phys() == 0 {
            return None;
        }
        // SAFETY: There is a block, so that by the type invariants the iterator is initialised.
        let entry = unsafe { bindings::kho_block_set_it_reserve_entry(self.next.get()) };

        NonNull::new(entry.cast())
    }

    /// Takes a slot that was [reserved](Self::reserve).
    pub(crate) fn take(&mut self) -> Option<u32> {
        self.free.pop()
    }

    /// Reads the entry in a slot; `None` if the slot is free.
    pub(crate) fn read(&self, slot: u32) -> Option<Entry> {
        let from = self.slots.get(slot as usize)?;
        // SAFETY: By the type invariants this is an entry of the set, which is written only through
        // an exclusive borrow. Its bytes have no alignment.
        let bytes = unsafe { from.read() };

        Entry::decode(&bytes)
    }

    /// Writes the entry in a slot.
    pub(crate) fn write(&mut self, slot: u32, entry: Entry) {
        if let Some(to) = self.slots.get(slot as usize) {
            // SAFETY: By the type invariants this is an entry of the set, which is borrowed
            // exclusively. Its bytes have no alignment.
            unsafe { to.write(entry.encode()) };
        }
    }

    /// Gives a slot back, once, that was taken.
    pub(crate) fn give_back(&mut self, slot: u32) {
        if let Some(to) = self.slots.get(slot as usize) {
            // SAFETY: As for `write`. All zeroes make a free entry.
            unsafe { to.write([0; ENTRY_SIZE]) };
        }
        // By the type invariants there is room for it.
        let _ = self.free.push_within_capacity(slot);
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the set is initialised, and it is going away.
        unsafe { bindings::kho_block_set_destroy(self.set.get()) };
    }
}
