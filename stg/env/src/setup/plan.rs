// SPDX-License-Identifier: GPL-2.0-only

//! What has to be done for the missing requirements, and how a person is told.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::machine::Machine;
use crate::requirements;
use crate::requirements::Row;
use crate::requirements::Rust;
use crate::requirements::Source;

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Packages of the running release, sorted.
    pub packages: Vec<&'static str>,
    /// Packages that this release has in backports only, sorted.
    pub backports: Vec<&'static str>,
    /// Whether set-up installs the packages; if not, a person has to.
    pub installs_packages: bool,
    /// Components to add to the Rust toolchain.
    pub components: Vec<&'static str>,
    /// The toolchain to add them to, if rustup manages it.
    pub rustup_toolchain: Option<String>,
    /// Whether bindgen is to be built.
    pub bindgen: bool,
    /// Whether the sources of Rust's library are to be fetched.
    pub rust_src: bool,
}

impl Plan {
    /// The plan for the rows that are not met.
    pub fn new(machine: &Machine, rows: &[Row]) -> Self {
        let mut plan = Self::default();
        let (mut packages, mut backports) = (BTreeSet::new(), BTreeSet::new());
        for row in rows.iter().filter(|row| !row.ok) {
            match row.requirement.source {
                Source::Package { debian, backport, .. } if backport && machine.os.version_id == "12" => {
                    backports.extend(debian);
                }
                Source::Package { debian, .. } => packages.extend(debian),
                Source::Component(name) => plan.components.push(name),
                Source::Bindgen => plan.bindgen = true,
                Source::RustSrc => plan.rust_src = true,
                Source::Toolchain => {}
            }
        }
        plan.packages = packages.into_iter().copied().collect();
        plan.backports = backports.into_iter().copied().collect();
        plan.installs_packages = machine.is_root && machine.os.can_install() && !plan.all_packages().is_empty();
        let rust = requirements::rust(machine);
        plan.rustup_toolchain = rust.as_ref().and_then(Rust::rustup_name).map(str::to_owned);
        plan
    }

    /// All packages, of the release and of backports.
    pub fn all_packages(&self) -> Vec<&'static str> {
        self.packages.iter().chain(&self.backports).copied().collect()
    }
}

