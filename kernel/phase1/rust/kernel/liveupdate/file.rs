// SPDX-License-Identifier: GPL-2.0

//! Handlers for the files that userspace preserves across a live update.
//!
//! C header: [`include/linux/liveupdate.h`](srctree/include/linux/liveupdate.h)

use crate::{
    bindings,
    container_of,
    error::{
        from_result,
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    fs::File,
    kho::{
        Preserved,
        Restored, //
    },
    module::this_module,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Full,
            Release, //
        },
    },
    types::Opaque, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop, //
};

/// What became of a handed over file when its session finishes in the new kernel.
pub enum Outcome<'a, T> {
    /// Userspace retrieved it; this is the file that it got.
    Retrieved(&'a File),
    /// Userspace never asked for it. The hand-over data, to be cleaned up by its contents.
    Unclaimed(T),
    /// It could not be retrieved, with this error, and cannot be tried again; or nobody asked for
    /// it and its hand-over data could not be restored.
    Failed(Error),
}

/// How files of one kind cross a live update.
///
/// All callbacks but [`can_preserve`](Self::can_preserve) and [`id`](Self::id) are serialised by
/// the LUO for one file. They run in process context and may sleep.
///
/// In the old kernel the order is `can_preserve`, `preserve`, then either `unpreserve`, when
/// userspace changes its mind, or `freeze` in the reboot system call and the jump to the next
/// kernel. The jump may still be called off, for example by another file that refuses to freeze:
/// `freeze` can be called again, and can be followed by `unpreserve`.
///
/// In the new kernel it is `retrieve`, at most once, then `can_finish` and `finish`.
///
/// The two halves usually run in different versions of the kernel. They agree by
/// [`COMPATIBLE`](Self::COMPATIBLE), which stands for the layout and meaning of
/// [`Data`](Self::Data), for the state in which the resource is handed over, and for the set of
/// global objects that depend on the handler.
#[vtable]
pub trait FileHandler: Sized + 'static {
    /// The string by which the next kernel finds its handler; at most 47 bytes.
    const COMPATIBLE: &'static CStr;

    /// What one kernel tells the next about one file.
    type Data: FromBytes + IntoBytes + Send;

    /// Returns whether this handler is responsible for `file`.
    ///
    /// Called for any file at all that somebody wants to preserve. Must be quick and must not
    /// change anything.
    fn can_preserve(file: &File) -> bool;

    /// Returns a number that is the same for all files that stand for the same resource.
    ///
    /// No two files with the same number can be preserved at the same time. The number must not
    /// change while the file is open. Without this method, each file is its own resource.
    fn id(_file: &File) -> usize {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Prepares `file` for being handed over, while it may still be in use.
    ///
    /// The error is returned to userspace.
    fn preserve(file: &File) -> Result<Preserved<Self::Data>>;

    /// Undoes [`preserve`](Self::preserve): there will be no live update.
    fn unpreserve(file: &File, data: Preserved<Self::Data>);

    /// Brings the resource into the state in which it is handed over.
    ///
    /// Userspace is still running, but nothing can be preserved or unpreserved any more. An error
    /// stops the kexec.
    fn freeze(_file: &File, _data: &mut Self::Data) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Rebuilds the file in the new kernel.
    ///
    /// The error is returned to userspace, now and whenever it asks for this file again.
    fn retrieve(data: Restored<Self::Data>) -> Result<ARef<File>>;

    /// Returns whether the session may finish as far as this file is concerned.
    ///
    /// If one file of the session says no, the session is left as it is.
    fn can_finish(_outcome: Outcome<'_, ()>) -> bool {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Ends the live update of this file in the new kernel.
    fn finish(outcome: Outcome<'_, Restored<Self::Data>>);
}

/// Makes a [`FileHandler`] known to the LUO.
///
/// It must be a `static`: the LUO keeps its address.
///
/// # Examples
///
/// ```
/// use kernel::{
///     fs::File,
///     kho::{Preserved, Restored},
///     liveupdate::{FileHandler, Handler, Outcome},
///     sync::aref::ARef,
/// };
///
/// /// Claims no file; a real handler compares the file's operations with its own.
/// struct Nothing;
///
/// #[vtable]
/// impl FileHandler for Nothing {
///     const COMPATIBLE: &'static CStr = c"rust-doctest-v1";
///     type Data = u64;
///
///     fn can_preserve(_file: &File) -> bool {
///         false
///     }
///
///     fn preserve(_file: &File) -> Result<Preserved<u64>> {
///         Preserved::new(42)
///     }
///
///     fn unpreserve(_file: &File, _data: Preserved<u64>) {}
///
///     fn retrieve(_data: Restored<u64>) -> Result<ARef<File>> {
///         Err(EOPNOTSUPP)
///     }
///
///     fn finish(_outcome: Outcome<'_, Restored<u64>>) {}
/// }
///
/// static HANDLER: Handler<Nothing> = Handler::new();
///
/// let registration = match HANDLER.register() {
///     Err(EOPNOTSUPP) => return Ok(()), // Live update is disabled in this boot.
///     result => result?,
/// };
///
/// // A second handler with the same compatible string is refused.
/// assert_eq!(HANDLER.register().err(), Some(EEXIST));
///
/// // Dropping the registration takes the handler out again.
/// drop(registration);
/// assert!(HANDLER.register().is_ok());
/// # Ok::<(), Error>(())
/// ```
pub struct Handler<T: FileHandler> {
    inner: Opaque<bindings::liveupdate_file_handler>,
    /// Whether a file was claimed: `UNCLAIMED`, `LINKING` or `CLAIMED`.
    state: Atomic<u32>,
    _handler: PhantomData<T>,
}

// SAFETY: After construction only the LUO accesses `inner`, under its own locks.
unsafe impl<T: FileHandler> Sync for Handler<T> {}

impl<T: FileHandler> Handler<T> {
    /// No file was claimed so far.
    const UNCLAIMED: u32 = 0;
    /// No file was claimed so far, nor can be now: something is being linked to the handler.
    const LINKING: u32 = 1;
    /// A file was claimed, and may be preserved.
    const CLAIMED: u32 = 2;

    /// The compatible string in the form of the C struct. Too long a string does not compile.
    const COMPATIBLE: [crate::ffi::c_char; bindings::LIVEUPDATE_HNDL_COMPAT_LENGTH as usize] =
        super::compatible(T::COMPATIBLE);

    /// Creates a handler that is not registered yet.
    pub const fn new() -> Self {
        Self {
            inner: Opaque::new(bindings::liveupdate_file_handler {
                ops: VTable::<T>::build(),
                compatible: Self::COMPATIBLE,
                // The LUO initialises its private members when the handler is registered.
                ..pin_init::zeroed()
            }),
            state: Atomic::new(Self::UNCLAIMED),
            _handler: PhantomData,
        }
    }

    /// Registers the handler until the returned [`Registration`] is dropped.
    ///
    /// Handlers must be registered before userspace first opens `/dev/liveupdate` after a live
    /// update: that is when the LUO looks for the handlers of the files it was handed.
    ///
    /// Fails with [`EOPNOTSUPP`] when live update is disabled in this boot, and with [`EEXIST`]
    /// when the compatible string is taken, be it by this very handler.
    pub fn register(&'static self) -> Result<Registration<T>> {
        // SAFETY: `inner` is a valid handler with all required callbacks. It is borrowed for
        // `'static`, so it is neither moved nor freed. As everywhere in Rust code, this is true of
        // a module's statics only until the module is unloaded; that the module drops the
        // registration first cannot be enforced here, and is asked for by `Registration`.
        // Registering a handler twice is caught by its compatible string before it is touched.
        to_result(unsafe { bindings::liveupdate_register_file_handler(self.inner.get()) })?;

        // INVARIANT: The handler was just registered, by nobody else.
        Ok(Registration { handler: self })
    }

    /// Notes that the handler is responsible for a file, unless it is not ready for that.
    fn claim(&self) -> bool {
        self.state.cmpxchg(Self::UNCLAIMED, Self::CLAIMED, Full) != Err(Self::LINKING)
    }
}

impl<T: FileHandler> Default for Handler<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Keeps a [`Handler`] registered.
///
/// A module must drop it on unload at the latest. The LUO holds a reference to the module for as
/// long as a file of the handler is preserved or waits for its session to finish.
///
/// # Invariants
///
/// `handler` is registered, and this object alone will unregister it.
#[must_use = "the handler is unregistered when this is dropped"]
pub struct Registration<T: FileHandler> {
    handler: &'static Handler<T>,
}

impl<T: FileHandler> Registration<T> {
    /// Returns the C handler, which is registered for as long as this object exists.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::liveupdate_file_handler {
        self.handler.inner.get()
    }

    /// Calls `link` while no file of the handler is preserved, nor can be.
    ///
    /// Fails with [`EBUSY`] once a file was claimed.
    pub(super) fn link(
        &self,
        link: impl FnOnce(*mut bindings::liveupdate_file_handler) -> Result,
    ) -> Result {
        let state = &self.handler.state;

        state
            .cmpxchg(Handler::<T>::UNCLAIMED, Handler::<T>::LINKING, Full)
            .map_err(|_| EBUSY)?;
        let result = link(self.as_raw());
        // Pairs with `claim`: a file that is claimed from now on sees what was linked.
        state.store(Handler::<T>::UNCLAIMED, Release);
        result
    }
}

impl<T: FileHandler> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the handler is registered and is unregistered only here.
        unsafe { bindings::liveupdate_unregister_file_handler(self.handler.inner.get()) };
    }
}

