// SPDX-License-Identifier: GPL-2.0-only

//! The classes of verdicts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a run ended, in classes worth telling apart.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Every kernel ran, every step did what the plan wants, nothing bad was said.
    #[default]
    Pass,
    /// A kernel did not build.
    BuildFailure,
    /// The first kernel did not get as far as init.
    BootFailureA,
    /// A step in the first kernel failed, or that kernel died.
    Stage1Failure,
    /// The next kernel could not be loaded.
    KexecLoadFailure,
    /// The jump was asked for and no next kernel ever showed.
    NoSecondKernel,
    /// A kernel started after the jump and did not get as far as init.
    BootFailureB,
    /// The next kernel runs, but took nothing over.
    HandoverIgnored,
    /// The next kernel panicked while it took over.
    RestorePanic,
    /// A step after the jump failed, or that kernel died of something else.
    Stage2Failure,
    /// The steps passed, and yet a kernel complained.
    OopsDespitePass,
    /// All was well but for a measured step, which took longer than it may.
    OverBudget,
    /// The IOMMU stopped translating, refused a preserved device something, or refused one nothing that was to be shut out; all else may
    /// have been well.
    TranslationBroken,
    /// Memory that must stay as it is did not: tables that the IOMMU reads for a preserved device, or the ring of one that is shut out.
    MemoryChanged,
    /// A device that was witnessed stopped writing to memory, or wrote something else; all else may have been well.
    DmaInterrupted,
    /// All was well, but too little of a device's writing was seen to be sure of it, and not for a lack of trying.
    Unwitnessed,
    /// A kernel that ran fell silent.
    Hang,
    /// QEMU gave up, or somebody ended it.
    QemuAbort,
    /// Time was up while output still came.
    HostTimeout,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 19] = [
        Self::Pass,
        Self::BuildFailure,
        Self::BootFailureA,
        Self::Stage1Failure,
        Self::KexecLoadFailure,
        Self::NoSecondKernel,
        Self::BootFailureB,
        Self::HandoverIgnored,
        Self::RestorePanic,
        Self::Stage2Failure,
        Self::OopsDespitePass,
        Self::OverBudget,
        Self::TranslationBroken,
        Self::MemoryChanged,
        Self::DmaInterrupted,
        Self::Unwitnessed,
        Self::Hang,
        Self::QemuAbort,
        Self::HostTimeout,
    ];

    /// The name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::BuildFailure => "build-failure",
            Self::BootFailureA => "boot-failure-a",
            Self::Stage1Failure => "stage1-failure",
            Self::KexecLoadFailure => "kexec-load-failure",
            Self::NoSecondKernel => "no-second-kernel",
            Self::BootFailureB => "boot-failure-b",
            Self::HandoverIgnored => "handover-ignored",
            Self::RestorePanic => "restore-panic",
            Self::Stage2Failure => "stage2-failure",
            Self::OopsDespitePass => "oops-despite-pass",
            Self::OverBudget => "over-budget",
            Self::TranslationBroken => "translation-broken",
            Self::MemoryChanged => "memory-changed",
            Self::DmaInterrupted => "dma-interrupted",
            Self::Unwitnessed => "unwitnessed",
            Self::Hang => "hang",
            Self::QemuAbort => "qemu-abort",
            Self::HostTimeout => "host-timeout",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Class {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|class| class.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|class| class.name()).collect();
            format!("no verdict class `{name}`; there are {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_everywhere() {
        for class in Class::ALL {
            assert_eq!(class.name().parse(), Ok(class));
            assert_eq!(serde_json::to_string(&class).unwrap(), format!("\"{class}\""));
        }
        assert!("boot".parse::<Class>().unwrap_err().contains("boot-failure-b"));
    }
}
