// SPDX-License-Identifier: GPL-2.0

//! What this kernel leaves in the tables.

use kernel::{
    bindings,
    prelude::*, //
};

use crate::{
    entries::{
        Place,
        PRESENT,
        WORDS, //
    },
    unit::{
        Entry,
        Table,
        Unit, //
    },
};

/// A table that interrupts are remapped by until the next kernel has its own. It has no entry, so
/// they are blocked.
///
/// # Invariants
///
/// The table is preserved, and nobody else uses it.
struct Blocking(Table);

impl Blocking {
    fn new(unit: Unit) -> Result<Self> {
        let table = unit.new_table()?;

        match table.preserve() {
            // INVARIANT: It was just allocated, and preserved.
            Ok(()) => Ok(Self(table)),
            Err(error) => {
                // SAFETY: Nobody has seen it.
                unsafe { table.free() };
                Err(error)
            }
        }
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.0.unpreserve();
        // SAFETY: By the type invariants.
        unsafe { self.0.free() };
    }
}

/// What is preserved of a unit.
///
/// There is one as long as a device behind the unit is preserved.
pub(crate) struct Kept {
    root: Table,
    /// Context tables, each with the number of entries in it that are preserved.
    contexts: KVec<(Table, usize)>,
    /// Which entries are preserved, by bus, device and function number.
    devices: KVec<u64>,
    /// If interrupts are remapped.
    blocking: Option<Blocking>,
}

/// Number of words for a bit for each device of a segment.
const DEVICE_WORDS: usize = (1 << 16) / 64;

impl Kept {
    /// What is preserved of a unit, if anything is.
    ///
    /// # Safety
    ///
    /// Nobody else must access it as long as the reference is used.
    unsafe fn of<'a>(unit: Unit) -> Option<&'a mut Self> {
        // SAFETY: The pointer is null, or was set by `add`; by the requirements of this function.
        unsafe { unit.kept().cast::<Self>().as_mut() }
    }

    fn new(unit: Unit, root: Table) -> Result<KBox<Self>> {
        let devices = KVec::from_elem(0, DEVICE_WORDS, GFP_KERNEL)?;
        let blocking = if unit.remaps_irqs() {
            Some(Blocking::new(unit)?)
        } else {
            None
        };
        let kept = KBox::new(
            Self {
                root,
                contexts: KVec::new(),
                devices,
                blocking,
            },
            GFP_KERNEL,
        )?;

        root.preserve()?;
        Ok(kept)
    }

    /// Preserves what leads to an entry.
    ///
    /// # Safety
    ///
    /// Calls of this and of [`Self::remove`] must be serialised.
    pub(crate) unsafe fn add(entry: Entry) -> Result {
        let root = entry.unit.root().ok_or(EINVAL)?;

        // SAFETY: Calls are serialised.
        if unsafe { Self::of(entry.unit) }.is_none() {
            let kept = KBox::into_raw(Self::new(entry.unit, root)?);

            // SAFETY: As above.
            unsafe { entry.unit.set_kept(kept.cast()) };
        }
        // SAFETY: As above.
        let kept = unsafe { Self::of(entry.unit) }.ok_or(EINVAL)?;
        let added = kept.add_entry(entry);

        if added.is_err() {
            // SAFETY: As above.
            unsafe { Self::free_if_unused(entry.unit) };
        }
        added
    }

    fn add_entry(&mut self, entry: Entry) -> Result {
        let context = entry.context_table().ok_or(EINVAL)?;
        let known = self
            .contexts
            .iter()
            .position(|&(table, _)| table == context);

        self.contexts.reserve(1, GFP_KERNEL)?;
        if known.is_none() {
            context.preserve()?;
        }
        if let Err(error) = Self::preserve_pasids(entry) {
            if known.is_none() {
                context.unpreserve();
            }
            return Err(error);
        }

        match known.and_then(|index| self.contexts.get_mut(index)) {
            Some((_, users)) => *users += 1,
            // There is room for it.
            None => drop(self.contexts.push_within_capacity((context, 1))),
        }
        self.set(entry, true);
        Ok(())
    }

    fn preserve_pasids(entry: Entry) -> Result {
        if !entry.unit.mode().scalable {
            return Ok(());
        }
        let (directory, first) = entry.pasid_tables().ok_or(EINVAL)?;

        directory.preserve()?;
        first.preserve().inspect_err(|_| directory.unpreserve())
    }

