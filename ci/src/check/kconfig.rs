// SPDX-License-Identifier: GPL-2.0-only

//! Whether a phase's gate stays shut: nobody gets it who has not asked for it.
//!
//! A gate is experimental until everything that it promises is there. So its prompt says so, its help text says what is missing, it is not on by
//! default, and no other option switches it on (row 1.15 of the requirements, and Documentation/kbuild/kconfig-language.rst of Linux on
//! `select`). Another gate may, since that has been asked for.

use super::finding::fresh;
use super::{Bench, Finding, Subject, Touched, Verdict};
use crate::kbuild::BuildError;

/// So many lines of help, at least, are taken for an explanation.
const HELP: usize = 4;

pub(super) fn check(subject: &Subject, bench: &Bench<'_>) -> Result<Verdict, BuildError> {
    let is_kconfig = |file: &&Touched| file.path.file_name().is_some_and(|name| name.starts_with("Kconfig"));
    let mut found = Vec::new();
    for file in subject.touched.iter().filter(is_kconfig) {
        let look =
            |text: &Option<String>| text.as_deref().map(|text| look(file, text, bench.gates)).unwrap_or_default();
        found.extend(fresh(&look(&file.old), look(&file.new)));
    }
    Ok(found.into())
}

/// An option as a Kconfig file declares it.
struct Entry<'a> {
    symbol: &'a str,
    line: usize,
    /// With their numbers, without leading blanks.
    attributes: Vec<(usize, &'a str)>,
}

fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        let symbol = ["config ", "menuconfig "].iter().find_map(|word| line.strip_prefix(word));
        match (symbol, entries.last_mut()) {
            (Some(symbol), _) => {
                entries.push(Entry { symbol: symbol.trim(), line: number, attributes: Vec::new() });
                inside = true;
            }
            (None, Some(entry)) if inside && line.starts_with([' ', '\t']) => {
                entry.attributes.push((number, line.trim()));
            }
            _ => inside &= line.is_empty(),
        }
    }
    entries
}

fn look(file: &Touched, text: &str, gates: &[String]) -> Vec<Finding> {
    let is_gate = |symbol: &str| gates.iter().any(|gate| gate == symbol);
    let mut found = Vec::new();
    for entry in entries(text) {
        let mut report = |line, message: String, fix| found.push(Finding::new(&file.path, line, message, fix));
        let help = entry.attributes.iter().position(|(_, text)| *text == "help");
        let (said, help) = entry.attributes.split_at(help.unwrap_or(entry.attributes.len()));
        let symbol = entry.symbol;
        if !is_gate(symbol) {
            for (line, text) in said {
                let mut words = text.split_whitespace();
                if let (Some("select" | "imply"), Some(gate)) = (words.next(), words.next())
                    && is_gate(gate)
                {
                    report(*line, format!("{symbol} switches the gate {gate} on"), "let it depend on the gate");
                }
            }
            continue;
        }
        let prompt = said.iter().find(|(_, text)| text.contains('"') && !text.starts_with("default"));
        if prompt.is_none_or(|(_, text)| !text.contains("(EXPERIMENTAL)")) {
            let line = prompt.map_or(entry.line, |(line, _)| *line);
            report(
                line,
                format!("the prompt of the gate {symbol} does not say that it is experimental"),
                "end it with (EXPERIMENTAL)",
            );
        }
        for (line, text) in said {
            let on = text.starts_with("def_") || text.strip_prefix("default").is_some_and(|value| value.trim() != "n");
            if on {
                report(*line, format!("the gate {symbol} may be on by default"), "remove the default");
            }
        }
        if help.iter().skip(1).filter(|(_, text)| !text.is_empty()).count() < HELP {
            report(
                entry.line,
                format!("the help text of the gate {symbol} does not say what is missing"),
                "tell in a few lines what it does, and what it does not do yet",
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::Small;

    const GOOD: &str = "config ONE
\tbool \"One (EXPERIMENTAL)\"
\tdepends on PCI
\thelp
\t  It does one thing.

\t  Another is missing, and there is
\t  no third yet. Do not use it.
\t  If unsure, say N.

config OTHER
\tbool \"Other\"
\tdefault y
";

    fn found(text: &str) -> String {
        let small = Small::new();
        let subject = small.subject(&[("drivers/Kconfig", "")], &[("drivers/Kconfig", text)]);
        let found = small.run("kconfig", &subject);
        found.iter().map(|one| format!("{}: {}", one.place(), one.message)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_gate_is_shut() {
        assert_eq!(found(GOOD), "");
        let line = |text: &str, message: &str| assert_eq!(found(text), message);
        line(
            &GOOD.replace(" (EXPERIMENTAL)", ""),
            "drivers/Kconfig:2: the prompt of the gate ONE does not say that it is experimental",
        );
        line(
            &GOOD.replace("\tdepends on PCI\n", "\tdefault VFIO\n"),
            "drivers/Kconfig:3: the gate ONE may be on by default",
        );
        line(&GOOD.replace("\tdepends on PCI\n", "\tdefault n\n"), "");
        line(
            &GOOD.replace("\t  Another is missing, and there is\n", ""),
            "drivers/Kconfig:1: the help text of the gate ONE does not say what is missing",
        );
        line(
            &GOOD.replace("\tdefault y\n", "\tselect ONE if PCI\n"),
            "drivers/Kconfig:13: OTHER switches the gate ONE on",
        );
    }

    #[test]
    fn what_was_there_before_is_not_reported() {
        let small = Small::new();
        let bad = GOOD.replace(" (EXPERIMENTAL)", "");
        let after = format!("{bad}\n# more\n");
        let subject = small.subject(&[("drivers/Kconfig", &bad)], &[("drivers/Kconfig", &after)]);
        assert!(small.run("kconfig", &subject).is_empty());
    }
}
