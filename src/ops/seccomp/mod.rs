//! `seccomp`: what is done with a filter or a profile by itself. Nothing here needs a container,
//! or root.

mod addresses;
mod check;
mod compile;
mod diff;
mod explain;
mod input;
mod log;
mod merge;
mod output;
mod record;
mod trial;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::str::FromStr;

pub use check::{CheckReport, check};
pub use compile::{CompileReport, Denial, Disassembly, compile};
pub use diff::{DiffReport, diff};
pub use explain::{Answer, Explained, Whose, explain};
pub use input::LeftOut;
pub use log::{RefusalLog, follow_log, log};
pub use merge::{MergeReport, merge, write_profile};
pub use output::write_program;
pub use record::{Subject, record};
pub use trial::Trial;

pub use crate::record::report::{Refusal, Report};

use super::{Context, OpsError, Result, prepare};
use crate::policy::{Level, Policy, waived_denials};
use crate::seccomp::{Abi, Baseline, Circumstances, Listener, Request, SetIdBits, Version};

/// What a profile is judged for, and what is merged into it.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// The kernel's own ABI; that of this program if not given.
    pub native: Option<Abi>,
    /// The kernel's version; the running one if not given.
    pub kernel: Option<Version>,
    /// Capabilities that the container may have, for rules of an engine's file that ask; with or
    /// without `CAP_`, or `all`.
    pub capabilities: Vec<String>,
    /// The profile as written, without the baseline.
    pub bare: bool,
    /// Rules of the baseline that shall not stand.
    pub waive: Vec<String>,
    /// Whether set-id bits are left to the profile, as where no writable volume is id-mapped.
    pub keep_set_id: bool,
}

impl Setting {
    /// The facts that rules of an engine's file may depend on.
    fn circumstances(&self, doing: &str) -> Result<Circumstances> {
        let native = self.native.or_else(Abi::native).ok_or_else(|| {
            OpsError::failed(doing, "there is no table of system calls for this processor")
                .hint("say whose filter it shall be with --arch")
        })?;
        let kernel = match self.kernel {
            Some(kernel) => kernel,
            None => running_kernel(doing)?,
        };
        let mut capabilities = BTreeSet::new();
        for name in &self.capabilities {
            capabilities.extend(named(doing, name)?);
        }
        Ok(Circumstances { native, capabilities, kernel })
    }

    /// What the compiler is asked, for a profile under these circumstances.
    fn request<'a>(
        &self,
        profile: Option<&'a oci_spec::runtime::LinuxSeccomp>,
        native: Abi,
        waive: &'a [&'a str],
    ) -> Request<'a> {
        let strict = !self.bare && !self.keep_set_id;
        Request {
            baseline: if self.bare { Baseline::Off } else { Baseline::Standing },
            set_id_bits: if strict { SetIdBits::Denied } else { SetIdBits::AsGiven },
            waive,
            // Who would answer is not asked here.
            listener: Listener::Provided,
            ..Request::new(profile, native)
        }
    }

    fn waived(&self) -> Vec<&str> {
        self.waive.iter().map(String::as_str).collect()
    }
}

/// The denials of the baseline that the policy waives for a bundle, or for any.
fn waived<'p>(policy: &'p Policy, bundle: Option<&input::Source>) -> Vec<&'p str> {
    if policy.level == Level::Audit {
        return Vec::new();
    }
    let nowhere = (PathBuf::new(), HashMap::new());
    let (path, annotations) = bundle.and_then(|source| source.bundle.as_ref()).unwrap_or(&nowhere);
    let subject = prepare::subject(policy, path, None);
    waived_denials(&policy.exceptions, &subject, annotations)
}

fn running_kernel(doing: &str) -> Result<Version> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    Version::parse(&release).ok_or_else(|| {
        OpsError::failed(doing, format!("the kernel calls its version `{release}`"))
            .hint("say which one is meant with --kernel")
    })
}

/// The capabilities that a word names.
fn named(doing: &str, word: &str) -> Result<Vec<String>> {
    let name = word.to_ascii_uppercase();
    if name == "ALL" {
        return Ok(caps::all().into_iter().map(|capability| capability.to_string()).collect());
    }
    let full = if name.starts_with("CAP_") { name } else { format!("CAP_{name}") };
    match caps::Capability::from_str(&full) {
        Ok(_) => Ok(vec![full]),
        Err(_) => Err(OpsError::failed(doing, format!("`{word}` is no capability"))
            .hint("they are written as CAP_NET_RAW is; `all` are all of them")),
    }
}
