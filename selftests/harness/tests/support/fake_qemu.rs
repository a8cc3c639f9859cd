// SPDX-License-Identifier: GPL-2.0-only

//! A scripted stand-in for QEMU.
//!
//! It understands the `-chardev` arguments, opens the two FIFOs and connects to the control socket as QEMU does, answers
//! QMP, and plays the script that lies beside it: `<its own path as called>.script`, a JSON array of operations.
//!
//! `fake-qemu --supervise QEMU DIR` is the other side: it runs the real supervisor, so that a test can kill it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use std::{env, fs, process, thread};

use camino::Utf8Path;
use harness::cmdline::Channels;
use harness::rundir::RunDir;
use harness::topology::{Firmware, Iommu, Topology};
use harness::vm::{Request, supervise};
use rustix::fs::{OFlags, fcntl_setfl};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Op {
    /// Writes to the console.
    Console(String),
    /// As the first operation: writes so many numbered lines to the console before the supervisor is told of us, so that
    /// nobody reads. As QEMU does: byte by byte, and what is not taken at once is lost.
    Flood(usize),
    /// Writes to the result channel.
    Result(String),
    /// Sends a QMP event SHUTDOWN with this reason.
    Shutdown(String),
    /// Sends a QMP event DEVICE_DELETED for this device.
    Deleted(String),
    /// Logs a trace event at this time.
    Trace(String),
    /// From now on the IOMMU's status register says that it translates, or that it does not.
    Translates(bool),
    /// Waits so many milliseconds.
    SleepMs(u64),
    /// Waits until a QMP command of this name has come.
    Await(String),
    /// Prints to standard error.
    Stderr(String),
    /// Writes the process id to this file.
    PidFile(String),
    /// Waits for ever, but answers QMP.
    Hang,
    /// Writes to the console for ever.
    Chatter,
    /// Ends with this status.
    Exit(i32),
    /// Dies of SIGABRT.
    Abort,
}

fn main() {
    let args: Vec<String> = env::args().collect();
    if args.get(1).is_some_and(|arg| arg == "--supervise") {
        return run_supervisor(Utf8Path::new(&args[2]), Utf8Path::new(&args[3]));
    }
    let script = fs::read_to_string(format!("{}.script", args[0])).expect("a script lies beside us");
    let script: Vec<Op> = serde_json::from_str(&script).expect("the script is valid");
    // A QEMU that dislikes its arguments ends before it connects.
    if let [Op::Stderr(text), Op::Exit(code)] = script.as_slice() {
        eprintln!("{text}");
        process::exit(*code);
    }
    let mut console = open(&args, "console");
    let mut result = open(&args, "result");
    if let Some(Op::Flood(lines)) = script.first() {
        flood(&console, *lines);
    }
    let qmp = UnixStream::connect(chardev(&args, "socket,id=qmp,path=")).expect("the supervisor listens");
    let qmp = Arc::new(Mutex::new(qmp));
    let status = Arc::new(AtomicU32::new(0));
    let commands = serve(&qmp, &status);
    for op in script {
        match op {
            Op::Console(text) => console.write_all(text.as_bytes()).expect("somebody listens"),
            Op::Flood(_) => {}
            Op::Result(text) => result.write_all(format!("{text}\n").as_bytes()).expect("somebody listens"),
            Op::Shutdown(reason) => send(&qmp, &json!({"event": "SHUTDOWN", "data": {"reason": reason}})),
            Op::Deleted(device) => send(&qmp, &json!({"event": "DEVICE_DELETED", "data": {"device": device}})),
            Op::Trace(event) => trace(&args, &event),
            Op::Translates(on) => status.store(u32::from(on) << 31, Ordering::SeqCst),
            Op::SleepMs(ms) => thread::sleep(Duration::from_millis(ms)),
            Op::Await(name) => while commands.recv().expect("we answer for ever") != name {},
            Op::Stderr(text) => eprintln!("{text}"),
            Op::PidFile(path) => fs::write(path, process::id().to_string()).expect("the test's directory is writable"),
            Op::Hang => loop {
                thread::park();
            },
            Op::Chatter => loop {
                console.write_all(b"[    1.000000] still here\n").expect("somebody listens");
                thread::sleep(Duration::from_millis(20));
            },
            Op::Exit(code) => process::exit(code),
            Op::Abort => process::abort(),
        }
    }
    process::exit(0);
}

