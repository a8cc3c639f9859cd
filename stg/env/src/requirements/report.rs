// SPDX-License-Identifier: GPL-2.0-only

//! `doctor`'s rows: as data for `--json`, as text for people.

use std::fmt::Write as _;

use serde::Serialize;

use super::BINDGEN_VERSION;
use super::Found;
use super::Requirement;
use super::Source;
use super::rust::Rust;
use super::rust::bindgen_root;
use super::rust::rust;
use crate::machine::Machine;

/// One requirement and how this machine meets it.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The requirement's name.
    pub id: &'static str,
    /// What it is needed for.
    pub needed_for: String,
    /// The version found, or what is wrong with what was found; nothing if nothing was found.
    pub found: Option<String>,
    /// Where it was found.
    pub path: Option<String>,
    /// The oldest version that does.
    pub minimum: Option<String>,
    /// Whether the requirement is met.
    pub ok: bool,
    /// How to get it on this machine.
    pub fix: String,
    /// The line of the table.
    #[serde(skip)]
    pub requirement: &'static Requirement,
}

impl Row {
    pub(super) fn new(requirement: &'static Requirement, found: Found, machine: &Machine) -> Self {
        let groups: Vec<&str> = requirement.groups.iter().map(|group| group.label()).collect();
        let ok = found.is_present();
        let (found, path) = match found {
            Found::Missing => (None, None),
            Found::Unfit(text) => (Some(text), None),
            Found::Present { version, path } => (
                Some(version.map_or_else(|| "yes".to_owned(), |version| version.to_string())),
                Some(path.into_string()),
            ),
        };
        Self {
            id: requirement.id,
            needed_for: format!("{}: {}", groups.join(", "), requirement.why),
            found,
            path,
            minimum: requirement.minimum.map(|version| version.to_string()),
            ok,
            fix: fix(requirement, machine),
            requirement,
        }
    }
}

/// Whether every requirement is met; if not, `doctor` exits with [`crate::exit::ENVIRONMENT`].
pub fn complete(rows: &[Row]) -> bool {
    rows.iter().all(|row| row.ok)
}

/// How to get a requirement on this machine, as one command or one sentence.
fn fix(requirement: &Requirement, machine: &Machine) -> String {
    match requirement.source {
        Source::Package { debian, backport, upstream } => {
            let packages = debian.join(" ");
            if machine.os.can_install() {
                let target = if backport && machine.os.version_id == "12" {
                    format!("-t {}-backports ", machine.os.codename)
                } else {
                    String::new()
                };
                return format!("phasectl setup (as root), or: apt-get install {target}{packages}");
            }
            let minimum = requirement.minimum.map(|version| format!(" {version} or newer")).unwrap_or_default();
            format!("install {upstream}{minimum} (on Debian: {packages})")
        }
        Source::Toolchain => "install Rust 1.95.0 or newer with rustup: rustup toolchain install stable".to_owned(),
        Source::Component(name) => match rust(machine).as_ref().and_then(Rust::rustup_name) {
            Some(toolchain) => format!("rustup component add --toolchain {toolchain} {name}"),
            None => format!("install {name} of the same Rust release as rustc"),
        },
        Source::Bindgen => format!(
            "phasectl setup, or: cargo install bindgen-cli --version {BINDGEN_VERSION} --locked --root {}",
            bindgen_root(machine)
        ),
        Source::RustSrc => "phasectl setup, or: rustup component add rust-src".to_owned(),
    }
}

