//! `config.json` as written, and what the specification demands of it. Pure.
//!
//! [`parse`] turns bytes into a [`Config`], or says why they are none: strict, and bounded in
//! time and memory. [`check`] then lists every demand of the specification that the config
//! does not meet. What is legal but not carried out by this version, or not known to it, stands
//! in the [`Config`] as findings of its own, since what follows from them is the caller's choice.
//!
//! Nothing here changes a config, reads the host, or knows a policy.

mod check;
pub mod default;
pub mod engine_profile;
pub mod features;
pub mod id;
mod letter_case;
mod locate;
pub mod mount_options;
pub mod paths;
mod pointer;
pub mod properties;
pub mod ranges;
mod walk;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use oci_spec::runtime::{Capability, LinuxResources, Process, Spec};
use serde::de::{DeserializeOwned, IgnoredAny};

pub use check::{Violation, check, check_process};
pub use pointer::Pointer;
pub use walk::{MAX_DEPTH, MAX_NAME_BYTES, MAX_VALUES};

use properties::Shape;
use walk::Findings;
use words::write_shown;

/// Longest part of a parser's message that is shown, in characters.
const SHOWN_CHARS: usize = 240;

/// A document as its author wrote it, and what was found in it that no type can hold.
#[derive(Debug, Clone)]
#[must_use]
pub struct Document<T> {
    value: T,
    unknown: Vec<Unknown>,
    not_applied: Vec<NotApplied>,
    ignored: Vec<Pointer>,
    dropped: usize,
    unknown_capabilities: Vec<String>,
}

/// A whole config.json.
pub type Config = Document<Spec>;

impl<T> Document<T> {
    /// The value, as `oci-spec` types it.
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The value alone. Ask for the findings first.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }

    /// Properties that no version of the specification known to casemate has.
    ///
    /// The specification has a runtime ignore them. They may be a newer version's way to ask for
    /// a restriction, so whoever promises to apply the whole config must refuse them.
    #[must_use]
    pub fn unknown(&self) -> &[Unknown] {
        &self.unknown
    }

    /// Properties that the specification has a runtime apply or refuse, and casemate refuses.
    #[must_use]
    pub fn not_applied(&self) -> &[NotApplied] {
        &self.not_applied
    }

    /// Properties of other platforms, which the specification has a runtime ignore.
    #[must_use]
    pub fn ignored(&self) -> &[Pointer] {
        &self.ignored
    }

    /// Names of capabilities that no kernel known to casemate has: nobody can be granted them.
    ///
    /// Spec: runtime-spec, config.md, "Linux Process": a warning, and no error.
    #[must_use]
    pub fn unknown_capabilities(&self) -> &[String] {
        &self.unknown_capabilities
    }

    /// How many more findings of these kinds there are: lists stop growing at 32.
    #[must_use]
    pub const fn dropped(&self) -> usize {
        self.dropped
    }
}

impl Document<Spec> {
    /// The config, as `oci-spec` types it.
    #[must_use]
    pub const fn spec(&self) -> &Spec {
        &self.value
    }
}

/// A property that is not in [`properties`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Where it stands.
    pub at: Pointer,
    /// The known name from which it differs only in letter case.
    pub near: Option<&'static str>,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not known to this version", self.at)?;
        match self.near {
            Some(near) => write!(f, "; `{near}` is"),
            None => Ok(()),
        }
    }
}

/// A property that asks for something this version does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotApplied {
    /// Where it stands.
    pub at: Pointer,
    /// Why, as the end of a sentence.
    pub reason: &'static str,
}

impl fmt::Display for NotApplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not applied by this version: {}", self.at, self.reason)
    }
}

/// Why bytes are not the document they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Some byte cannot be text.
    #[error("not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// How many bytes before it are good.
        offset: usize,
    },
    /// The text is not JSON, or exceeds [`MAX_DEPTH`], [`MAX_VALUES`] or [`MAX_NAME_BYTES`]. Lines
    /// and columns count from one.
    #[error("line {line}, column {column}: {what}")]
    Syntax {
        /// Line of the fault.
        line: usize,
        /// Column of the fault, in bytes.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// A value is not what the specification says it is.
    #[error("{at}: {}{what}", words::subject(at))]
    Property {
        /// Where it stands.
        at: Pointer,
        /// What is wrong with it.
        what: String,
    },
}

