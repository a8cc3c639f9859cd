// SPDX-License-Identifier: GPL-2.0

//! State that preserved files share across a live update.
//!
//! C header: [`include/linux/liveupdate.h`](srctree/include/linux/liveupdate.h)

use super::file::{
    FileHandler,
    Registration, //
};
use crate::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    ffi::{
        c_char,
        c_int,
        c_void, //
    },
    io::PhysAddr,
    kho::Restored,
    module::this_module,
    prelude::*,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};
use core::marker::PhantomData;

/// How state that files have in common crosses a live update.
///
/// Preserved files often depend on something that none of them owns, such as the buses between the
/// devices that they stand for. The LUO calls it file-lifecycle-bound (FLB): it is preserved with
/// the first file of the handlers that [depend on it](Flb::register), handed over once, and
/// finished with the last of these files in the new kernel.
///
/// In the old kernel the order is `preserve` and at once `phys`, before [`FileHandler::preserve`]
/// of the first file, and then `unpreserve`, after [`FileHandler::unpreserve`] of the last one, if
/// there will be no live update. There is no counterpart of [`FileHandler::freeze`]. Whoever
/// changes the shared state later changes the preserved memory with it, through
/// [`Flb::outgoing`].
///
/// In the new kernel it is `retrieve`, when somebody first asks for the object by
/// [`Flb::incoming`], and `finish`, after [`FileHandler::finish`] of the last file.
///
/// # Locking
///
/// All callbacks run in process context and may sleep. They run under a mutex that belongs to the
/// object: one for `preserve`, `phys` and `unpreserve`, another for `retrieve` and `finish`. These
/// mutexes nest inside of whatever is held where [`Flb::outgoing`] or [`Flb::incoming`] is called,
/// or its result is dropped. So the callbacks must not take such a lock, must not ask for their own
/// side of the object, and must not register or unregister anything with the LUO.
///
/// # Compatibility
///
/// The two halves usually run in different versions of the kernel. They agree by
/// [`COMPATIBLE`](Self::COMPATIBLE), which stands for the layout and meaning of
/// [`Data`](Self::Data), and for [`phys`](Self::phys) being the address of it.
///
/// The old kernel also hands over how many files there are to be finished. So the set of objects
/// that a file handler depends on is a part of what the compatible string of that handler stands
/// for: a kernel in which the set is larger would count down, and finish, what was never counted
/// up. It must use another string.
///
/// # Safety
///
/// - [`phys`](Self::phys) must return the address of a [`Data`](Self::Data) in memory that the
///   object owns, and that stays preserved, at this address, for as long as the object exists.
/// - The object must be registered only with handlers whose compatible strings stand for
///   depending on it, as described above: the LUO trusts the number of files that was handed over.
#[vtable]
pub unsafe trait FlbOps: Sized + 'static {
    /// The string by which the next kernel finds the object; at most 47 bytes.
    const COMPATIBLE: &'static CStr;

    /// What one kernel tells the next.
    type Data: FromBytes + IntoBytes + Send;

    /// The object in the old kernel; it usually owns a [`Preserved`](crate::kho::Preserved).
    type Outgoing: ForeignOwnable + Send + Sync;

    /// The object in the new kernel.
    type Incoming: ForeignOwnable + Send + Sync;

    /// Creates the object for the first file that is preserved.
    ///
    /// The error is returned to userspace, and the file is not preserved.
    fn preserve() -> Result<Self::Outgoing>;

    /// Returns the [address](crate::kho::Preserved::phys) of the [`Data`](Self::Data) to hand over.
    ///
    /// Called once, right after [`preserve`](Self::preserve).
    fn phys(outgoing: <Self::Outgoing as ForeignOwnable>::Borrowed<'_>) -> PhysAddr;

    /// Undoes [`preserve`](Self::preserve): no file is preserved any more.
    fn unpreserve(outgoing: Self::Outgoing);

    /// Recreates the object from what was handed over.
    ///
    /// The error is returned by [`Flb::incoming`], now and whenever the object is asked for again.
    /// The same is true of [`EINVAL`] if there is no data at the address that was handed over, in
    /// which case this is not called. Either way [`finish`](Self::finish) is not called, and the
    /// LUO warns when the last file finishes.
    fn retrieve(data: Restored<Self::Data>) -> Result<Self::Incoming>;

    /// Ends the live update: the last file is finished.
    fn finish(incoming: Self::Incoming);
}

