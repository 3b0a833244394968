//! The launch plan: every step that will be taken, in order, each with its reason. Pure.
//!
//! A plan is data. It knows nothing of the container's id, its range of host ids, or any
//! process id: what `explain` prints for a bundle is what `create` performs, byte for byte,
//! and both carry the same digest.

pub mod action;
pub mod build;
pub mod cgroup;
pub mod checkpoint;
pub mod cpus;
pub mod exec;
pub mod explain;
pub mod facts;
pub mod gates;
pub mod hooks;
pub mod labels;
pub mod listener;
pub mod mount;
mod mounts;
pub mod names;
pub mod notify;
mod process;
pub mod resctrl;
pub mod task;
mod terms;
pub mod text;

use serde::{Deserialize, Serialize};

pub use action::{Action, Gate, IdMap, Namespace, Slot, Track};
pub use exec::ExecDefaults;
pub use process::not_given;
pub use terms::GroupBelow;

use crate::policy::{Change, Refusal, Waived};

/// One thing that will be done, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Who does it.
    pub track: Track,
    /// What to do.
    pub action: Action,
    /// Who asked for it.
    pub origin: Origin,
}

/// Who asked for a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The bundle: a JSON pointer (RFC 6901) into its config.json.
    Config(String),
    /// A control of the policy.
    Rule {
        /// Its name.
        id: String,
        /// The file and line it stands on.
        at: String,
    },
    /// The engine itself: it could not start a container otherwise.
    Builtin(String),
    /// Whoever called `exec`: a JSON pointer into the process document, or an option.
    Exec(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(pointer) => write!(f, "config.json {pointer}"),
            Self::Rule { id, at } => write!(f, "rule `{id}` ({at})"),
            Self::Builtin(why) => write!(f, "casemate: {why}"),
            Self::Exec(pointer) => write!(f, "exec {pointer}"),
        }
    }
}

/// A step's number: its position in [`LaunchPlan::steps`], counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u16);

impl std::fmt::Display for StepId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Everything that starting a container will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchPlan {
    /// The form of this document.
    pub version: u32,
    /// The level it was made under.
    pub level: String,
    /// The policy's name and where it was read.
    pub policy: String,
    /// All steps, of all tracks, in the order of the design.
    pub steps: Vec<Step>,
    /// The program and its surroundings.
    pub program: ProgramPlan,
    /// What `exec` will start from; none for the plan of an `exec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Box<ExecDefaults>>,
    /// Whether the container was made again from files, and so has clocks of its own that go on
    /// where they stood.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
    /// What the policy changed in what the bundle asked for.
    pub changes: Vec<Change>,
    /// What exceptions of the policy let through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excepted: Vec<Waived>,
    /// What the level `hardened` would have refused. Only under `audit`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_refuse: Vec<Refusal>,
    /// What the level `hardened` would have changed. Only under `audit`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_change: Vec<Change>,
    /// What was asked for, is not essential, and cannot be had on this host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The program that the container runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramPlan {
    /// Its arguments; the first is its name.
    pub arguments: Vec<text::Text>,
    /// Its environment.
    pub environment: Vec<text::Text>,
    /// Where it may be, in the order tried: absolute paths inside, or paths relative to the
    /// working directory.
    pub candidates: Vec<text::Text>,
    /// Its working directory.
    pub directory: text::Text,
}

impl LaunchPlan {
    /// The form of the document that this version writes and reads.
    pub const VERSION: u32 = 1;

    /// The steps with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (StepId, &Step)> {
        (1..=u16::MAX).map(StepId).zip(&self.steps)
    }

    /// The steps of one track, with their numbers.
    pub fn track(&self, track: Track) -> impl Iterator<Item = (StepId, &Step)> {
        self.numbered().filter(move |(_, step)| step.track == track)
    }

    /// The step of this number.
    #[must_use]
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.get(usize::from(id.0).checked_sub(1)?)
    }

    /// The plan as one JSON document: what is stored, and what the digest is of.
    ///
    /// # Errors
    /// None for a plan that was built; the type cannot say so.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut document = Document(Vec::with_capacity(EXPECTED_BYTES));
        serde_json::to_writer(&mut document, self)?;
        Ok(document.0)
    }

    /// Reads a stored plan.
    ///
    /// # Errors
    /// When it is not one, or of a form that this version does not know.
    pub fn from_json(bytes: &[u8]) -> serde_json::Result<Self> {
        let plan: Self = serde_json::from_slice(bytes)?;
        if plan.version == Self::VERSION {
            Ok(plan)
        } else {
            Err(serde::de::Error::custom(format_args!("plan of version {}", plan.version)))
        }
    }
}

/// A document in memory. The serialiser writes it in thousands of pieces of a few bytes, for
/// which a call of the C library's memcpy costs more than the copying.
struct Document(Vec<u8>);

impl std::io::Write for Document {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if bytes.len() <= 24 {
            bytes.iter().for_each(|byte| self.0.push(*byte));
        } else {
            self.0.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a plan's document usually stays below, so that it does not grow: as much as the
/// program's allocator has without a call of the kernel.
const EXPECTED_BYTES: usize = 32 << 10;

/// The digest of a plan's JSON document: `sha256:` and 64 hexadecimal digits.
#[must_use]
pub fn digest(document: &[u8]) -> String {
    use sha2::Digest;
    use std::fmt::Write;
    let mut text = String::with_capacity(71);
    text.push_str("sha256:");
    for byte in sha2::Sha256::digest(document) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
