// SPDX-License-Identifier: GPL-2.0

//! Kexec Handover (KHO): memory that outlives the kernel that allocated it.
//!
//! The kernel that is about to be replaced puts what its successor must know into [`Preserved`]
//! memory and passes on its physical address. The successor turns the address into [`Restored`]
//! memory, reads it, and frees it.
//!
//! Both types own their memory: dropping a [`Preserved`] takes the preservation back and frees the
//! memory, dropping a [`Restored`] frees it. So an error path that returns early leaves nothing
//! behind. What crosses the kexec is given away explicitly with [`Preserved::into_phys`].
//!
//! What is handed over is plain data: [`IntoBytes`] rules out padding, which would carry stray
//! bytes of the old kernel into the new one, and [`FromBytes`] makes every bit pattern a valid
//! value, because the kernel that wrote it is not the kernel that reads it. Layout and meaning are
//! an ABI between kernels; document it in `include/linux/kho/abi/`.
//!
//! C header: [`include/linux/kexec_handover.h`](srctree/include/linux/kexec_handover.h)

use crate::{
    bindings,
    error::from_err_ptr,
    io::PhysAddr,
    page::PAGE_SIZE,
    prelude::*, //
};
use core::{
    mem::ManuallyDrop,
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::NonNull, //
};

/// Returns whether KHO is enabled in this boot.
///
/// Without it nothing can be preserved, and nothing was handed over.
#[inline]
pub fn is_enabled() -> bool {
    // SAFETY: `kho_is_enabled` has no preconditions, it reads a flag set during early boot.
    unsafe { bindings::kho_is_enabled() }
}

/// Rejects, at compile time, types that cannot be handed over.
///
/// They must fit a page: that much can be validated by a physical address alone, because a restored
/// folio is at least one page, whatever order the previous kernel claims for it.
const fn assert_can_hand_over<T>() {
    // Memory that is handed over is not dropped here but freed by another kernel.
    assert!(
        !core::mem::needs_drop::<T>(),
        "handed over values must not need to be dropped"
    );
    assert!(size_of::<T>() != 0, "handing over nothing is a mistake");
    assert!(
        size_of::<T>() <= PAGE_SIZE,
        "handed over values must fit a page"
    );
    assert!(align_of::<T>() <= PAGE_SIZE, "pages are page-aligned");
}

/// A value in memory that KHO preserves across kexec.
///
/// Dropping it takes the preservation back and frees the memory.
///
/// # Examples
///
/// ```
/// use kernel::kho::Preserved;
///
/// #[repr(C)]
/// #[derive(FromBytes, IntoBytes)]
/// struct Counter {
///     hits: u64,
/// }
///
/// # if !kernel::kho::is_enabled() {
/// #     return Ok(());
/// # }
/// let counter = Preserved::new(Counter { hits: 1 })?;
///
/// // From here on the memory belongs to whoever keeps the address.
/// let phys = counter.into_phys();
///
/// // SAFETY: `phys` was returned by `into_phys` of the same type and is used once.
/// let mut counter = unsafe { Preserved::<Counter>::from_phys(phys) };
/// counter.hits += 1;
/// assert_eq!(counter.hits, 2);
///
/// // Dropped: there will be no live update after all.
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `value` points to an initialised `T` at the start of memory that was allocated by
/// `kho_alloc_preserve`, is still preserved, and is owned by this object.
pub struct Preserved<T: FromBytes + IntoBytes> {
    value: NonNull<T>,
}

// SAFETY: The object owns the memory, which is not bound to a thread.
unsafe impl<T: FromBytes + IntoBytes + Send> Send for Preserved<T> {}

// SAFETY: Shared references to the object give shared references to the value and nothing else.
unsafe impl<T: FromBytes + IntoBytes + Sync> Sync for Preserved<T> {}

impl<T: FromBytes + IntoBytes> Preserved<T> {
    /// Allocates preserved memory and moves `value` into it, over the stack.
    ///
    /// Fails with [`EOPNOTSUPP`] if KHO is disabled in this boot, with [`ENOMEM`], or with the
    /// error of KHO when it cannot preserve the memory.
    pub fn new(value: T) -> Result<Self> {
        let mut this = Self::zeroed()?;

        *this = value;
        Ok(this)
    }