/// Makes an [`FlbOps`] known to the LUO.
///
/// It must be a `static`: the LUO keeps its address.
///
/// # Examples
///
/// ```
/// use kernel::{
///     fs::File,
///     io::PhysAddr,
///     kho::{Preserved, Restored},
///     liveupdate::{FileHandler, Flb, FlbOps, Handler, Outcome},
///     sync::aref::ARef,
/// };
///
/// # /// Claims no file.
/// # struct Nothing;
/// #
/// # #[vtable]
/// # impl FileHandler for Nothing {
/// #     const COMPATIBLE: &'static CStr = c"rust-doctest-flb-handler-v1";
/// #     type Data = u64;
/// #
/// #     fn can_preserve(_file: &File) -> bool {
/// #         false
/// #     }
/// #
/// #     fn preserve(_file: &File) -> Result<Preserved<u64>> {
/// #         Err(EOPNOTSUPP)
/// #     }
/// #
/// #     fn unpreserve(_file: &File, _data: Preserved<u64>) {}
/// #
/// #     fn retrieve(_data: Restored<u64>) -> Result<ARef<File>> {
/// #         Err(EOPNOTSUPP)
/// #     }
/// #
/// #     fn finish(_outcome: Outcome<'_, Restored<u64>>) {}
/// # }
/// #
/// /// A number that all files of a handler have in common.
/// struct Generation;
///
/// // SAFETY: The address is that of the preserved memory which the object owns. The handler's
/// // string was never used without the object.
/// #[vtable]
/// unsafe impl FlbOps for Generation {
///     const COMPATIBLE: &'static CStr = c"rust-doctest-flb-v1";
///     type Data = u64;
///     type Outgoing = KBox<Preserved<u64>>;
///     type Incoming = KBox<Restored<u64>>;
///
///     fn preserve() -> Result<Self::Outgoing> {
///         Ok(KBox::new(Preserved::new(1)?, GFP_KERNEL)?)
///     }
///
///     fn phys(outgoing: &Preserved<u64>) -> PhysAddr {
///         outgoing.phys()
///     }
///
///     fn unpreserve(_outgoing: Self::Outgoing) {}
///
///     fn retrieve(data: Restored<u64>) -> Result<Self::Incoming> {
///         Ok(KBox::new(data, GFP_KERNEL)?)
///     }
///
///     fn finish(_incoming: Self::Incoming) {}
/// }
///
/// static HANDLER: Handler<Nothing> = Handler::new();
/// static GENERATION: Flb<Generation> = Flb::new();
///
/// let registration = match HANDLER.register() {
///     Err(EOPNOTSUPP) => return Ok(()), // Live update is disabled in this boot.
///     result => result?,
/// };
///
/// // From now on the number is preserved with the files of the handler.
/// GENERATION.register(&registration)?;
/// assert_eq!(GENERATION.register(&registration), Err(EEXIST));
///
/// // None is preserved so far.
/// assert_eq!(GENERATION.outgoing().err(), Some(ENOENT));
///
/// // Nor was any handed over by a previous kernel.
/// match GENERATION.incoming() {
///     Ok(generation) => pr_info!("generation {}\n", **generation.borrow()),
///     Err(error) => assert!(error == ENODATA || error == ENOENT),
/// }
/// # Ok::<(), Error>(())
/// ```
pub struct Flb<T: FlbOps> {
    inner: Opaque<bindings::liveupdate_flb>,
    _ops: PhantomData<T>,
}

// SAFETY: After construction only the LUO accesses `inner`, under its own locks.
unsafe impl<T: FlbOps> Sync for Flb<T> {}

impl<T: FlbOps> Flb<T> {
    /// The compatible string in the form of the C struct. Too long a string does not compile.
    const COMPATIBLE: [c_char; bindings::LIVEUPDATE_FLB_COMPAT_LENGTH as usize] =
        super::compatible(T::COMPATIBLE);

    /// Creates an object that no handler depends on yet.
    pub const fn new() -> Self {
        Self {
            inner: Opaque::new(bindings::liveupdate_flb {
                ops: VTable::<T>::build(),
                compatible: Self::COMPATIBLE,
                // The LUO initialises its private members on first use.
                ..pin_init::zeroed()
            }),
            _ops: PhantomData,
        }
    }

