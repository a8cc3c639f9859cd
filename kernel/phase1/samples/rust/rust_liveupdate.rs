// SPDX-License-Identifier: GPL-2.0

//! Rust live update sample.
//!
//! Every open file of `/dev/rust-liveupdate` is a note: what is written to it can be read back
//! until it is closed. A note can be preserved in a session of the Live Update Orchestrator, and
//! is then still there, with what was last written to it, when it is retrieved from the session
//! after the kernel was replaced through kexec.
//!
//! All preserved notes share a record, which counts them and the live updates so far. It becomes
//! visible in what a newly opened note says before anything is written to it.
//!
//! The module must be loaded in both kernels, in the new one before `/dev/liveupdate` is opened.

use kernel::{
    fs::{
        File,
        Kiocb, //
    },
    io::PhysAddr,
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
        Flb,
        FlbOps,
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
    str::CString,
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

/// What one kernel tells the next about all notes together.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes)]
struct RecordSer {
    /// How many live updates there were, including the one that hands this over.
    updates: u64,
    /// How many notes are handed over.
    notes: u64,
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
    /// What the previous kernel told about all of its notes.
    record: RecordSer,
}

global_lock! {
    // SAFETY: Initialised in the module's initialiser, before anything can use it.
    unsafe(uninit) static STATE: Mutex<State> = State {
        device: None,
        notes: KVec::new(),
        record: RecordSer { updates: 0, notes: 0 },
    };
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
        let RecordSer { updates, notes } = STATE.lock().record;
        let greeting = CString::try_from_fmt(fmt!("live update {updates}, {notes} notes"))?;
        let mut text = KVec::new();
        text.extend_from_slice(greeting.to_bytes(), GFP_KERNEL)?;

        let note = Note::new(text)?;

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

/// The record that is handed over together with the notes.
#[pin_data]
struct Record {
    #[pin]
    data: Mutex<Preserved<RecordSer>>,
}

impl Record {
    /// Changes the record of the notes that are preserved. There must be one.
    fn change(change: impl FnOnce(&mut RecordSer)) -> Result {
        let record = RECORD.outgoing()?;

        change(&mut record.borrow().data.lock());
        Ok(())
    }
}

// SAFETY: The address is that of the preserved memory which the object owns. The compatible string
// of the handler changed when it came to depend on the object.
#[vtable]
unsafe impl FlbOps for Record {
    const COMPATIBLE: &'static CStr = c"rust-liveupdate-sample-record-v1";

    type Data = RecordSer;
    type Outgoing = Pin<KBox<Self>>;
    type Incoming = KBox<Restored<RecordSer>>;

    fn preserve() -> Result<Pin<KBox<Self>>> {
        let updates = STATE.lock().record.updates.saturating_add(1);
        let data = Preserved::new(RecordSer { updates, notes: 0 })?;

        KBox::pin_init(
            pin_init!(Self {
                data <- new_mutex!(data),
            }? Error),
            GFP_KERNEL,
        )
    }

    fn phys(outgoing: Pin<&Self>) -> PhysAddr {
        outgoing.data.lock().phys()
    }

    fn unpreserve(_outgoing: Pin<KBox<Self>>) {
        // There is nothing to undo: the memory goes away by itself.
    }

    fn retrieve(data: Restored<RecordSer>) -> Result<KBox<Restored<RecordSer>>> {
        Ok(KBox::new(data, GFP_KERNEL)?)
    }

    fn finish(incoming: KBox<Restored<RecordSer>>) {
        pr_info!("live update {} is finished\n", incoming.updates);
    }
}

static RECORD: Flb<Record> = Flb::new();

struct NoteHandler;

#[vtable]
impl FileHandler for NoteHandler {
    // It would be `v1` if there were no record.
    const COMPATIBLE: &'static CStr = c"rust-liveupdate-sample-v2";

    type Data = NoteSer;

    fn can_preserve(file: &File) -> bool {
        find(file).is_some()
    }

    fn preserve(file: &File) -> Result<Preserved<NoteSer>> {
        let note = find(file).ok_or(EINVAL)?;
        let data = Preserved::new(NoteSer::new(&note.text.lock()))?;

        Record::change(|record| record.notes += 1)?;
        Ok(data)
    }

    fn unpreserve(_file: &File, _data: Preserved<NoteSer>) {
        // The record exists for as long as a note is preserved. The memory goes away by itself.
        let _ = Record::change(|record| record.notes -= 1);
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

        // This is also where the LUO learns how many notes there are to be finished, so that it
        // cannot wait until somebody asks for one of them.
        match RECORD.incoming() {
            Ok(record) => STATE.lock().record = **record.borrow(),
            // There was no live update, or there were no notes.
            Err(ENODATA | ENOENT | EOPNOTSUPP) => (),
            Err(error) => pr_warn!("the record was lost: {:?}\n", error),
        }

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
        if let Some(registration) = &module.registration {
            RECORD.register(registration)?;
        }
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