    /// Allocates preserved memory for a value of which all bytes are zero.
    ///
    /// Unlike with [`Self::new`], a large value does not go over the stack. Fails as that does.
    pub fn zeroed() -> Result<Self> {
        const { assert_can_hand_over::<T>() };

        if !is_enabled() {
            return Err(EOPNOTSUPP);
        }

        // SAFETY: The size is not zero; there are no other preconditions.
        let memory = from_err_ptr(unsafe { bindings::kho_alloc_preserve(size_of::<T>()) })?;
        let memory = NonNull::new(memory.cast::<T>()).ok_or(ENOMEM)?;

        // INVARIANT: `memory` comes from `kho_alloc_preserve`, with the size of `T`, and its only
        // pointer is stored here. It starts at a page boundary, which satisfies any alignment up to
        // `PAGE_SIZE`, and is zeroed, which is a valid value of any type that is `FromBytes`.
        Ok(Self { value: memory })
    }

    /// Returns the physical address of the memory, to be handed to the next kernel.
    ///
    /// The next kernel can [restore](Restored::claim) it only if the memory is still preserved by
    /// then. If nothing in this kernel is to own it any more, use [`Self::into_phys`].
    #[inline]
    pub fn phys(&self) -> PhysAddr {
        // SAFETY: By the type invariants the pointer is that of a folio in the direct map.
        unsafe { bindings::virt_to_phys(self.value.as_ptr().cast()) }
    }

    /// Gives the memory away and returns its physical address, to be handed to the next kernel.
    ///
    /// Unless it is turned back with [`Self::from_phys`], the memory stays allocated and preserved
    /// until the next kernel [restores](Restored::claim) it.
    pub fn into_phys(self) -> PhysAddr {
        ManuallyDrop::new(self).phys()
    }

    /// Takes back memory that was given away with [`Self::into_phys`].
    ///
    /// # Safety
    ///
    /// `phys` must have been returned by [`Self::into_phys`] of the same `T` in this kernel, and
    /// must not have been taken back since.
    pub unsafe fn from_phys(phys: PhysAddr) -> Self {
        // SAFETY: By the function's requirements `phys` is memory of the direct map.
        let value = unsafe { bindings::phys_to_virt(phys) }.cast::<T>();

        // INVARIANT: By the function's requirements the memory comes from `kho_alloc_preserve`,
        // holds a `T`, and its ownership passes to the new object.
        Self {
            // SAFETY: An address in the direct map is never null.
            value: unsafe { NonNull::new_unchecked(value) },
        }
    }
}

impl<T: FromBytes + IntoBytes> Deref for Preserved<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariants `value` points to a `T` owned by `self`.
        unsafe { self.value.as_ref() }
    }
}

impl<T: FromBytes + IntoBytes> DerefMut for Preserved<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: By the type invariants `value` points to a `T` owned by `self`, which is
        // borrowed exclusively.
        unsafe { self.value.as_mut() }
    }
}

impl<T: FromBytes + IntoBytes> Drop for Preserved<T> {
    fn drop(&mut self) {
        // The value needs no drop, which `new` checks at compile time, for `from_phys` as well.
        // SAFETY: By the type invariants the memory comes from `kho_alloc_preserve`, is still
        // preserved, and is owned by `self`, which is going away.
        unsafe { bindings::kho_unpreserve_free(self.value.as_ptr().cast()) };
    }
}

/// A value that the previous kernel handed over, in memory that this kernel owns now.
///
/// Dropping it frees the memory.
///
/// # Invariants
///
/// `folio` was restored from KHO and its reference is owned by this object; `value` points to the
/// start of its memory, which is at least as large as `T`.
pub struct Restored<T: FromBytes + IntoBytes> {
    folio: NonNull<bindings::folio>,
    value: NonNull<T>,
}

// SAFETY: The object owns the memory, which is not bound to a thread.
unsafe impl<T: FromBytes + IntoBytes + Send> Send for Restored<T> {}

// SAFETY: Shared references to the object give shared references to the value and nothing else.
unsafe impl<T: FromBytes + IntoBytes + Sync> Sync for Restored<T> {}