    /// Makes the files of a handler depend on the object, until the handler is unregistered.
    ///
    /// This belongs right after the registration of the handler, which claims no file meanwhile. It
    /// fails with [`EBUSY`] once the handler has claimed one: the object would be unpreserved with
    /// that file without having been preserved with it.
    ///
    /// Also fails with [`EEXIST`] if the handler depends on the object already, or if another
    /// object with the same compatible string is registered, with [`ENOSPC`], and with [`ENOMEM`].
    ///
    /// The handler must be one of the same module. See [`Self::register_with`] for others.
    pub fn register<H>(&'static self, handler: &Registration<H>) -> Result
    where
        H: FileHandler<OwnerModule = T::OwnerModule>,
    {
        handler.link(|handler| {
            // SAFETY: `Registration` keeps the handler registered, and `link` its files from being
            // preserved. The handler is of the same module, whose statics go away together: it has
            // to be unregistered before for its own sake.
            unsafe { self.register_with(handler) }
        })
    }

    /// Makes the files of any handler depend on the object, until the handler is unregistered.
    ///
    /// This is for a handler of another crate, and for one that is written in C. Fails like
    /// [`Self::register`], except for [`EBUSY`], and with [`EOPNOTSUPP`] if live update is disabled
    /// in this boot.
    ///
    /// # Safety
    ///
    /// - `handler` must be registered, and must not be unregistered during the call.
    /// - None of its files may have been preserved, and none may be preserved during the call.
    ///   Otherwise, the object would be unpreserved too early, while it is still used.
    /// - If the object is a static of a module, the handler must be unregistered before that module
    ///   is unloaded.
    pub unsafe fn register_with(
        &'static self,
        handler: *mut bindings::liveupdate_file_handler,
    ) -> Result {
        // SAFETY: `inner` is valid, with all callbacks, and is neither moved nor freed while
        // `handler`, which is registered, refers to it, by the type and the function's
        // requirements. Registering twice is caught before anything is touched.
        to_result(unsafe { bindings::liveupdate_register_flb(handler, self.inner.get()) })
    }

    /// Returns the object that was preserved with the files of this kernel.
    ///
    /// Fails with [`ENOENT`] if no file that depends on it is preserved, and with [`EOPNOTSUPP`] if
    /// live update is disabled in this boot.
    pub fn outgoing(&'static self) -> Result<Outgoing<'static, T>> {
        let mut object = core::ptr::null_mut();

        // SAFETY: Both pointers are valid. The LUO accepts an object that is not registered.
        to_result(unsafe {
            bindings::liveupdate_flb_get_outgoing(self.inner.get(), &raw mut object)
        })?;

        // INVARIANT: The object was returned by `VTable::preserve`, and the LUO has just counted a
        // reference. It counts every file that depends on the object from before it is preserved
        // until it is unpreserved, as no handler came to depend on it later; so those that are
        // still preserved cannot be what this reference is dropped for.
        Ok(Outgoing { flb: self, object })
    }

    /// Returns the object that the previous kernel handed over.
    ///
    /// The first call retrieves it. It need not be registered for that, so the object is available
    /// from early in the boot on.
    ///
    /// It is by the first call, too, that the LUO learns how many files there are to be finished. A
    /// file that is finished before is missed, with a warning, and the object is then never
    /// finished. So every object must be asked for before that, and be it in
    /// [`FileHandler::finish`] of each of the files.
    ///
    /// Fails with [`ENODATA`] if this boot is not a live update, or if the last file is finished;
    /// with [`ENOENT`] if it is one, but this object was not handed over; with the error of
    /// [`FlbOps::retrieve`]; and with [`EOPNOTSUPP`] if live update is disabled in this boot.
    ///
    /// A module that is unloaded forgets that the last file is finished. When it is loaded again,
    /// this fails with [`EINVAL`], after a warning of KHO. The module had better ask only while it
    /// knows of a file.
    pub fn incoming(&'static self) -> Result<Incoming<'static, T>> {
        let mut object = core::ptr::null_mut();

        // SAFETY: Both pointers are valid. The LUO accepts an object that is not registered.
        to_result(unsafe {
            bindings::liveupdate_flb_get_incoming(self.inner.get(), &raw mut object)
        })?;

        // INVARIANT: The object was returned by `VTable::retrieve`, and the LUO has just counted a
        // reference. The other references are those of files that are still to be finished: the
        // previous kernel counted them, for exactly the handlers that depend on this object here,
        // which is what the compatible strings of these handlers stand for.
        Ok(Incoming { flb: self, object })
    }
}

impl<T: FlbOps> Default for Flb<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A reference to the object that is preserved with the files of this kernel.
///
/// The LUO counts it like a file, and tells the next kernel to wait for that many files to finish.
/// If it still exists when the LUO counts, in the reboot system call, the object will never be
/// finished. Userspace is running then. So a reference should be held no longer than needed, and
/// should be taken only where the LUO does not count meanwhile: in callbacks of [`FileHandler`].
///
/// Dropping the last reference unpreserves the object.
///
/// # Invariants
///
/// `object` was returned by [`ForeignOwnable::into_foreign`] of `T::Outgoing`. This object owns a
/// reference that keeps the LUO from passing it to [`FlbOps::unpreserve`].
#[must_use = "the reference is put when this is dropped"]
pub struct Outgoing<'a, T: FlbOps> {
    flb: &'a Flb<T>,
    object: *mut c_void,
}

impl<T: FlbOps> Outgoing<'_, T> {
    /// Borrows the object.
    #[inline]
    pub fn borrow(&self) -> <T::Outgoing as ForeignOwnable>::Borrowed<'_> {
        // SAFETY: By the type invariants the object is passed to `from_foreign`, in
        // `VTable::unpreserve`, only after `self` is dropped. It is never borrowed mutably.
        unsafe { T::Outgoing::borrow(self.object) }
    }
}

