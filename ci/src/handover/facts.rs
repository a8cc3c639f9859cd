// SPDX-License-Identifier: GPL-2.0-only

//! What a tree says about its hand-over.
//!
//! A kernel writes and understands what an ABI header names, if the option of the code behind it is there and on. The header alone
//! is not enough: it may come a patch before its code. Of the headers only the macros with strings and versions are read; whether a
//! struct changed without a new version is `check`'s business.

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use stg_core::Diagnostic;

/// A part of the hand-over: where its string is, and the option of its code.
struct Part {
    header: &'static str,
    compatible: &'static str,
    option: &'static str,
    kconfig: &'static str,
}

const KHO: Part = Part {
    header: "include/linux/kho/abi/kexec_handover.h",
    compatible: "KHO_FDT_COMPATIBLE",
    option: "KEXEC_HANDOVER",
    kconfig: "kernel/liveupdate/Kconfig",
};
const LUO: Part = Part {
    header: "include/linux/kho/abi/luo.h",
    compatible: "LUO_ABI_COMPATIBLE",
    option: "LIVEUPDATE",
    kconfig: "kernel/liveupdate/Kconfig",
};
const MEMFD: Part = Part {
    header: "include/linux/kho/abi/memfd.h",
    compatible: "MEMFD_LUO_FH_COMPATIBLE",
    option: "LIVEUPDATE_MEMFD",
    kconfig: "kernel/liveupdate/Kconfig",
};
const VFIO_PCI: Part = Part {
    header: "include/linux/kho/abi/vfio_pci.h",
    compatible: "VFIO_PCI_LUO_FH_COMPATIBLE",
    option: "VFIO_PCI_LIVEUPDATE",
    kconfig: "drivers/vfio/pci/Kconfig",
};
const PCI: Part = Part {
    header: "include/linux/kho/abi/pci.h",
    compatible: "PCI_LUO_FLB_COMPATIBLE",
    option: "PCI_LIVEUPDATE",
    kconfig: "drivers/pci/Kconfig",
};
const IOMMUFD: Part = Part {
    header: "include/linux/kho/abi/iommufd.h",
    compatible: "IOMMUFD_LUO_FH_COMPATIBLE",
    option: "IOMMUFD_LIVEUPDATE",
    kconfig: "drivers/iommu/iommufd/Kconfig",
};
const IOMMU: Part = Part {
    header: "include/linux/kho/abi/iommu.h",
    compatible: "IOMMU_LUO_FLB_COMPATIBLE",
    option: "IOMMU_LIVEUPDATE",
    kconfig: "drivers/iommu/Kconfig",
};

/// All that a prediction is made from.
const PARTS: [&Part; 7] = [&KHO, &LUO, &MEMFD, &VFIO_PCI, &IOMMUFD, &PCI, &IOMMU];

/// Strings that no prediction depends on, since the scenario of the matrix hands over nothing that goes by them: header and macro.
const BESIDE: [(&str, &str); 3] = [
    // What memory the command line reserves; it matters to nobody else.
    ("include/linux/kho/abi/memblock.h", "MEMBLOCK_KHO_NODE_COMPATIBLE"),
    ("include/linux/kho/abi/memblock.h", "RESERVE_MEM_KHO_NODE_COMPATIBLE"),
    // Of Linux' own tests.
    ("include/linux/kho/abi/luo.h", "LIVEUPDATE_TEST_FLB_COMPATIBLE"),
];

/// The version of the PCI core's list, and the mark in it.
const PCI_VERSION: &str = "PCI_LUO_FLB_VERSION";
const PCI_MARK: &str = "PCI_LUO_FLB_LIVE_TRANSLATION";

/// What one kernel hands over and takes over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What Kexec HandOver calls itself.
    pub kho: Option<String>,
    /// What the Live Update Orchestrator calls itself.
    pub luo: Option<String>,
    /// The string of the handler for memfds.
    pub memfd: Option<String>,
    /// The string of the handler for the files of vfio-pci.
    pub vfio_pci: Option<String>,
    /// The string of the handler for iommufds, with which an IOMMU goes on translating. Facts from before there was one do not have it.
    #[serde(default)]
    pub iommufd: Option<String>,
    /// The PCI core's list of devices, on which the files of vfio-pci depend.
    pub pci: Option<Flb>,
    /// The string of the IOMMU's preserved domains.
    pub iommu: Option<String>,
}

/// The PCI core's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flb {
    /// Its string.
    pub compatible: String,
    /// Its version.
    pub version: u64,
    /// The bit in the version that says that an IOMMU goes on translating, if this kernel knows one.
    pub mark: Option<u64>,
}

/// A file of a tree as text, if it is there.
type Read<'a> = dyn Fn(&Utf8Path) -> stg_core::Result<Option<String>> + 'a;