    /// Undoes [`Self::add`].
    ///
    /// # Safety
    ///
    /// As for [`Self::add`].
    pub(crate) unsafe fn remove(entry: Entry) {
        // SAFETY: Calls are serialised.
        let Some(kept) = (unsafe { Self::of(entry.unit) }) else {
            return;
        };

        if let (true, Some((directory, first))) = (entry.unit.mode().scalable, entry.pasid_tables())
        {
            first.unpreserve();
            directory.unpreserve();
        }
        kept.set(entry, false);
        if let Some(context) = entry.context_table() {
            if let Some((_, users)) = kept
                .contexts
                .iter_mut()
                .find(|(table, _)| *table == context)
            {
                *users -= 1;
            }
        }
        kept.contexts.retain(|&mut (table, users)| {
            if users == 0 {
                table.unpreserve();
            }
            users != 0
        });
        // SAFETY: As above.
        unsafe { Self::free_if_unused(entry.unit) };
    }

    /// # Safety
    ///
    /// As for [`Self::add`].
    unsafe fn free_if_unused(unit: Unit) {
        // SAFETY: Calls are serialised.
        let Some(kept) = (unsafe { Self::of(unit) }) else {
            return;
        };

        if kept.contexts.is_empty() {
            kept.root.unpreserve();
            // SAFETY: As above. The pointer came from a box, and nobody uses it any more.
            unsafe {
                let kept = unit.kept();

                unit.set_kept(core::ptr::null_mut());
                drop(KBox::from_raw(kept.cast::<Self>()));
            }
        }
    }

    fn set(&mut self, entry: Entry, preserved: bool) {
        let bdf = usize::from(u16::from_be_bytes([entry.bus, entry.devfn]));

        if let Some(word) = self.devices.get_mut(bdf / 64) {
            let bit = 1 << (bdf % 64);

            *word = if preserved { *word | bit } else { *word & !bit };
        }
    }

    fn has(&self, bdf: u16) -> bool {
        let bdf = usize::from(bdf);

        self.devices
            .get(bdf / 64)
            .is_some_and(|word| word >> (bdf % 64) & 1 != 0)
    }
}

/// Clears all entries but those that are preserved, and returns whether there are such.
///
/// # Safety
///
/// This must be the only processor, with interrupts off, on the way out of this kernel.
pub(crate) unsafe fn shutdown(unit: Unit) -> bool {
    // SAFETY: Nobody else is running.
    let Some(kept) = (unsafe { Kept::of(unit) }) else {
        return false;
    };

    // SAFETY: By the requirements of this function.
    if !unsafe { hands_over() } {
        return false;
    }

    for root in 0..WORDS {
        let entry = kept.root.read(root);
        // SAFETY: Context tables are not freed before the unit goes away.
        let Some(context) = (unsafe { Table::at(entry) }) else {
            continue;
        };

        if kept.contexts.iter().any(|&(table, _)| table == context) {
            // SAFETY: By the requirements of this function.
            unsafe { kept.shutdown_context(unit, root, context) };
        } else {
            // SAFETY: Nobody else is running; what is behind it is not preserved.
            unsafe { kept.root.write(root, 0) };
        }
    }
    unit.flush_table(kept.root);
    if let Some(Blocking(table)) = kept.blocking {
        unit.flush_table(table);
        // SAFETY: By the requirements of this function.
        unsafe { unit.block_irqs(table) };
    }
    unit.quiesce();
    true
}

impl Kept {
    /// Clears the entries of a context table but those that are preserved.
    ///
    /// # Safety
    ///
    /// As for [`shutdown`].
    unsafe fn shutdown_context(&self, unit: Unit, root: usize, context: Table) {
        let mode = unit.mode();
        let words = mode.context_words();

        for first in (0..WORDS).step_by(words) {
            let low = context.read(first);
            let place = Place {
                root,
                context: first,
            };

            if low & PRESENT == 0 || !self.has(mode.bdf(place)) {
                // The lowest word first: it has the bit that says whether the entry is in use.
                for word in first..first + words {
                    // SAFETY: Nobody else is running; the device is not preserved.
                    unsafe { context.write(word, 0) };
                }
            }
        }
        unit.flush_table(context);
    }
}

/// Whether the next kernel is going to be told about what is preserved.
///
/// # Safety
///
/// This must be the only processor, on the way out of this kernel.
unsafe fn hands_over() -> bool {
    // SAFETY: Nobody else is running.
    unsafe {
        let image = bindings::kexec_image;

        bindings::kexec_in_progress && !image.is_null() && (*image).kho.fdt != 0
    }
}