/// The C side of a [`FileHandler`].
struct VTable<T: FileHandler>(PhantomData<T>);

impl<T: FileHandler> VTable<T> {
    const VTABLE: bindings::liveupdate_file_ops = bindings::liveupdate_file_ops {
        can_preserve: Some(Self::can_preserve),
        preserve: Some(Self::preserve),
        unpreserve: Some(Self::unpreserve),
        freeze: if T::HAS_FREEZE {
            Some(Self::freeze)
        } else {
            None
        },
        unfreeze: None,
        retrieve: Some(Self::retrieve),
        can_finish: if T::HAS_CAN_FINISH {
            Some(Self::can_finish)
        } else {
            None
        },
        finish: Some(Self::finish),
        get_id: if T::HAS_ID { Some(Self::id) } else { None },
        owner: this_module::<T::OwnerModule>().as_ptr(),
    };

    const fn build() -> &'static bindings::liveupdate_file_ops {
        &Self::VTABLE
    }

    /// # Safety
    ///
    /// `handler` must be the C part of a `Handler<T>`, and `file` a valid file, for the duration of
    /// the call.
    unsafe extern "C" fn can_preserve(
        handler: *mut bindings::liveupdate_file_handler,
        file: *mut bindings::file,
    ) -> bool {
        // SAFETY: The caller holds a reference to the file. It got it with `fget()` in an ioctl,
        // where no `fdget_pos` is active on this thread: the same situation, and the same reason,
        // as for `LocalFile::assume_no_fdget_pos` after `LocalFile::fget`.
        if !T::can_preserve(unsafe { File::from_raw_file(file) }) {
            return false;
        }

        // SAFETY: By the function's requirements `handler` is the `inner` of a `Handler<T>`.
        let handler = unsafe { &*container_of!(Opaque::cast_from(handler), Handler<T>, inner) };

        handler.claim()
    }

    /// # Safety
    ///
    /// `file` must be a valid file of this handler for the duration of the call.
    unsafe extern "C" fn id(file: *mut bindings::file) -> crate::ffi::c_ulong {
        // SAFETY: As for `can_preserve`.
        T::id(unsafe { File::from_raw_file(file) })
    }

    /// # Safety
    ///
    /// `args` must be valid, with `file` a valid file of this handler, for the duration of the
    /// call.
    unsafe extern "C" fn preserve(
        args: *mut bindings::liveupdate_file_op_args,
    ) -> crate::ffi::c_int {
        // SAFETY: `args` is valid and used by nobody else during the call.
        let args = unsafe { &mut *args };
        // SAFETY: As for `can_preserve`.
        let file = unsafe { File::from_raw_file(args.file) };

        from_result(|| {
            args.serialized_data = T::preserve(file)?.into_phys();
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `args` must be those of a file that was preserved by [`Self::preserve`] and not yet
    /// unpreserved.
    unsafe extern "C" fn unpreserve(args: *mut bindings::liveupdate_file_op_args) {
        // SAFETY: `args` is valid and used by nobody else during the call.
        let args = unsafe { &mut *args };
        // SAFETY: The LUO's reference keeps the file alive. It calls this when a session is closed,
        // and so with no `fdget_pos` on this thread.
        let file = unsafe { File::from_raw_file(args.file) };
        // SAFETY: The address was returned by `into_phys` in `preserve`, and the LUO unpreserves a
        // file only once.
        let data = unsafe { Preserved::from_phys(args.serialized_data) };

        T::unpreserve(file, data);
    }

    /// # Safety
    ///
    /// `args` must be those of a file that was preserved by [`Self::preserve`] and not yet
    /// unpreserved.
    unsafe extern "C" fn freeze(args: *mut bindings::liveupdate_file_op_args) -> crate::ffi::c_int {
        // SAFETY: `args` is valid and used by nobody else during the call.
        let args = unsafe { &mut *args };
        // SAFETY: The LUO's reference keeps the file alive. For `fdget_pos` see `can_preserve`; the
        // reboot system call is not called with one either.
        let file = unsafe { File::from_raw_file(args.file) };
        // SAFETY: The address was returned by `into_phys` in `preserve`. The memory is only lent
        // to this call: `ManuallyDrop` leaves it to the next kernel, or to `unpreserve`.
        let mut data =
            ManuallyDrop::new(unsafe { Preserved::<T::Data>::from_phys(args.serialized_data) });

        from_result(|| T::freeze(file, &mut data).map(|()| 0))
    }

    /// # Safety
    ///
    /// `args` must be valid for the duration of the call and belong to a file that was handed over
    /// for this handler and was never passed to this function before.
    unsafe extern "C" fn retrieve(
        args: *mut bindings::liveupdate_file_op_args,
    ) -> crate::ffi::c_int {
        // SAFETY: `args` is valid and used by nobody else during the call.
        let args = unsafe { &mut *args };

        from_result(|| {
            // SAFETY: The previous kernel handed the address over under this handler's compatible
            // string, which stands for the type.
            let data = unsafe { Restored::claim(args.serialized_data) }?;

            args.file = ARef::into_raw(T::retrieve(data)?).as_ptr().cast();
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `args` must be valid for the duration of the call; `file` must be a valid file if
    /// `retrieve_status` is positive.
    unsafe extern "C" fn can_finish(args: *mut bindings::liveupdate_file_op_args) -> bool {
        // SAFETY: `args` is valid and used by nobody else during the call.
        let args = unsafe { &mut *args };

        // SAFETY: Passed on from the caller.
        T::can_finish(unsafe { Self::outcome(args, || Ok(())) })
    }

    /// # Safety
    ///
    /// As for [`Self::can_finish`], and it must be the last call for this file.
    unsafe extern "C" fn finish(args: *mut bindings::liveupdate_file_op_args) {
        // SAFETY: `args` is valid and used by nobody else during the call.
        let args = unsafe { &mut *args };
        let phys = args.serialized_data;

        // SAFETY: Passed on from the caller. The data is claimed only if `retrieve` never was
        // called, so it is claimed once; for its type see `retrieve`.
        T::finish(unsafe { Self::outcome(args, || Restored::claim(phys)) });
    }

    /// # Safety
    ///
    /// If `args.retrieve_status` is positive, `args.file` must be a valid file for `'a`.
    unsafe fn outcome<'a, D>(
        args: &bindings::liveupdate_file_op_args,
        unclaimed: impl FnOnce() -> Result<D>,
    ) -> Outcome<'a, D> {
        match args.retrieve_status {
            0 => unclaimed().map_or_else(Outcome::Failed, Outcome::Unclaimed),
            // SAFETY: The LUO holds a reference to the file that `retrieve` returned. It calls this
            // in an ioctl of a session or when a session is closed, and so with no `fdget_pos` on
            // this thread.
            status if status > 0 => Outcome::Retrieved(unsafe { File::from_raw_file(args.file) }),
            status => Outcome::Failed(Error::from_errno(status)),
        }
    }
}

#[cfg(CONFIG_RUST_LIVEUPDATE_KUNIT_TEST)]
#[macros::kunit_tests(rust_kernel_liveupdate)]
mod tests {
    use super::*;
    use crate::error::from_err_ptr;
    use core::ptr::NonNull;

    /// Implements what is required and nothing else.
    struct Minimal;

    #[vtable]
    impl FileHandler for Minimal {
        const COMPATIBLE: &'static CStr = c"rust-kunit-minimal-v1";
        type Data = u64;

        fn can_preserve(_file: &File) -> bool {
            false
        }

        fn preserve(_file: &File) -> Result<Preserved<u64>> {
            Err(ENOSPC)
        }

        fn unpreserve(_file: &File, _data: Preserved<u64>) {}

        fn retrieve(_data: Restored<u64>) -> Result<ARef<File>> {
            // Not an error that the glue itself could return.
            Err(ENOSPC)
        }

        fn finish(_outcome: Outcome<'_, Restored<u64>>) {}
    }

    /// Implements everything.
    struct Complete;

    impl Complete {
        const ID: usize = 0x1d;
        const AT_PRESERVE: u64 = 1;
        const AT_FREEZE: u64 = 2;
    }

    #[vtable]
    impl FileHandler for Complete {
        const COMPATIBLE: &'static CStr = c"rust-kunit-complete-v1";
        type Data = u64;

        fn can_preserve(_file: &File) -> bool {
            true
        }

        fn id(_file: &File) -> usize {
            Self::ID
        }

        fn preserve(_file: &File) -> Result<Preserved<u64>> {
            Preserved::new(Self::AT_PRESERVE)
        }

        fn unpreserve(_file: &File, _data: Preserved<u64>) {}

        fn freeze(_file: &File, data: &mut u64) -> Result {
            if *data != Self::AT_PRESERVE {
                return Err(EIO);
            }
            *data = Self::AT_FREEZE;
            Ok(())
        }

        fn retrieve(_data: Restored<u64>) -> Result<ARef<File>> {
            Err(ENOSPC)
        }

        fn can_finish(outcome: Outcome<'_, ()>) -> bool {
            matches!(outcome, Outcome::Retrieved(_))
        }

        fn finish(_outcome: Outcome<'_, Restored<u64>>) {}
    }

    static MINIMAL: Handler<Minimal> = Handler::new();
    static COMPLETE: Handler<Complete> = Handler::new();

    /// Some file that exists in every kernel.
    fn any_file() -> Result<ARef<File>> {
        // SAFETY: The path is a valid C string.
        let file = unsafe {
            bindings::filp_open(
                c"/".as_char_ptr(),
                (bindings::O_RDONLY | bindings::O_DIRECTORY) as crate::ffi::c_int,
                0,
            )
        };
        let file = NonNull::new(from_err_ptr(file)?).ok_or(ENOENT)?;

        // SAFETY: `filp_open` returns a reference, and nobody else knows of the file.
        Ok(unsafe { ARef::from_raw(file.cast()) })
    }

    fn args(file: *mut bindings::file) -> bindings::liveupdate_file_op_args {
        bindings::liveupdate_file_op_args {
            file,
            ..pin_init::zeroed()
        }
    }

    #[test]
    fn optional_callbacks_are_optional() {
        let ops = VTable::<Minimal>::build();
        assert!(ops.freeze.is_none());
        assert!(ops.can_finish.is_none());
        assert!(ops.get_id.is_none());

        let ops = VTable::<Complete>::build();
        assert!(ops.freeze.is_some());
        assert!(ops.can_finish.is_some());
        assert!(ops.get_id.is_some());
    }

    #[test]
    fn the_compatible_string_reaches_the_luo() {
        let string = Handler::<Complete>::COMPATIBLE;
        assert_eq!(&string[..22], b"rust-kunit-complete-v1");
        assert!(string[22..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn handlers_register_once() -> Result {
        let first = MINIMAL.register()?;
        assert_eq!(MINIMAL.register().err(), Some(EEXIST));

        // Another compatible string is another handler.
        let other = COMPLETE.register()?;
        drop(first);
        let again = MINIMAL.register()?;
        drop(other);
        drop(again);
        Ok(())
    }

    #[test]
    fn nothing_is_linked_once_a_file_was_claimed() -> Result {
        static HANDLER: Handler<Complete> = Handler::new();

        let file = any_file()?;
        let can_preserve = |handler| {
            // SAFETY: The handler is a static, and the file is valid.
            unsafe { VTable::<Complete>::can_preserve(handler, file.as_ptr()) }
        };
        let registration = HANDLER.register()?;

        // No file can slip in while something is linked, nor anything else.
        registration.link(|handler| {
            assert!(!can_preserve(handler));
            assert_eq!(registration.link(|_| Ok(())), Err(EBUSY));
            Ok(())
        })?;

        // Failing to link changes nothing.
        assert_eq!(registration.link(|_| Err(ENOSPC)), Err(ENOSPC));
        registration.link(|_| Ok(()))?;

        assert!(can_preserve(registration.as_raw()));
        assert_eq!(registration.link(|_| Ok(())), Err(EBUSY));

        // The file may be preserved for longer than the handler is registered.
        drop(registration);
        assert_eq!(HANDLER.register()?.link(|_| Ok(())), Err(EBUSY));
        Ok(())
    }

    #[test]
    fn preserve_freeze_and_unpreserve_share_their_data() -> Result {
        let file = any_file()?;
        let mut args = args(file.as_ptr());

        // SAFETY: The file is valid.
        let mine = unsafe { VTable::<Complete>::can_preserve(COMPLETE.inner.get(), args.file) };
        assert!(mine);

        // SAFETY: The file is valid.
        let id = unsafe { VTable::<Complete>::id(args.file) };
        assert_eq!(id, Complete::ID as crate::ffi::c_ulong);

        // SAFETY: The file is valid.
        let status = unsafe { VTable::<Complete>::preserve(&mut args) };
        assert_eq!(status, 0);
        assert!(args.serialized_data != 0);

        // SAFETY: The file was preserved just now.
        let status = unsafe { VTable::<Complete>::freeze(&mut args) };
        assert_eq!(status, 0);

        // The memory is still there, with what `freeze` left in it.
        // SAFETY: It was given away by `preserve` above and is only looked at here.
        let data = ManuallyDrop::new(unsafe { Preserved::<u64>::from_phys(args.serialized_data) });
        assert_eq!(**data, Complete::AT_FREEZE);

        // SAFETY: The file is preserved, and is unpreserved once.
        unsafe { VTable::<Complete>::unpreserve(&mut args) };
        Ok(())
    }

    #[test]
    fn errors_reach_the_luo() -> Result {
        let file = any_file()?;
        let mut args = args(file.as_ptr());

        // SAFETY: The file is valid.
        let status = unsafe { VTable::<Minimal>::preserve(&mut args) };
        assert_eq!(status, ENOSPC.to_errno());
        assert_eq!(args.serialized_data, 0);
        Ok(())
    }

    #[test]
    fn data_that_was_never_handed_over_is_refused() {
        let mut args = args(core::ptr::null_mut());

        // No page frame exists at this address.
        args.serialized_data = 1 << 51;
        // SAFETY: The address is refused before anything is claimed.
        let status = unsafe { VTable::<Complete>::retrieve(&mut args) };
        assert_eq!(status, EINVAL.to_errno());
        assert!(args.file.is_null());
    }

    #[test]
    fn outcomes_follow_the_retrieve_status() -> Result {
        let file = any_file()?;
        let mut args = args(file.as_ptr());

        for (retrieve_status, expected) in [(0, false), (ENOSPC.to_errno(), false), (1, true)] {
            args.retrieve_status = retrieve_status;
            // SAFETY: The file is valid whatever the status says.
            let can_finish = unsafe { VTable::<Complete>::can_finish(&mut args) };
            assert_eq!(can_finish, expected);
        }
        Ok(())
    }
}
