// SPDX-License-Identifier: GPL-2.0-only

//! QEMU's control channel: one JSON object per line.
//!
//! We need little of it: the SHUTDOWN event with its reason, the CPUs' registers when a VM hangs, `quit`, and what changes a
//! running machine. Commands carry an id, so that answers and events may come in any order.

use serde_json::{Value, json};

use crate::observe::Cpu;
use crate::symbols::Symbols;

/// A line from QEMU.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// QEMU is there and waits for `qmp_capabilities`.
    Greeting,
    /// QEMU shuts down; why.
    Shutdown(String),
    /// A device is gone for good.
    Deleted(String),
    /// Another event.
    Event(String),
    /// The answer to a command; `Err` holds QEMU's description.
    Answer(u64, Result<Value, String>),
}

/// Reads a line; `None` if it is nothing that QMP says.
pub fn parse(line: &str) -> Option<Message> {
    let value: Value = serde_json::from_str(line.trim()).ok()?;
    if value.get("QMP").is_some() {
        return Some(Message::Greeting);
    }
    if let Some(event) = value.get("event").and_then(Value::as_str) {
        let reason = value.pointer("/data/reason").and_then(Value::as_str).unwrap_or("unknown");
        let device = value.pointer("/data/device").and_then(Value::as_str);
        return Some(match (event, device) {
            ("SHUTDOWN", _) => Message::Shutdown(reason.to_owned()),
            ("DEVICE_DELETED", Some(device)) => Message::Deleted(device.to_owned()),
            (other, _) => Message::Event(other.to_owned()),
        });
    }
    let id = value.get("id")?.as_u64()?;
    let answer = match (value.get("return"), value.pointer("/error/desc").and_then(Value::as_str)) {
        (Some(answer), _) => Ok(answer.clone()),
        (None, error) => Err(error.unwrap_or("unknown error").to_owned()),
    };
    Some(Message::Answer(id, answer))
}

/// The id of [`capabilities`]; those of other commands are larger.
pub const CAPABILITIES_ID: u64 = 0;

/// The line that negotiates; nothing but errors before it.
pub fn capabilities() -> String {
    command(CAPABILITIES_ID, "qmp_capabilities", &json!({}))
}

/// The line of any command.
pub fn command(id: u64, command: &str, arguments: &Value) -> String {
    format!("{}\n", json!({"execute": command, "arguments": arguments, "id": id}))
}

/// Reads the answer to `info registers -a`.
pub fn cpus(answer: &str, symbols: Option<&Symbols>) -> Vec<Cpu> {
    let mut cpus = Vec::new();
    let mut index = None;
    for text in answer.lines() {
        if let Some(number) = text.trim().strip_prefix("CPU#") {
            index = number.trim().parse().ok();
        }
        let field = |name: &str| text.split_ascii_whitespace().find_map(|word| word.strip_prefix(name));
        let Some(rip) = field("RIP=").or_else(|| field("EIP=")).and_then(|rip| u64::from_str_radix(rip, 16).ok())
        else {
            continue;
        };
        let user = field("CPL=") == Some("3");
        let symbol = if user { None } else { symbols.and_then(|symbols| symbols.name(rip)) };
        let index = index.take().unwrap_or(cpus.len());
        cpus.push(Cpu { index, rip, halted: field("HLT=") == Some("1"), user, symbol });
    }
    cpus
}

/// `CPU 0 halted in default_idle+0xb; CPU 1 runs luo_file_freeze+0x41`.
pub fn describe(cpus: &[Cpu]) -> String {
    let one = |cpu: &Cpu| {
        let place = cpu.symbol.clone().unwrap_or_else(|| format!("{:#x}", cpu.rip));
        match (cpu.halted, cpu.user) {
            (true, _) => format!("CPU {} is halted in {place}", cpu.index),
            (false, true) => format!("CPU {} runs user space at {:#x}", cpu.index, cpu.rip),
            (false, false) => format!("CPU {} runs {place}", cpu.index),
        }
    };
    if cpus.is_empty() {
        "QEMU did not tell where the CPUs are".into()
    } else {
        cpus.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        assert_eq!(parse(r#"{"QMP": {"version": {}, "capabilities": ["oob"]}}"#), Some(Message::Greeting));
        assert_eq!(
            parse(r#"{"timestamp": {}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}"#),
            Some(Message::Shutdown("guest-reset".into()))
        );
        assert_eq!(parse(r#"{"event": "RTC_CHANGE", "data": {}}"#), Some(Message::Event("RTC_CHANGE".into())));
        assert_eq!(
            parse(r#"{"event": "DEVICE_DELETED", "data": {"device": "late", "path": "/machine/peripheral/late"}}"#),
            Some(Message::Deleted("late".into()))
        );
        assert_eq!(parse(r#"{"return": "x", "id": 3}"#), Some(Message::Answer(3, Ok("x".into()))));
        assert_eq!(
            parse(r#"{"error": {"class": "GenericError", "desc": "no"}, "id": 4}"#),
            Some(Message::Answer(4, Err("no".into())))
        );
        assert_eq!(parse("{"), None);
    }

    #[test]
    fn commands_are_single_lines() {
        for line in [capabilities(), command(1, "device_add", &json!({"id": "a\nb"}))] {
            assert_eq!(line.matches('\n').count(), 1);
            assert!(line.ends_with('\n'));
        }
    }

    #[test]
    fn registers_of_every_cpu() {
        let text = "\r\nCPU#0\r\nRAX=0 RBX=1\r\nRIP=ffffffff81000104 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n\
                    ES =0000 00000000\r\n\r\nCPU#1\r\nRAX=0\r\nRIP=00000000004010ab RFL=00000202 [-------] CPL=3 II=0 A20=1 SMM=0 HLT=0\r\n";
        let symbols = Symbols::parse("ffffffff81000100 T default_idle\n");
        let cpus = cpus(text, Some(&symbols));
        assert_eq!(describe(&cpus), "CPU 0 is halted in default_idle+0x4; CPU 1 runs user space at 0x4010ab");
        assert_eq!(cpus[1].index, 1);
    }
}
