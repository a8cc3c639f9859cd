// SPDX-License-Identifier: GPL-2.0

//! Rust live update sample.
//!
//! Every open file of `/dev/rust-liveupdate` is a note: what is written to it can be read back
//! until it is closed. A note can be preserved in a session of the Live Update Orchestrator, and
//! is then still there, with what was last written to it, when it is retrieved from the session
//! after the kernel was replaced through kexec.
//!
//! The module must be loaded in both kernels, in the new one before `/dev/liveupdate` is opened.

use kernel::{
    fs::{
        File,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    kho::{
        Preserved,
        Restored, //
    },
    liveupdate::{
        FileHandler,
        Handler,
        Outcome,
        Registration, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        global_lock,
        Arc,
        Mutex, //
    },
};

module! {
    type: RustLiveupdateModule,
    name: "rust_liveupdate",
    description: "Rust live update sample",
    license: "GPL",
}

/// What can be written to a note, in bytes.
const CAPACITY: usize = 64;

/// What one kernel tells the next about a note.
///
/// A real user of live update documents this in `include/linux/kho/abi/`. The fields leave no gap;
/// otherwise this would not compile.
#[repr(C)]
#[derive(FromBytes, IntoBytes)]
struct NoteSer {
    len: u64,
    text: [u8; CAPACITY],
}

impl NoteSer {
    fn new(text: &[u8]) -> Self {
        let mut this = Self {
            len: 0,
            text: [0; CAPACITY],
        };
        this.set(text);
        this
    }

    fn set(&mut self, text: &[u8]) {
        let len = text.len().min(CAPACITY);

        self.text = [0; CAPACITY];
        self.text[..len].copy_from_slice(&text[..len]);
        self.len = len as u64;
    }

    /// The text, unless the previous kernel tells nonsense.
    fn get(&self) -> Option<&[u8]> {
        self.text.get(..usize::try_from(self.len).ok()?)
    }
}

/// What was written to an open file of the device.
#[pin_data]
struct Note {
    #[pin]
    text: Mutex<KVec<u8>>,
}

impl Note {
    fn new(text: KVec<u8>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                text <- new_mutex!(text),
            }),
            GFP_KERNEL,
        )
    }
}

/// What the handler, which has no state of its own, knows.
///
/// A driver that owns the operations of its files tells them from others by these operations. Those
/// of a Rust misc device are private to the abstraction, so the sample keeps a list.
struct State {
    /// The device, while the module is loaded.
    device: Option<Arc<MiscDeviceRegistration<Note>>>,
    /// All notes, with the address of the file that each belongs to.
    notes: KVec<(usize, Arc<Note>)>,
}

global_lock! {
    // SAFETY: Initialised in the module's initialiser, before anything can use it.
    unsafe(uninit) static STATE: Mutex<State> = State { device: None, notes: KVec::new() };
}

/// Remembers that `note` belongs to `file`.
fn remember(file: &File, note: &Arc<Note>) -> Result {
    let entry = (file.as_ptr().addr(), note.clone());

    Ok(STATE.lock().notes.push(entry, GFP_KERNEL)?)
}

/// Returns the note that belongs to `file`, if it is a file of the device.
fn find(file: &File) -> Option<Arc<Note>> {
    let address = file.as_ptr().addr();
    let state = STATE.lock();
    let (_, note) = state.notes.iter().find(|(key, _)| *key == address)?;

    Some(note.clone())
}

/// Forgets the note that belongs to `file`.
fn forget(file: &File) {
    let address = file.as_ptr().addr();

    STATE.lock().notes.retain(|(key, _)| *key != address);
}

#[vtable]
impl MiscDevice for Note {
    type Ptr = Arc<Self>;

    fn open(file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        let note = Note::new(KVec::new())?;

        remember(file, &note)?;
        Ok(note)
    }

    fn release(_note: Arc<Self>, file: &File) {
        forget(file);
    }

    fn read_iter(mut kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let note = kiocb.file();

        // Copying to userspace may take long, which must not hold up `freeze`.
        let mut text = KVec::new();
        text.extend_from_slice(&note.text.lock(), GFP_KERNEL)?;

        iov.simple_read_from_buffer(kiocb.ki_pos_mut(), &text)
    }

    fn write_iter(mut kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let note = kiocb.file();

        if iov.len() > CAPACITY {
            return Err(EFBIG);
        }

        let mut text = KVec::new();
        let len = iov.copy_from_iter_vec(&mut text, GFP_KERNEL)?;

        *note.text.lock() = text;
        // The next read sees the note from its start.
        *kiocb.ki_pos_mut() = 0;
        Ok(len)
    }
}

struct NoteHandler;

#[vtable]
impl FileHandler for NoteHandler {
    const COMPATIBLE: &'static CStr = c"rust-liveupdate-sample-v1";

    type Data = NoteSer;

    fn can_preserve(file: &File) -> bool {
        find(file).is_some()
    }

    fn preserve(file: &File) -> Result<Preserved<NoteSer>> {
        let note = find(file).ok_or(EINVAL)?;
        let text = note.text.lock();

        Preserved::new(NoteSer::new(&text))
    }

    fn unpreserve(_file: &File, _data: Preserved<NoteSer>) {
        // There is nothing to undo: the memory goes away by itself.
    }

    fn freeze(file: &File, data: &mut NoteSer) -> Result {
        let note = find(file).ok_or(EINVAL)?;

        // It may have been written to after it was preserved.
        data.set(&note.text.lock());
        Ok(())
    }

    fn retrieve(data: Restored<NoteSer>) -> Result<ARef<File>> {
        let mut text = KVec::new();
        text.extend_from_slice(data.get().ok_or(EINVAL)?, GFP_KERNEL)?;

        let note = Note::new(text)?;
        let device = STATE.lock().device.clone().ok_or(ENODEV)?;
        let file = device.new_file(note.clone())?;

        remember(&file, &note)?;
        Ok(file)
    }

    fn finish(outcome: Outcome<'_, Restored<NoteSer>>) {
        match outcome {
            Outcome::Retrieved(_) => pr_info!("a note was handed over\n"),
            Outcome::Unclaimed(_) => pr_info!("nobody asked for a note, it is gone\n"),
            Outcome::Failed(error) => pr_info!("a note was lost: {:?}\n", error),
        }
    }
}

static HANDLER: Handler<NoteHandler> = Handler::new();

struct RustLiveupdateModule {
    /// Taken first when the module is unloaded, so that the handler never misses its device.
    registration: Option<Registration<NoteHandler>>,
}

impl kernel::Module for RustLiveupdateModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: Called once, before the first use.
        unsafe { STATE.init() };

        let options = MiscDeviceOptions {
            name: c"rust-liveupdate",
        };
        let device = Arc::pin_init(MiscDeviceRegistration::register(options), GFP_KERNEL)?;
        STATE.lock().device = Some(device);

        // Unwinds what was done so far if it is dropped.
        let mut module = Self { registration: None };

        module.registration = match HANDLER.register() {
            // Without live update, notes are just not preserved.
            Err(EOPNOTSUPP) => None,
            result => Some(result?),
        };
        Ok(module)
    }
}

impl Drop for RustLiveupdateModule {
    fn drop(&mut self) {
        self.registration.take();

        // Statics are not dropped. All files are closed, so that of the notes only the buffer is
        // left. The device is unregistered after the lock is released.
        let mut state = STATE.lock();
        let device = state.device.take();
        let notes = core::mem::take(&mut state.notes);
        drop(state);
        drop((device, notes));
    }
}