/// What a person has to do for the rows that are not met, as one text: on Debian 12 and 13 the commands, elsewhere the
/// tools with their minimum versions.
pub fn advice(machine: &Machine, rows: &[Row]) -> String {
    let missing: Vec<&Row> = rows.iter().filter(|row| !row.ok).collect();
    let mut text = String::from("this machine lacks what is needed:\n");
    let width = missing.iter().map(|row| row.id.len()).max().unwrap_or(0);
    for row in &missing {
        let found = row.found.as_deref().map_or_else(|| "not found".to_owned(), |found| format!("found {found}"));
        let minimum = row.minimum.as_deref().map(|minimum| format!(", needs {minimum} or newer")).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {:width$}  {found}{minimum} ({})", row.id, row.needed_for);
    }
    let plan = Plan::new(machine, rows);
    if machine.os.can_install() {
        if !plan.all_packages().is_empty() {
            text += "run `phasectl setup` as root, or as root:\n";
        }
        if !plan.packages.is_empty() {
            let _ = writeln!(text, "  apt-get install --no-install-recommends {}", plan.packages.join(" "));
        }
        if !plan.backports.is_empty() {
            let suite = format!("{}-backports", machine.os.codename);
            let packages = plan.backports.join(" ");
            let _ = writeln!(text, "  apt-get install --no-install-recommends -t {suite} {packages}");
            let _ = writeln!(text, "  (with {suite} among apt's sources, which `phasectl setup` does not need)");
        }
    }
    for row in &missing {
        let known = matches!(row.requirement.source, Source::Package { .. }) && machine.os.can_install();
        if !known {
            let _ = writeln!(text, "{}: {}", row.id, row.fix);
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Lab;
    use crate::requirements::Group;
    use crate::requirements::check;

    fn advice_on(lab: &Lab, groups: &[Group]) -> String {
        let machine = lab.machine();
        advice(&machine, &check(&machine, groups)).replace(lab.dir.as_str(), "<dir>")
    }

    #[test]
    fn backports_are_for_debian_12_only() {
        let plan = |lab: &Lab| Plan::new(&lab.machine(), &check(&lab.machine(), &[Group::Vm]));
        let on_12 = plan(&Lab::debian("12", "bookworm"));
        assert_eq!((on_12.packages, on_12.backports), (vec!["gcc", "libc6-dev"], vec!["qemu-system-x86"]));
        let on_13 = plan(&Lab::debian("13", "trixie"));
        assert_eq!((on_13.packages, on_13.backports), (vec!["gcc", "libc6-dev", "qemu-system-x86"], vec![]));
    }

    #[test]
    fn only_root_on_a_known_release_installs_packages() {
        let installs = |lab: &Lab| Plan::new(&lab.machine(), &check(&lab.machine(), &[Group::Vm])).installs_packages;
        let mut lab = Lab::debian("13", "trixie");
        assert!(installs(&lab));
        lab.is_root = false;
        assert!(!installs(&lab));
        assert!(!installs(&Lab::debian("14", "forky")));
        assert!(!installs(&Lab::new("ID=fedora\nVERSION_ID=12")));
    }

    #[test]
    fn a_met_requirement_is_not_planned() {
        let lab = Lab::debian("12", "bookworm");
        lab.versions(&["flex", "bison", "make"], "9.9");
        let plan = Plan::new(&lab.machine(), &check(&lab.machine(), &[Group::Build]));
        assert!(plan.bindgen && plan.rust_src);
        assert!(!plan.packages.contains(&"flex") && plan.packages.contains(&"clang-19"));
        let rows: Vec<Row> = check(&lab.machine(), &Group::ALL).into_iter().filter(|row| row.ok).collect();
        assert_eq!(Plan::new(&lab.machine(), &rows), Plan::default());
    }

    #[test]
    fn components_go_to_the_rustup_toolchain_in_use() {
        let lab = Lab::debian("12", "bookworm");
        lab.program("rustc", &format!("echo {}/toolchains/mine", lab.dir));
        lab.script("toolchains/mine/bin/rustc", "echo rustc 1.95.0");
        let plan = Plan::new(&lab.machine(), &check(&lab.machine(), &[Group::Check]));
        assert_eq!(plan.components, ["rustfmt", "clippy"]);
        assert_eq!(plan.rustup_toolchain.as_deref(), Some("mine"));
    }

    #[test]
    fn what_an_ordinary_user_of_debian_reads() {
        let mut lab = Lab::debian("12", "bookworm");
        lab.is_root = false;
        lab.versions(&["cc"], "12.2.0");
        lab.program("qemu-system-x86_64", "echo QEMU emulator version 7.2.22");
        insta::assert_snapshot!(advice_on(&lab, &[Group::Vm]), @r"
        this machine lacks what is needed:
          cargo        not found, needs 1.95.0 or newer (the tools, test: builds this project's tools, the guest's init and bindgen)
          static-libc  not found (build, test: linked into the guest's init and the in-tree selftests, which run without libraries)
          qemu         found 7.2.22, without the igb device, needs 8.0.0 or newer (test: runs the scenarios; its igb device (since 8.0) is what is preserved)
        run `phasectl setup` as root, or as root:
          apt-get install --no-install-recommends libc6-dev
          apt-get install --no-install-recommends -t bookworm-backports qemu-system-x86
          (with bookworm-backports among apt's sources, which `phasectl setup` does not need)
        cargo: install Rust 1.95.0 or newer with rustup: rustup toolchain install stable
        ");
    }

    #[test]
    fn what_a_user_of_another_distribution_reads() {
        let lab = Lab::new("ID=fedora\nVERSION_ID=42\nPRETTY_NAME='Fedora Linux 42'");
        lab.versions(&["cc"], "15.0.1");
        insta::assert_snapshot!(advice_on(&lab, &[Group::Vm, Group::Base]), @r"
        this machine lacks what is needed:
          cargo        not found, needs 1.95.0 or newer (the tools, test: builds this project's tools, the guest's init and bindgen)
          git          not found, needs 2.38.0 or newer (the tools, base fetch: holds the base tree and exports patches)
          tar          not found (base fetch: unpacks the kernel source)
          xz           not found (base fetch, build: unpacks the kernel source and compresses kernels)
          static-libc  not found (build, test: linked into the guest's init and the in-tree selftests, which run without libraries)
          qemu         not found, needs 8.0.0 or newer (test: runs the scenarios; its igb device (since 8.0) is what is preserved)
        cargo: install Rust 1.95.0 or newer with rustup: rustup toolchain install stable
        git: install git 2.38.0 or newer (on Debian: git)
        tar: install tar (on Debian: tar)
        xz: install xz (on Debian: xz-utils)
        static-libc: install a static C library (libc.a) (on Debian: libc6-dev)
        qemu: install qemu-system-x86_64 with the igb device 8.0.0 or newer (on Debian: qemu-system-x86)
        ");
    }
}