/// Why bytes are not the document they should be: at least one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecErrors {
    errors: Vec<SpecError>,
    dropped: usize,
}

impl SpecErrors {
    /// The reasons, in the order of the document.
    pub fn iter(&self) -> impl Iterator<Item = &SpecError> {
        self.errors.iter()
    }

    fn one(error: SpecError) -> Self {
        Self { errors: vec![error], dropped: 0 }
    }
}

/// All reasons in one line.
impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        match self.dropped {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for SpecErrors {}

/// Reads a config.json.
///
/// # Errors
/// Everything that makes the bytes no config.json: syntax, bounds, members that stand twice, NULs
/// in strings, missing members, and the first value of a wrong type.
pub fn parse(bytes: &[u8]) -> Result<Config, SpecErrors> {
    parse_as(bytes, &properties::CONFIG)
}

/// Reads the document that `exec --process` names: `/process` of a config.json.
///
/// # Errors
/// As [`parse`].
pub fn parse_process(bytes: &[u8]) -> Result<Document<Process>, SpecErrors> {
    parse_as(bytes, &properties::PROCESS)
}

/// The same document where it need not say who runs the process: `false` if it does not. The
/// specification has it say so, but who enters a container does not begin from nothing.
///
/// # Errors
/// As [`parse`].
pub fn parse_entering(bytes: &[u8]) -> Result<(Document<Process>, bool), SpecErrors> {
    let names_user = match serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(bytes) {
        Ok(members) => members.contains_key("user"),
        // What is wrong with it is said below.
        Err(_) => true,
    };
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    match text.split_once('{').filter(|_| !names_user) {
        Some((before, rest)) => {
            let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
            let whole = format!("{before}{{\"user\":{{\"uid\":0,\"gid\":0}}{comma}{rest}");
            parse_process(whole.as_bytes()).map(|document| (document, false))
        }
        None => parse_process(bytes).map(|document| (document, true)),
    }
}

/// Reads what `update --resources` names: `/linux/resources`, in any letter case of its names.
///
/// # Errors
/// As [`parse`]; two members whose names differ in letter case alone.
pub fn parse_resources(bytes: &[u8]) -> Result<Document<LinuxResources>, SpecErrors> {
    let parsed = parse_as(bytes, &properties::RESOURCES)?;
    if parsed.unknown().iter().all(|unknown| unknown.near.is_none()) {
        return Ok(parsed);
    }
    let settled = letter_case::settled(bytes, &properties::RESOURCES).map_err(SpecErrors::one)?;
    parse_as(settled.as_bytes(), &properties::RESOURCES)
}

fn parse_as<T: DeserializeOwned>(
    bytes: &[u8],
    shape: &'static Shape,
) -> Result<Document<T>, SpecErrors> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| SpecErrors::one(SpecError::NotUtf8 { offset: e.valid_up_to() }))?;
    let (findings, outcome) = walk::walk(text, shape);
    if let Err(error) = outcome {
        return Err(SpecErrors::one(syntax(&error, findings.exceeded)));
    }
    let mut unknown_capabilities = Vec::new();
    let value = match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(_) => explain(text, &findings, &mut unknown_capabilities),
    };
    let Findings { mut errors, unknown, not_applied, ignored, dropped, .. } = findings;
    match value {
        Ok(value) if errors.is_empty() => {
            Ok(Document { value, unknown, not_applied, ignored, dropped, unknown_capabilities })
        }
        Ok(_) => Err(SpecErrors { errors, dropped }),
        Err(error) => {
            if !is_told(&errors, &error) {
                errors.push(error);
            }
            Err(SpecErrors { errors, dropped })
        }
    }
}

/// Whether the walk has said the same, perhaps with a better address.
fn is_told(errors: &[SpecError], error: &SpecError) -> bool {
    let SpecError::Property { at, what } = error else { return false };
    let has_same_address =
        |e: &SpecError| matches!(e, SpecError::Property { at: a, .. } if a == at);
    errors.iter().any(has_same_address) || (!errors.is_empty() && what.starts_with("missing field"))
}

