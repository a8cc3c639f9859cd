// SPDX-License-Identifier: GPL-2.0

//! What the previous kernel left in the tables.

use kernel::{
    bindings,
    prelude::*, //
};

use crate::{
    entries::{
        self,
        Mode,
        Place,
        Translation,
        ADDRESS,
        CONTEXT_PDTS,
        CONTEXT_PDTS_PAGE,
        PASID_WORDS,
        PRESENT,
        WORDS, //
    },
    unit::{
        Table,
        Unit, //
    },
};

/// What is wrong with the tables.
type Reason = &'static CStr;

/// Size of a table in bytes.
const SIZE: usize = 8 * WORDS;

/// Takes over the tables of a unit. Returns whether they were handed over.
pub(crate) fn adopt(unit: Unit, enabled: bool, rtaddr: u64) -> Result<bool, Reason> {
    /// The register says by this bit that the tables are those of scalable mode.
    const SCALABLE: u64 = 1 << 10;

    let mut ser = bindings::iommu_unit_ser::default();
    let registers = unit.registers();
    // SAFETY: The struct is there to be written.
    let index = unsafe { bindings::iommu_liveupdate_find_unit(registers, &raw mut ser) };
    let Ok(index) = usize::try_from(index) else {
        return Ok(false);
    };
    let mode = unit.mode();
    let handed_over = Mode {
        scalable: ser.mode == bindings::IOMMU_UNIT_SER_SCALABLE,
    };

    if !enabled {
        return Err(c"its translation is off");
    }
    if rtaddr & ADDRESS != ser.root {
        return Err(c"its root table is another one");
    }
    if mode != handed_over || mode.scalable != (rtaddr & SCALABLE != 0) {
        return Err(c"it is in another mode");
    }

    let root = restore(ser.root).ok_or(c"its root table was not preserved")?;
    let mut adoption = Adoption {
        unit,
        index,
        mode,
        found: 0,
        ids: KVec::new(),
    };

    for index in 0..WORDS {
        let entry = root.read(index);

        if entry == 0 {
            continue;
        }
        if entry & !ADDRESS != PRESENT || index % 2 >= mode.tables_per_bus() {
            return Err(c"its root table has an entry that is not valid");
        }
        let context = restore(entry & ADDRESS).ok_or(c"a context table was not preserved")?;

        adoption.context_table(index, context)?;
    }
    // SAFETY: The function has no preconditions.
    let listed = unsafe { bindings::iommu_liveupdate_nr_devices(registers) };

    if listed != adoption.found {
        return Err(c"a device has no entry");
    }
    // SAFETY: The unit is being initialised.
    if let Some(phys) = unsafe { unit.take_old_irt() } {
        let table = restore(phys).ok_or(c"its interrupts were not blocked")?;

        // SAFETY: Interrupts go through a table of this kernel.
        unsafe { table.free() };
    }
    // SAFETY: The unit is being initialised.
    unsafe { unit.set_root(root) };
    // SAFETY: The function has no preconditions.
    unsafe { bindings::iommu_liveupdate_adopted(registers) };
    Ok(true)
}

/// Takes over a table, once.
fn restore(phys: u64) -> Option<Table> {
    // SAFETY: The function checks the address. What it returns stays allocated.
    unsafe { Table::from_raw(bindings::iommu_pages_restore(phys, SIZE)) }
}

/// The tables of a unit, as far as they were gone through.
struct Adoption {
    unit: Unit,
    /// Its index in the hand-over.
    index: usize,
    mode: Mode,
    /// How many devices have an entry.
    found: u32,
    /// The domain ids that are reserved.
    ids: KVec<u16>,
}

impl Adoption {
    fn context_table(&mut self, root: usize, context: Table) -> Result<(), Reason> {
        let words = self.mode.context_words();

        for first in (0..WORDS).step_by(words) {
            if (first..first + words).all(|word| context.read(word) == 0) {
                continue;
            }
            let place = Place {
                root,
                context: first,
            };
            let translation = if self.mode.scalable {
                pasid_tables(context.entry::<4>(first))?
            } else {
                entries::context(context.entry::<2>(first))
            };

            self.device(
                self.mode.bdf(place),
                translation.ok_or(c"an entry does not translate")?,
            )?;
        }
        Ok(())
    }

    /// Checks what the entry of a device says.
    fn device(&mut self, bdf: u16, translation: Translation) -> Result<(), Reason> {
        let mut device = bindings::iommu_dev_ser::default();
        let mut table = bindings::pt_iommu_ser::default();

        // SAFETY: The structs are there to be written.
        let error = unsafe {
            bindings::iommu_liveupdate_find_device(
                self.unit.segment(),
                bdf,
                &raw mut device,
                &raw mut table,
            )
        };

        if error != 0 {
            return Err(c"a device has an entry that was not preserved");
        }
        let did = device.did;

        if device.unit as usize != self.index {
            return Err(c"a device has an entry that is another unit's");
        }
        if did != translation.did || !translation.is_by(&table) {
            return Err(c"an entry is not that of the device's domain");
        }

        if !self.ids.contains(&did) {
            // SAFETY: The unit is being initialised.
            let error = unsafe { bindings::intel_liveupdate_reserve_did(self.unit.as_raw(), did) };

            if error != 0 {
                return Err(c"a domain id cannot be used again");
            }
            self.ids
                .push(did, GFP_KERNEL)
                .map_err(|_| c"out of memory")?;
        }
        self.found += 1;
        Ok(())
    }
}

/// Takes over the tables that a context entry of scalable mode leads to.
fn pasid_tables(entry: [u64; 4]) -> Result<Option<Translation>, Reason> {
    const LOST: Reason = c"a table of PASIDs was not preserved";
    let [context, rest @ ..] = entry;

    if context & PRESENT == 0 {
        return Ok(None);
    }
    // Requests without a PASID are those of PASID 0, and there are no others.
    if context & !(ADDRESS | CONTEXT_PDTS | PRESENT) != 0 || rest != [0; 3] {
        return Err(c"an entry has something set that is not known");
    }
    if context & CONTEXT_PDTS > CONTEXT_PDTS_PAGE {
        return Err(c"a directory of PASIDs is longer than a page");
    }
    let directory = restore(context & ADDRESS).ok_or(LOST)?;
    let entry = directory.read(0);

    if entry & PRESENT == 0 {
        return Ok(None);
    }
    let first = restore(entry & ADDRESS).ok_or(LOST)?;

    if (1..WORDS).any(|word| directory.read(word) != 0)
        || (PASID_WORDS..WORDS)
            .any(|word| first.read(word) & PRESENT != 0 && word % PASID_WORDS == 0)
    {
        return Err(c"a PASID has an entry that was not preserved");
    }
    Ok(entries::pasid(first.entry::<PASID_WORDS>(0)))
}