impl<T: FlbOps> Drop for Outgoing<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants this is the reference that `self` owns.
        unsafe { bindings::liveupdate_flb_put_outgoing(self.flb.inner.get()) };
    }
}

/// A reference to the object that the previous kernel handed over.
///
/// Dropping the last reference, after the last file is finished, finishes the object.
///
/// # Invariants
///
/// `object` was returned by [`ForeignOwnable::into_foreign`] of `T::Incoming`. This object owns a
/// reference that keeps the LUO from passing it to [`FlbOps::finish`].
#[must_use = "the reference is put when this is dropped"]
pub struct Incoming<'a, T: FlbOps> {
    flb: &'a Flb<T>,
    object: *mut c_void,
}

impl<T: FlbOps> Incoming<'_, T> {
    /// Borrows the object.
    #[inline]
    pub fn borrow(&self) -> <T::Incoming as ForeignOwnable>::Borrowed<'_> {
        // SAFETY: By the type invariants the object is passed to `from_foreign`, in
        // `VTable::finish`, only after `self` is dropped. It is never borrowed mutably.
        unsafe { T::Incoming::borrow(self.object) }
    }
}

impl<T: FlbOps> Drop for Incoming<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants this is the reference that `self` owns.
        unsafe { bindings::liveupdate_flb_put_incoming(self.flb.inner.get()) };
    }
}

/// The C side of an [`FlbOps`].
struct VTable<T: FlbOps>(PhantomData<T>);

impl<T: FlbOps> VTable<T> {
    const VTABLE: bindings::liveupdate_flb_ops = bindings::liveupdate_flb_ops {
        preserve: Some(Self::preserve),
        unpreserve: Some(Self::unpreserve),
        retrieve: Some(Self::retrieve),
        finish: Some(Self::finish),
        owner: this_module::<T::OwnerModule>().as_ptr(),
    };