impl Facts {
    /// Reads them. `headers` are all files of `include/linux/kho/abi`; `on` says which options, without `CONFIG_`, are switched on where
    /// they exist.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, a header of a part that is there lacks its macro, or a header has a string that nobody here knows: whether
    /// a prediction depends on it has to be said.
    pub fn read(
        headers: &[(Utf8PathBuf, String)],
        read: &Read<'_>,
        on: &dyn Fn(&str) -> bool,
    ) -> stg_core::Result<Self> {
        let unknown: Vec<Diagnostic> = headers.iter().flat_map(|(file, text)| unknown(file, text)).collect();
        if !unknown.is_empty() {
            return Err(stg_core::Error::Invalid(unknown));
        }
        let string = |part: &Part| -> stg_core::Result<Option<String>> {
            let Some(text) = header(part, read, on)? else { return Ok(None) };
            wanted(part.header, &text, part.compatible, string(&text, part.compatible)).map(Some)
        };
        let pci = match (header(&PCI, read, on)?, string(&PCI)?) {
            (Some(text), Some(compatible)) => Some(Flb {
                compatible,
                version: wanted(PCI.header, &text, PCI_VERSION, number(&text, PCI_VERSION))?,
                mark: number(&text, PCI_MARK),
            }),
            _ => None,
        };
        Ok(Self {
            kho: string(&KHO)?,
            luo: string(&LUO)?,
            memfd: string(&MEMFD)?,
            vfio_pci: string(&VFIO_PCI)?,
            iommufd: string(&IOMMUFD)?,
            pci,
            iommu: string(&IOMMU)?,
        })
    }
}

/// The header of a part, if its code is there and on.
fn header(part: &Part, read: &Read<'_>, on: &dyn Fn(&str) -> bool) -> stg_core::Result<Option<String>> {
    let kconfig = read(part.kconfig.into())?.unwrap_or_default();
    let declared = kconfig.lines().any(|line| line.split_whitespace().eq(["config", part.option]));
    if !declared || !on(part.option) {
        return Ok(None);
    }
    match read(part.header.into())? {
        Some(text) => Ok(Some(text)),
        None => {
            let message = format!("missing file, although {} declares {}", part.kconfig, part.option);
            let fix = "say where its compatible string is, in ci/src/handover/facts.rs";
            Err(Diagnostic::new(part.header, message, fix).into())
        }
    }
}

fn wanted<T>(file: &str, text: &str, name: &str, value: Option<T>) -> stg_core::Result<T> {
    value.ok_or_else(|| {
        let line = text.lines().position(|line| line.contains(name)).map_or(1, |index| index + 1);
        let fix = "define it there in one line, or say where it is, in ci/src/handover/facts.rs";
        Diagnostic::new(file, format!("no `#define {name}` that can be read"), fix).at(line).into()
    })
}

/// The macros of a header that are called `..._COMPATIBLE` and are not listed here.
fn unknown(file: &Utf8Path, text: &str) -> Vec<Diagnostic> {
    let listed = |name: &str| {
        PARTS.iter().any(|part| part.header == file && part.compatible == name)
            || BESIDE.contains(&(file.as_str(), name))
    };
    let diagnostic = |(index, line): (usize, &str)| {
        let name = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("define")?.trim_start();
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
        let name = &name[..end];
        if !name.ends_with("_COMPATIBLE") || listed(name) {
            return None;
        }
        let message = format!("{name} is not known to the prediction of the matrix");
        let fix = "add a part with it to the facts in ci/src/handover/facts.rs, and a rule beside them, or list it in BESIDE there if the \
                   scenario of the matrix hands over nothing that goes by it";
        Some(Diagnostic::new(file, message, fix).at(index + 1))
    };
    text.lines().enumerate().filter_map(diagnostic).collect()
}

/// What is behind `#define NAME`.
fn macro_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix("#define")?.trim_start().strip_prefix(name)?;
        rest.starts_with([' ', '\t']).then(|| rest.trim())
    })
}

fn string(text: &str, name: &str) -> Option<String> {
    let (string, _) = macro_of(text, name)?.strip_prefix('"')?.split_once('"')?;
    Some(string.to_owned())
}