fn chardev(args: &[String], prefix: &str) -> String {
    args.iter().find_map(|arg| arg.strip_prefix(prefix)).expect("such a chardev was given").replace(",,", ",")
}

fn open(args: &[String], id: &str) -> File {
    let path = chardev(args, &format!("file,id={id},path="));
    OpenOptions::new().write(true).open(path).expect("the supervisor has made it before it starts us")
}

fn flood(mut console: &File, lines: usize) {
    fcntl_setfl(console, OFlags::NONBLOCK).expect("a FIFO can be told not to block");
    for line in 0..lines {
        for byte in format!("line {line}\n").bytes() {
            let _ = console.write(&[byte]);
        }
    }
    fcntl_setfl(console, OFlags::empty()).expect("a FIFO can be told to block");
}

fn send(qmp: &Mutex<UnixStream>, message: &Value) {
    let line = format!("{message}\r\n");
    qmp.lock().expect("no thread panics with it").write_all(line.as_bytes()).expect("somebody listens");
}

/// Appends to the log, as QEMU does.
fn trace(args: &[String], event: &str) {
    let path = args.iter().skip_while(|arg| *arg != "-D").nth(1).expect("there is to be a trace");
    let mut log = OpenOptions::new().create(true).append(true).open(path).expect("the log can be written");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    let (seconds, micros, process) = (now.as_secs(), now.subsec_micros(), process::id());
    writeln!(log, "{process}@{seconds}.{micros:06}:{event}").expect("the log can be written");
}

/// Greets, answers in the background, and tells the commands that came.
fn serve(qmp: &Arc<Mutex<UnixStream>>, status: &Arc<AtomicU32>) -> Receiver<String> {
    send(qmp, &json!({"QMP": {"version": {}, "capabilities": []}}));
    let reader = qmp.lock().expect("nobody has it yet").try_clone().expect("a socket can be cloned");
    let (qmp, status) = (Arc::clone(qmp), Arc::clone(status));
    let (sender, commands) = channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            let command: Value = serde_json::from_str(&line).expect("commands are JSON");
            let answer = match command["execute"].as_str() {
                Some("human-monitor-command") if command["arguments"]["command-line"] == "xp /1xw 0xfed9001c" => {
                    json!(format!("00000000fed9001c: {:#010x}\r\n", status.load(Ordering::SeqCst)))
                }
                Some("query-pci") => json!([{"devices": [{"qdev_id": "dut", "bus": 1, "slot": 0, "function": 0}]}]),
                Some("human-monitor-command") => {
                    json!("\r\nCPU#0\r\nRIP=ffffffff81000010 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0\r\n")
                }
                _ => json!({}),
            };
            let id = &command["id"];
            send(&qmp, &json!({"return": answer, "id": id}));
            let _ = sender.send(command["execute"].as_str().unwrap_or_default().to_owned());
            if command["execute"] == "quit" {
                process::exit(0);
            }
        }
    });
    commands
}

fn run_supervisor(qemu: &Utf8Path, directory: &Utf8Path) {
    let run_dir = RunDir::new_in(directory.as_std_path()).expect("a run directory");
    let channels = Channels::below(run_dir.path());
    let (iommu, firmware) = (Iommu::None, Firmware::Seabios);
    let topology = Topology { iommu, memory: "1G".into(), cpus: 1, firmware, hotplug: false, places: Vec::new() };
    let request = Request {
        qemu,
        args: channels.chardevs().into_iter().flat_map(|value| ["-chardev".to_owned(), value]).collect(),
        channels,
        log_dir: directory,
        wall: Duration::from_secs(60),
        stall: Duration::from_secs(60),
        slowness: 1,
        symbols: Vec::new(),
        topology: &topology,
        memory_file: None,
        between: Vec::new(),
        witness: None,
        rings: BTreeMap::new(),
        translation: None,
    };
    supervise(&request).expect("the supervisor works");
}