    const fn build() -> &'static bindings::liveupdate_flb_ops {
        &Self::VTABLE
    }

    /// # Safety
    ///
    /// `args` must be valid for the duration of the call.
    unsafe extern "C" fn preserve(args: *mut bindings::liveupdate_flb_op_args) -> c_int {
        // SAFETY: `args` is valid and used by nobody else during the call.
        let args = unsafe { &mut *args };

        from_result(|| {
            // The LUO takes null for no object, which `into_foreign` promises not to return.
            let object = T::preserve()?.into_foreign();

            // SAFETY: The object comes from `into_foreign`, and nobody else knows of it.
            args.data = T::phys(unsafe { T::Outgoing::borrow(object) });
            args.obj = object;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `args` must be valid for the duration of the call, with the `obj` that [`Self::preserve`]
    /// returned last and that is not borrowed any more.
    unsafe extern "C" fn unpreserve(args: *mut bindings::liveupdate_flb_op_args) {
        // SAFETY: `args` is valid and used by nobody else during the call.
        let args = unsafe { &mut *args };

        // SAFETY: The object comes from `into_foreign` in `preserve`, and the LUO unpreserves it
        // only once, after the last reference is put.
        T::unpreserve(unsafe { T::Outgoing::from_foreign(args.obj) });
    }

    /// # Safety
    ///
    /// `args` must be valid for the duration of the call, with the `data` that was handed over for
    /// this object.
    unsafe extern "C" fn retrieve(args: *mut bindings::liveupdate_flb_op_args) -> c_int {
        // SAFETY: `args` is valid and used by nobody else during the call.
        let args = unsafe { &mut *args };

        from_result(|| {
            // SAFETY: The previous kernel handed the address over under this object's compatible
            // string, which stands for the type and, by the requirements of the trait, for the
            // memory being that of this object. KHO lets it be claimed once.
            let data = unsafe { Restored::claim(args.data) }?;

            args.obj = T::retrieve(data)?.into_foreign();
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `args` must be valid for the duration of the call, with the `obj` that [`Self::retrieve`]
    /// returned and that is not borrowed any more.
    unsafe extern "C" fn finish(args: *mut bindings::liveupdate_flb_op_args) {
        // SAFETY: `args` is valid and used by nobody else during the call.
        let args = unsafe { &mut *args };

        // SAFETY: The object comes from `into_foreign` in `retrieve`, and the LUO finishes it only
        // once, after the last reference is put.
        T::finish(unsafe { T::Incoming::from_foreign(args.obj) });
    }
}

#[cfg(CONFIG_RUST_LIVEUPDATE_KUNIT_TEST)]
#[macros::kunit_tests(rust_kernel_liveupdate_flb)]
mod tests {
    use super::*;
    use crate::{
        fs::File,
        kho::Preserved,
        liveupdate::{
            Handler,
            Outcome, //
        },
        sync::{
            aref::ARef,
            atomic::{
                Atomic,
                Relaxed, //
            },
        },
    };
    use core::mem::ManuallyDrop;

    /// Distinguishable bytes, all of them significant.
    const PATTERN: u64 = 0x0123_4567_89ab_cdef;

    /// Claims no file.
    struct Nothing;

    #[vtable]
    impl FileHandler for Nothing {
        const COMPATIBLE: &'static CStr = c"rust-kunit-flb-handler-v1";
        type Data = u64;

        fn can_preserve(_file: &File) -> bool {
            false
        }

        fn preserve(_file: &File) -> Result<Preserved<u64>> {
            Err(EOPNOTSUPP)
        }

        fn unpreserve(_file: &File, _data: Preserved<u64>) {}

        fn retrieve(_data: Restored<u64>) -> Result<ARef<File>> {
            Err(EOPNOTSUPP)
        }

        fn finish(_outcome: Outcome<'_, Restored<u64>>) {}
    }

    /// An object that tells when it goes away, and by which callback.
    struct Tracked<T>(T, &'static Atomic<u32>);

    impl<T> Drop for Tracked<T> {
        fn drop(&mut self) {
            self.1.add(1, Relaxed);
        }
    }

    static UNPRESERVED: Atomic<u32> = Atomic::new(0);
    static OUTGOING_DROPPED: Atomic<u32> = Atomic::new(0);
    static FINISHED: Atomic<u32> = Atomic::new(0);
    static INCOMING_DROPPED: Atomic<u32> = Atomic::new(0);

    struct Shared;

    // SAFETY: The address is that of memory which the object owns, if it ever exists. No handler
    // depends on it across a kexec.
    #[vtable]
    unsafe impl FlbOps for Shared {
        const COMPATIBLE: &'static CStr = c"rust-kunit-flb-v1";
        type Data = u64;
        type Outgoing = KBox<Tracked<Preserved<u64>>>;
        type Incoming = KBox<Tracked<u64>>;

        fn preserve() -> Result<Self::Outgoing> {
            let outgoing = Tracked(Preserved::new(PATTERN)?, &OUTGOING_DROPPED);

            Ok(KBox::new(outgoing, GFP_KERNEL)?)
        }

        fn phys(outgoing: &Tracked<Preserved<u64>>) -> PhysAddr {
            outgoing.0.phys()
        }

        fn unpreserve(_outgoing: Self::Outgoing) {
            UNPRESERVED.add(1, Relaxed);
        }

        fn retrieve(data: Restored<u64>) -> Result<Self::Incoming> {
            let incoming = Tracked(*data, &INCOMING_DROPPED);

            Ok(KBox::new(incoming, GFP_KERNEL)?)
        }

        fn finish(_incoming: Self::Incoming) {
            FINISHED.add(1, Relaxed);
        }
    }

    /// Does not want to be preserved.
    struct Failing;

    // SAFETY: The address is that of memory which the object owns, if it ever exists. No handler
    // depends on it across a kexec.
    #[vtable]
    unsafe impl FlbOps for Failing {
        const COMPATIBLE: &'static CStr = c"rust-kunit-flb-failing-v1";
        type Data = u64;
        type Outgoing = KBox<u64>;
        type Incoming = KBox<u64>;

        fn preserve() -> Result<KBox<u64>> {
            // Not an error that the glue itself could return.
            Err(ENOSPC)
        }

        fn phys(_outgoing: &u64) -> PhysAddr {
            0
        }

        fn unpreserve(_outgoing: KBox<u64>) {}

        fn retrieve(_data: Restored<u64>) -> Result<KBox<u64>> {
            Err(ENOSPC)
        }

        fn finish(_incoming: KBox<u64>) {}
    }

    /// Returns by how much `counters` go up in `callback`.
    fn counted(counters: [&Atomic<u32>; 2], callback: impl FnOnce()) -> [u32; 2] {
        let before = counters.map(|counter| counter.load(Relaxed));
        callback();
        let after = counters.map(|counter| counter.load(Relaxed));

        [after[0] - before[0], after[1] - before[1]]
    }

    fn args() -> bindings::liveupdate_flb_op_args {
        pin_init::zeroed()
    }

    #[test]
    fn the_compatible_string_reaches_the_luo() {
        static SHARED: Flb<Shared> = Flb::new();

        // SAFETY: The object is not registered, so that nobody changes it.
        let flb = unsafe { &*SHARED.inner.get() };
        assert_eq!(&flb.compatible[..17], b"rust-kunit-flb-v1");
        assert!(flb.compatible[17..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_handler_depends_on_an_object_once() -> Result {
        static HANDLER: Handler<Nothing> = Handler::new();
        static SHARED: Flb<Shared> = Flb::new();
        static FAILING: Flb<Failing> = Flb::new();
        static IMPOSTOR: Flb<Shared> = Flb::new();

        let registration = HANDLER.register()?;
        SHARED.register(&registration)?;
        assert_eq!(SHARED.register(&registration), Err(EEXIST));

        // Another compatible string is another object.
        FAILING.register(&registration)?;
        assert_eq!(IMPOSTOR.register(&registration), Err(EEXIST));

        // Unregistering the handler takes both off.
        drop(registration);
        let registration = HANDLER.register()?;
        IMPOSTOR.register(&registration)?;
        assert_eq!(SHARED.register(&registration), Err(EEXIST));
        Ok(())
    }

    #[test]
    fn nothing_is_preserved_by_registering() -> Result {
        static HANDLER: Handler<Nothing> = Handler::new();
        static SHARED: Flb<Shared> = Flb::new();

        assert_eq!(SHARED.outgoing().err(), Some(ENOENT));
        let registration = HANDLER.register()?;
        SHARED.register(&registration)?;
        assert_eq!(SHARED.outgoing().err(), Some(ENOENT));
        Ok(())
    }

    #[test]
    fn nothing_was_handed_over_for_these_tests() {
        static SHARED: Flb<Shared> = Flb::new();

        // Depending on whether a kernel was before this one.
        let error = SHARED.incoming().err();
        assert!(error == Some(ENODATA) || error == Some(ENOENT));
    }

    #[test]
    fn preserve_and_unpreserve_share_their_object() {
        let mut args = args();

        // SAFETY: The arguments are valid.
        let status = unsafe { VTable::<Shared>::preserve(&mut args) };
        assert_eq!(status, 0);
        assert!(!args.obj.is_null());

        // SAFETY: The object was created just now and is not borrowed mutably.
        let outgoing = unsafe { <Shared as FlbOps>::Outgoing::borrow(args.obj) };
        assert_eq!(*outgoing.0, PATTERN);
        assert_eq!(outgoing.0.phys(), args.data);

        // What is at the address is what the next kernel will find.
        // SAFETY: The memory is only looked at, and remains the object's.
        let data = ManuallyDrop::new(unsafe { Preserved::<u64>::from_phys(args.data) });
        assert_eq!(**data, PATTERN);

        let counts = counted([&UNPRESERVED, &OUTGOING_DROPPED], || {
            // SAFETY: The object is preserved, and is unpreserved once.
            unsafe { VTable::<Shared>::unpreserve(&mut args) };
        });
        assert_eq!(counts, [1, 1]);
    }

    #[test]
    fn errors_reach_the_luo() {
        let mut args = args();

        // SAFETY: The arguments are valid.
        let status = unsafe { VTable::<Failing>::preserve(&mut args) };
        assert_eq!(status, ENOSPC.to_errno());
        assert!(args.obj.is_null());
        assert_eq!(args.data, 0);
    }

    #[test]
    fn data_that_was_never_handed_over_is_refused() {
        let mut args = args();

        // No page frame exists at this address.
        args.data = 1 << 51;
        // SAFETY: The address is refused before anything is claimed.
        let status = unsafe { VTable::<Shared>::retrieve(&mut args) };
        assert_eq!(status, EINVAL.to_errno());
        assert!(args.obj.is_null());
    }

    #[test]
    fn finish_gets_the_object() -> Result {
        let mut args = args();

        args.obj = KBox::new(Tracked(PATTERN, &INCOMING_DROPPED), GFP_KERNEL)?.into_foreign();

        let counts = counted([&FINISHED, &INCOMING_DROPPED], || {
            // SAFETY: The object is of the right type, and is finished once.
            unsafe { VTable::<Shared>::finish(&mut args) };
        });
        assert_eq!(counts, [1, 1]);
        Ok(())
    }

    #[test]
    fn a_reference_keeps_the_outgoing_object() -> Result {
        static SHARED: Flb<Shared> = Flb::new();
        let mut args = args();

        // Has the LUO initialise its private members.
        assert_eq!(SHARED.outgoing().err(), Some(ENOENT));

        // SAFETY: The arguments are valid.
        let status = unsafe { VTable::<Shared>::preserve(&mut args) };
        assert_eq!(status, 0);

        // Does what the LUO does for the first file that depends on the object.
        // SAFETY: The object is known to nobody else, and the LUO has initialised it.
        unsafe {
            let state = &mut (*SHARED.inner.get()).private.outgoing;

            state.data = args.data;
            state.obj = args.obj;
            bindings::refcount_set(&mut state.count, 1);
        }

        let reference = SHARED.outgoing()?;
        assert_eq!(*reference.borrow().0, PATTERN);
        assert_eq!(*SHARED.outgoing()?.borrow().0, PATTERN);

        let counts = counted([&UNPRESERVED, &OUTGOING_DROPPED], || {
            // SAFETY: The reference is that of the file.
            unsafe { bindings::liveupdate_flb_put_outgoing(SHARED.inner.get()) };
        });
        assert_eq!(counts, [0, 0]);
        assert_eq!(*reference.borrow().0, PATTERN);

        let counts = counted([&UNPRESERVED, &OUTGOING_DROPPED], || drop(reference));
        assert_eq!(counts, [1, 1]);
        assert_eq!(SHARED.outgoing().err(), Some(ENOENT));
        Ok(())
    }

    #[test]
    fn a_reference_keeps_the_incoming_object() -> Result {
        static SHARED: Flb<Shared> = Flb::new();

        // Has the LUO initialise its private members.
        assert!(SHARED.incoming().is_err());

        let object = KBox::new(Tracked(PATTERN, &INCOMING_DROPPED), GFP_KERNEL)?;

        // Does what the LUO does when an object is retrieved that one file depends on.
        // SAFETY: The object is known to nobody else, and the LUO has initialised it.
        unsafe {
            let state = &mut (*SHARED.inner.get()).private.incoming;

            state.obj = object.into_foreign();
            state.retrieve_status = 1;
            bindings::refcount_set(&mut state.count, 1);
        }

        let reference = SHARED.incoming()?;
        assert_eq!(reference.borrow().0, PATTERN);
        assert_eq!(SHARED.incoming()?.borrow().0, PATTERN);

        let counts = counted([&FINISHED, &INCOMING_DROPPED], || {
            // SAFETY: The reference is that of the file.
            unsafe { bindings::liveupdate_flb_put_incoming(SHARED.inner.get()) };
        });
        assert_eq!(counts, [0, 0]);
        assert_eq!(reference.borrow().0, PATTERN);

        let counts = counted([&FINISHED, &INCOMING_DROPPED], || drop(reference));
        assert_eq!(counts, [1, 1]);
        // It is over for good.
        assert_eq!(SHARED.incoming().err(), Some(ENODATA));
        Ok(())
    }
}
