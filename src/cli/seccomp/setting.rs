//! Options that say what a profile is judged for.

use clap::Args;

use crate::ops::seccomp::Setting;
use crate::seccomp::{Abi, Version};

/// The options of every subcommand that takes a profile.
#[derive(Debug, Args)]
pub(super) struct SettingArgs {
    /// Processor of the kernel that the filter is for: x86_64, aarch64 or riscv64
    ///
    /// This one's, if not given. An engine's file may have rules for some processors only.
    #[arg(long, value_name = "ARCH")]
    arch: Option<Abi>,

    /// Version of that kernel, for rules of an engine's file that ask (`minKernel`)
    #[arg(long, value_name = "VERSION")]
    kernel: Option<Version>,

    /// A capability that the container may have, or `all`; may be given several times
    ///
    /// Engines' files have rules that stand only with certain capabilities in the bounding set.
    /// Without this option none is assumed: the strictest reading.
    #[arg(long = "cap", value_name = "CAP")]
    capabilities: Vec<String>,

    /// Take the profile as written, as level `audit` and other runtimes do
    ///
    /// Without this option the baseline of denials is merged in, as level `hardened` does.
    #[arg(long)]
    no_baseline: bool,

    /// A rule of the baseline that shall not stand; may be given several times
    #[arg(long, value_name = "RULE", conflicts_with = "no_baseline")]
    waive: Vec<String>,

    /// Leave set-id bits of file modes to the profile
    ///
    /// Level `hardened` refuses them, for they would outlive the container on id-mapped volumes.
    #[arg(long)]
    keep_set_id: bool,
}

impl SettingArgs {
    /// Whether any of the options is there.
    pub(super) fn is_given(&self) -> bool {
        let lists = !self.capabilities.is_empty() || !self.waive.is_empty();
        let flags = self.no_baseline || self.keep_set_id;
        lists || flags || self.arch.is_some() || self.kernel.is_some()
    }

    pub(super) fn setting(&self) -> Setting {
        Setting {
            native: self.arch,
            kernel: self.kernel,
            capabilities: self.capabilities.clone(),
            bare: self.no_baseline,
            waive: self.waive.clone(),
            keep_set_id: self.keep_set_id,
        }
    }
}