fn syntax(error: &serde_json::Error, exceeded: Option<&'static str>) -> SpecError {
    let what = exceeded.map_or_else(|| shown(error), str::to_owned);
    SpecError::Syntax { line: error.line(), column: error.column(), what }
}

/// The slow way, taken when the types do not fit: finds the address of the value that does not,
/// and leaves out what nobody will look at, such as another platform's section. Here, too, words
/// of the specification that the types spell in another way are given their spelling.
fn explain<T: DeserializeOwned>(
    text: &str,
    findings: &Findings,
    unknown_capabilities: &mut Vec<String>,
) -> Result<T, SpecError> {
    let mut tree: serde_json::Value =
        serde_json::from_str(text).map_err(|e| syntax(&e, findings.exceeded))?;
    let refused = findings.not_applied.iter().map(|n| &n.at);
    for at in findings.ignored.iter().chain(refused) {
        let Some((parent, name)) = at.split_last() else { continue };
        if let Some(parent) = tree.pointer_mut(parent).and_then(|p| p.as_object_mut()) {
            parent.remove(&name);
        }
    }
    respell(&mut tree);
    fill_in(&mut tree);
    drop_unknown_capabilities(&mut tree, unknown_capabilities);
    // As text again, so that there is one parser of these types and not two; without line ends,
    // so that a column is a number of bytes.
    let text = tree.to_string();
    serde_json::from_str(&text).map_err(|error| SpecError::Property {
        at: locate::value_at(&text, error.column()),
        what: shown(&error),
    })
}

/// Flags of a scheduler: as the specification has them, and as the types do.
const RESPELLED: [(&str, &str); 2] = [
    ("SCHED_FLAG_RESET_ON_FORK", "SCHED_RESET_ON_FORK"),
    ("SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_D_L_OVERRUN"),
];

fn respell(tree: &mut serde_json::Value) {
    for at in ["/process/scheduler/flags", "/scheduler/flags"] {
        let flags = tree.pointer_mut(at).and_then(|flags| flags.as_array_mut());
        for flag in flags.into_iter().flatten() {
            let found = RESPELLED.iter().find(|(word, _)| flag.as_str() == Some(word));
            if let Some((_, spelled)) = found {
                *flag = serde_json::Value::from(*spelled);
            }
        }
    }
}

/// Puts in what the specification requires and other runtimes take for 0 where it is missing.
fn fill_in(tree: &mut serde_json::Value) {
    let zero = || serde_json::Value::from(0);
    for at in ["/process/user", "/user"] {
        if let Some(user) = tree.pointer_mut(at).and_then(|user| user.as_object_mut()) {
            user.entry("gid").or_insert_with(zero);
        }
    }
    for at in ["/process/ioPriority", "/ioPriority"] {
        let asked = tree.pointer_mut(at).and_then(|asked| asked.as_object_mut());
        let idle = "IOPRIO_CLASS_IDLE";
        if let Some(asked) = asked.filter(|asked| asked.get("class").is_some_and(|c| c == idle)) {
            asked.entry("priority").or_insert_with(zero);
        }
    }
}

/// Takes out the names of capabilities that no type has: less is granted, never more.
fn drop_unknown_capabilities(tree: &mut serde_json::Value, dropped: &mut Vec<String>) {
    for at in ["/process/capabilities", "/capabilities"] {
        let sets = tree.pointer_mut(at).and_then(|sets| sets.as_object_mut());
        for set in sets.into_iter().flat_map(|sets| sets.values_mut()) {
            let Some(names) = set.as_array_mut() else { continue };
            names.retain(|name| {
                let Some(name) = name.as_str() else { return true };
                let known = serde_json::from_value::<Capability>(name.into()).is_ok();
                if !known && !dropped.iter().any(|one| one == name) {
                    dropped.push(name.to_owned());
                }
                known
            });
        }
    }
}

/// A parser's message without the place, which has its own fields; foreign text made harmless.
fn shown(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let mut text = String::new();
    // Writing to a `String` does not fail.
    let _ = write_shown(&mut text, message.strip_suffix(&place).unwrap_or(&message), SHOWN_CHARS);
    text
}