fn number(text: &str, name: &str) -> Option<u64> {
    let word = macro_of(text, name)?.split_whitespace().next()?.trim_end_matches(['U', 'L', 'u', 'l']);
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Files = BTreeMap<&'static str, &'static str>;

    fn base() -> Files {
        Files::from([
            (
                "kernel/liveupdate/Kconfig",
                "config KEXEC_HANDOVER\n\tbool\nconfig LIVEUPDATE\nconfig LIVEUPDATE_MEMFD\n",
            ),
            (KHO.header, " * compatible = \"kho-v3\";\n#define KHO_FDT_COMPATIBLE \"kho-v4\"\n"),
            (LUO.header, "#define LUO_ABI_COMPATIBLE\t\"luo-v5\"\n#define LUO_ABI_COMPAT_LEN 8\n"),
            (MEMFD.header, "#define MEMFD_LUO_FH_COMPATIBLE\t\"memfd-v2\"\n"),
            ("drivers/pci/Kconfig", "config PCI\n"),
        ])
    }

    fn pci() -> Files {
        let mut files = base();
        files.insert("drivers/pci/Kconfig", "config PCI\nconfig PCI_LIVEUPDATE\n\tbool \"x\"\n");
        files.insert(
            PCI.header,
            "#define PCI_LUO_FLB_COMPATIBLE\t\"pci\" /* x */\n#define PCI_LUO_FLB_VERSION\t2\n\
             #define PCI_LUO_FLB_LIVE_TRANSLATION\t0x80000000\n",
        );
        files
    }

    fn facts(files: &Files, off: &str) -> stg_core::Result<Facts> {
        let read = |path: &Utf8Path| Ok(files.get(path.as_str()).map(|&text| text.to_owned()));
        let headers = files.iter().filter(|(path, _)| path.starts_with("include/linux/kho/abi/"));
        let headers: Vec<_> = headers.map(|(path, text)| (Utf8PathBuf::from(*path), (*text).to_owned())).collect();
        Facts::read(&headers, &read, &|option| option != off)
    }

    #[test]
    fn a_tree_says_what_its_kernel_hands_over() {
        let found = facts(&base(), "").unwrap();
        let strings = [&found.kho, &found.luo, &found.memfd, &found.vfio_pci, &found.iommu];
        assert_eq!(strings.map(Option::as_deref), [Some("kho-v4"), Some("luo-v5"), Some("memfd-v2"), None, None]);
        assert_eq!(found.pci, None);
        let flb = Flb { compatible: "pci".into(), version: 2, mark: Some(0x8000_0000) };
        assert_eq!(facts(&pci(), "").unwrap().pci, Some(flb));
    }

    #[test]
    fn a_header_without_its_option_says_nothing() {
        let mut files = pci();
        assert_eq!(facts(&files, "PCI_LIVEUPDATE").unwrap().pci, None, "it is off");
        files.insert("drivers/pci/Kconfig", "config PCI_LIVEUPDATE_TEST\n\tdepends on PCI_LIVEUPDATE\n");
        assert_eq!(facts(&files, "").unwrap().pci, None, "it is not there yet");
    }

    #[test]
    fn an_iommufd_is_handed_over_if_its_option_is_on() {
        let mut files = pci();
        files.insert(IOMMUFD.header, "#define IOMMUFD_LUO_FH_COMPATIBLE\t\"iommufd-v1\"\n");
        assert_eq!(facts(&files, "").unwrap().iommufd, None, "it has no code yet");
        files.insert("drivers/iommu/iommufd/Kconfig", "if IOMMUFD\nconfig IOMMUFD_LIVEUPDATE\n\tbool \"x\"\nendif\n");
        assert_eq!(facts(&files, "").unwrap().iommufd.as_deref(), Some("iommufd-v1"));
        assert_eq!(facts(&files, "IOMMUFD_LIVEUPDATE").unwrap().iommufd, None, "it is off");
    }

    #[test]
    fn a_string_that_nobody_knows_is_a_mistake() {
        let mut files = pci();
        files.insert("include/linux/kho/abi/memblock.h", "#define MEMBLOCK_KHO_NODE_COMPATIBLE \"memblock-v1\"\n");
        assert!(facts(&files, "").is_ok(), "it is known not to matter");
        files.insert(
            "include/linux/kho/abi/clock.h",
            "/* X_COMPATIBLE */\n# define CLOCK_LUO_FH_COMPATIBLE(n)\t\"clock-v\" #n\n#define CLOCK_COMPATIBLE_LEN 8\n",
        );
        // The right name in the wrong header.
        files.insert("include/linux/kho/abi/old.h", "#define PCI_LUO_FLB_COMPATIBLE \"pci\"\n");
        insta::assert_snapshot!(facts(&files, "").unwrap_err(), @r"
        include/linux/kho/abi/clock.h:2: CLOCK_LUO_FH_COMPATIBLE is not known to the prediction of the matrix
          fix: add a part with it to the facts in ci/src/handover/facts.rs, and a rule beside them, or list it in BESIDE there if the scenario of the matrix hands over nothing that goes by it
        include/linux/kho/abi/old.h:1: PCI_LUO_FLB_COMPATIBLE is not known to the prediction of the matrix
          fix: add a part with it to the facts in ci/src/handover/facts.rs, and a rule beside them, or list it in BESIDE there if the scenario of the matrix hands over nothing that goes by it
        ");
    }

    #[test]
    fn a_macro_that_cannot_be_read_is_a_mistake_with_its_place() {
        let mut files = pci();
        files.insert(PCI.header, "\n#define PCI_LUO_FLB_COMPATIBLE \"pci\"\n#define PCI_LUO_FLB_VERSION \\\n");
        insta::assert_snapshot!(facts(&files, "").unwrap_err(), @r"
        include/linux/kho/abi/pci.h:3: no `#define PCI_LUO_FLB_VERSION` that can be read
          fix: define it there in one line, or say where it is, in ci/src/handover/facts.rs
        ");
        files.remove(PCI.header);
        insta::assert_snapshot!(facts(&files, "").unwrap_err(), @r"
        include/linux/kho/abi/pci.h: missing file, although drivers/pci/Kconfig declares PCI_LIVEUPDATE
          fix: say where its compatible string is, in ci/src/handover/facts.rs
        ");
    }
}