/// The rows as text: a line for each, and the fixes of those that are not met below it.
pub fn table_text(rows: &[Row]) -> String {
    let cells: Vec<[&str; 4]> = rows
        .iter()
        .map(|row| {
            [
                if row.ok { "ok" } else { "MISSING" },
                row.id,
                row.found.as_deref().unwrap_or("-"),
                row.minimum.as_deref().unwrap_or("-"),
            ]
        })
        .collect();
    let head = ["", "requirement", "found", "minimum"];
    let width = |column: usize| cells.iter().map(|row| row[column].len()).max().unwrap_or(0).max(head[column].len());
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    let mut line = |cells: &[&str; 4], last: &str| {
        for (cell, width) in cells.iter().zip(widths) {
            // Writing to a string does not fail.
            let _ = write!(text, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{last}");
    };
    line(&head, "needed for");
    for (row, cells) in rows.iter().zip(&cells) {
        line(cells, &row.needed_for);
    }
    for row in rows.iter().filter(|row| !row.ok) {
        let _ = write!(text, "\n{}: {}", row.id, row.fix);
    }
    text.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Lab;
    use crate::requirements::Group;
    use crate::requirements::check;

    #[test]
    fn missing_too_old_and_fit() {
        let lab = Lab::debian("12", "bookworm");
        lab.versions(&["git"], "2.30.2");
        lab.versions(&["cc"], "12.2.0");
        let rows = check(&lab.machine(), &[Group::Tool]);
        assert!(!complete(&rows));
        insta::assert_snapshot!(table_text(&rows), @r"
                 requirement  found   minimum  needed for
        MISSING  rustc        -       1.95.0   the tools, build: compiles this project and the kernel's Rust code
        MISSING  cargo        -       1.95.0   the tools, test: builds this project's tools, the guest's init and bindgen
        MISSING  git          2.30.2  2.38.0   the tools, base fetch: holds the base tree and exports patches
        ok       cc           12.2.0  -        the tools, build, test: links this project's own tools

        rustc: install Rust 1.95.0 or newer with rustup: rustup toolchain install stable
        cargo: install Rust 1.95.0 or newer with rustup: rustup toolchain install stable
        git: phasectl setup (as root), or: apt-get install git
        ");
    }

    #[test]
    fn qemu_needs_its_version_and_its_device() {
        let lab = Lab::debian("12", "bookworm");
        let row = || check(&lab.machine(), &[Group::Vm]).into_iter().find(|row| row.id == "qemu").unwrap();
        assert_eq!((row().ok, row().found), (false, None));
        assert!(row().fix.ends_with("apt-get install -t bookworm-backports qemu-system-x86"), "{}", row().fix);
        lab.program("qemu-system-x86_64", "test $1 = -device && echo 'name \"e1000\"' || echo version 8.2.0");
        assert_eq!((row().ok, row().found.as_deref()), (false, Some("8.2.0, without the igb device")));
        lab.program("qemu-system-x86_64", "test $1 = -device && echo 'name \"igb\", bus PCI' || echo version 7.2.22");
        assert_eq!((row().ok, row().found.as_deref()), (false, Some("7.2.22")));
        lab.program(
            "qemu-system-x86_64",
            "test $1 = -device && echo 'name \"igb\", bus PCI' || echo version 10.0.2-new",
        );
        assert_eq!((row().ok, row().found.as_deref()), (true, Some("10.0.2")));
    }

    #[test]
    fn headers_must_all_be_there() {
        let lab = Lab::debian("13", "trixie");
        let row = || check(&lab.machine(), &[Group::Build]).into_iter().find(|row| row.id == "libelf").unwrap();
        lab.file("usr/include/libelf.h");
        assert!(row().found.unwrap().ends_with("usr/include/libelf.h without gelf.h"));
        assert!(!row().ok);
        lab.file("usr/include/gelf.h");
        assert!(row().ok);
    }

    #[test]
    fn elsewhere_apt_is_no_requirement_and_the_fix_names_the_tool() {
        let lab = Lab::new("ID=fedora\nVERSION_ID=42");
        let rows = check(&lab.machine(), &Group::ALL);
        assert!(rows.iter().all(|row| row.id != "apt"));
        let qemu = rows.iter().find(|row| row.id == "qemu").unwrap();
        assert_eq!(
            qemu.fix,
            "install qemu-system-x86_64 with the igb device 8.0.0 or newer (on Debian: qemu-system-x86)"
        );
        assert!(check(&Lab::debian("13", "trixie").machine(), &[Group::Base]).iter().any(|row| row.id == "apt"));
    }

    #[test]
    fn a_complete_machine() {
        let lab = Lab::debian("13", "trixie");
        lab.versions(&["git", "cc", "tar", "xz", "apt-get", "apt-cache", "dpkg-deb"], "99.0");
        assert!(complete(&check(&lab.machine(), &[Group::Base])));
        let json = serde_json::to_value(check(&lab.machine(), &[Group::Base])).unwrap();
        assert_eq!(json[0]["id"], "git");
        assert_eq!(json[0]["found"], "99.0.0");
        assert_eq!(json[0]["ok"], true);
    }
}