impl<T: FromBytes + IntoBytes> Restored<T> {
    /// Claims the memory that the previous kernel preserved at `phys`.
    ///
    /// The address comes from another kernel, so it is checked before it is used: only the start
    /// of memory that KHO carried over and that nobody has claimed yet is accepted. Fails with
    /// [`EINVAL`] otherwise, and KHO warns if the address is one of this kernel's own memory: the
    /// previous kernel, or a second claim, got it wrong.
    ///
    /// # Safety
    ///
    /// `phys` must have been handed over as the address of a `T`, in an agreed format, so that no
    /// other user of KHO may regard the memory as its own.
    pub unsafe fn claim(phys: PhysAddr) -> Result<Self> {
        const { assert_can_hand_over::<T>() };

        // `kho_restore_folio` looks at the page frame only.
        if phys % PAGE_SIZE as PhysAddr != 0 {
            return Err(EINVAL);
        }

        // SAFETY: The function checks that the page frame exists and that KHO preserved it.
        let folio = NonNull::new(unsafe { bindings::kho_restore_folio(phys) }).ok_or(EINVAL)?;

        // SAFETY: `phys` is the start of the folio that was just restored.
        let value = unsafe { bindings::phys_to_virt(phys) }.cast::<T>();

        // INVARIANT: The folio was just restored, with one reference that is ours by the
        // function's requirements; a folio is at least a page, and so is not smaller than `T`.
        Ok(Self {
            folio,
            // SAFETY: An address in the direct map is never null.
            value: unsafe { NonNull::new_unchecked(value) },
        })
    }
}

impl<T: FromBytes + IntoBytes> Deref for Restored<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariants `value` points to memory of sufficient size, aligned to a
        // page and owned by `self`. `T: FromBytes` makes any content of it a valid `T`.
        unsafe { self.value.as_ref() }
    }
}

impl<T: FromBytes + IntoBytes> Drop for Restored<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants this is the reference that `self` owns.
        unsafe { bindings::folio_put(self.folio.as_ptr()) };
    }
}

#[cfg(CONFIG_RUST_KHO_KUNIT_TEST)]
#[macros::kunit_tests(rust_kernel_kho)]
mod tests {
    use super::*;

    /// Distinguishable bytes, all of them significant.
    const PATTERN: u64 = 0x0123_4567_89ab_cdef;

    #[test]
    fn kho_is_enabled_for_these_tests() {
        // Everything below is pointless without KHO, so its absence is a failure and no skip.
        assert!(is_enabled());
    }

    #[test]
    fn preserved_memory_holds_its_value() -> Result {
        let mut memory = Preserved::new(PATTERN)?;
        assert_eq!(*memory, PATTERN);
        *memory = !PATTERN;
        assert_eq!(*memory, !PATTERN);
        Ok(())
    }

    #[test]
    fn preserved_memory_survives_being_given_away() -> Result {
        let phys = Preserved::new(PATTERN)?.into_phys();
        assert!(phys != 0);
        assert_eq!(phys % PAGE_SIZE as PhysAddr, 0);

        // SAFETY: `phys` comes from `into_phys` of the same type, just above.
        let memory = unsafe { Preserved::<u64>::from_phys(phys) };
        assert_eq!(*memory, PATTERN);
        Ok(())
    }

    #[test]
    fn all_of_a_larger_value_is_preserved() -> Result {
        assert_eq!(*Preserved::<[u64; 64]>::zeroed()?, [0; 64]);
        let memory = Preserved::new([PATTERN; 64])?;
        assert!(memory.iter().all(|&word| word == PATTERN));
        Ok(())
    }

    #[test]
    fn an_unaligned_address_is_refused() {
        // SAFETY: The address is refused before anything is claimed.
        let result = unsafe { Restored::<u64>::claim(PAGE_SIZE as PhysAddr + 8) };
        assert_eq!(result.err(), Some(EINVAL));
    }

    #[test]
    fn an_address_outside_of_memory_is_refused() {
        // SAFETY: No page frame exists there, so nothing is claimed.
        let result = unsafe { Restored::<u64>::claim(1 << 51) };
        assert_eq!(result.err(), Some(EINVAL));
    }
}
