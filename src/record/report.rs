//! What was refused, as it is kept, printed and read again.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::narrow;
use super::trace::{Refused, RefusedKey, Trace};
use crate::seccomp::{Abi, errno_name, identify};
use crate::store::rfc3339;

/// The format that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// Everything that a container was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The container's id, or the command.
    pub of: String,
    /// By kind, what was refused last at the end.
    pub refusals: Vec<Refusal>,
    /// How many more there were, for which there was no space.
    #[serde(default)]
    pub lost: u64,
}

/// One kind of call, refused once or more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Its name; `None` for a number that no call has.
    pub call: Option<String>,
    /// The ABI it was made by, if it is known.
    pub abi: Option<String>,
    /// Its number.
    pub number: u32,
    /// The arguments, as they were last; empty where they are not known.
    #[serde(default)]
    pub args: Vec<String>,
    /// What it failed with.
    pub error: String,
    /// What the program calls itself.
    pub program: String,
    /// The program's file, as the container sees it.
    pub file: String,
    /// The thread that made it last, as the host counts.
    pub pid: u32,
    /// How often.
    pub count: u64,
    /// When first: RFC 3339.
    pub first: String,
    /// When last.
    pub last: String,
    /// Who refused: a place in the profile, or a rule of the baseline.
    pub by: String,
    /// Why.
    pub because: String,
    /// What to do.
    #[serde(default)]
    pub hint: Option<String>,
}

/// Lists what a trace holds.
#[must_use]
pub fn report(of: &str, trace: &Trace) -> Report {
    let mut refusals: Vec<_> = trace.refused().iter().collect();
    refusals.sort_by_key(|(_, seen)| seen.last);
    let refusals = refusals.into_iter().map(|(key, seen)| refusal(key, seen));
    Report { version: VERSION, of: of.to_owned(), refusals: refusals.collect(), lost: trace.lost() }
}

fn refusal(key: &RefusedKey, seen: &Refused) -> Refusal {
    let (abi, name) = identify(key.arch, key.nr);
    Refusal {
        call: name.map(str::to_owned),
        abi: abi.map(|abi| abi.to_string()),
        number: key.nr,
        args: seen.call.args.iter().map(|arg| format!("{arg:#x}")).collect(),
        error: error_name(key.errno),
        program: key.program.name.clone(),
        file: key.program.file.clone(),
        pid: seen.thread,
        count: seen.count,
        first: rfc3339(seen.first),
        last: rfc3339(seen.last),
        by: seen.why.by.clone(),
        because: seen.why.because.clone(),
        hint: seen.why.hint.clone(),
    }
}

/// The kernel's name of an error number.
#[must_use]
pub fn error_name(number: u16) -> String {
    errno_name(number).map_or_else(|| format!("error {number}"), str::to_owned)
}

impl Report {
    /// Nothing was refused.
    #[must_use]
    pub fn none(of: &str) -> Self {
        Self { version: VERSION, of: of.to_owned(), ..Self::default() }
    }

    /// Without the calls that failed as if the kernel had none such: programs fall back on others.
    #[must_use]
    pub fn without_fallbacks(mut self) -> Self {
        self.refusals.retain(|refusal| refusal.error != "ENOSYS");
        self
    }

    /// Reads a report.
    ///
    /// # Errors
    /// If it is none, or of another version.
    pub fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        let report: Self = serde_json::from_slice(bytes)?;
        if report.version == VERSION {
            Ok(report)
        } else {
            Err(serde::de::Error::custom(format_args!("a report of version {}", report.version)))
        }
    }

    /// The report as one JSON document.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Texts and numbers always have a form.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

impl Refusal {
    /// The arguments that matter, in brackets. Of the others most are addresses, and how many a
    /// call has the kernel does not say.
    fn matters(&self) -> String {
        let number = |text: &String| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        let numbers: Option<Vec<u64>> = self.args.iter().map(number).collect();
        let numbers = numbers.and_then(|numbers| <[u64; 6]>::try_from(numbers).ok());
        let (Some(args), Some(name)) = (numbers, &self.call) else { return String::new() };
        let class = narrow::class(name, &args);
        let parts = class.iter().flatten();
        let parts: Vec<_> =
            parts.map(|part| format!("argument {} {:#x}", part.arg, part.value)).collect();
        if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.call.clone().unwrap_or_else(|| format!("call {}", self.number));
        let often = if self.count == 1 { String::new() } else { format!("{} times ", self.count) };
        write!(f, "{name}{} failed {often}with {}", self.matters(), self.error)?;
        match (self.program.as_str(), self.file.as_str()) {
            ("", "") => {}
            (program, "") => write!(f, "\n  program  {program}, pid {}", self.pid)?,
            (program, file) => write!(f, "\n  program  {program} ({file}), pid {}", self.pid)?,
        }
        if self.count == 1 {
            write!(f, "\n  when     {}", self.last)?;
        } else {
            write!(f, "\n  when     {} to {}", self.first, self.last)?;
        }
        let native = Abi::native().map(|abi| abi.to_string());
        if let Some(abi) = self.abi.as_ref().filter(|abi| native.as_ref() != Some(*abi)) {
            write!(f, "\n  abi      {abi}")?;
        }
        if !self.by.is_empty() {
            write!(f, "\n  by       {}: {}", self.by, self.because)?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint     {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.refusals.is_empty() {
            return writeln!(f, "{}: nothing was refused", self.of);
        }
        for refusal in &self.refusals {
            writeln!(f, "{refusal}")?;
        }
        match self.lost {
            0 => Ok(()),
            lost => writeln!(f, "and {lost} more, for which there was no space"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal() -> Refusal {
        Refusal {
            call: Some("unshare".to_owned()),
            abi: Abi::native().map(|abi| abi.to_string()),
            number: 272,
            args: vec!["0x10000000".to_owned(); 6],
            error: "EPERM".to_owned(),
            program: "sh".to_owned(),
            file: "/bin/busybox".to_owned(),
            pid: 7,
            count: 3,
            first: "2026-01-01T00:00:00Z".to_owned(),
            last: "2026-01-01T00:00:09Z".to_owned(),
            by: "baseline rule `namespace.unshare`".to_owned(),
            because: "a reason".to_owned(),
            hint: Some("a remedy".to_owned()),
        }
    }

    #[test]
    fn a_refusal_says_what_who_when_by_whom_and_what_to_do() {
        let text = refusal().to_string();

        assert_eq!(
            text,
            "unshare (argument 0 0x10000000) failed 3 times with EPERM\n\
             \x20 program  sh (/bin/busybox), pid 7\n\
             \x20 when     2026-01-01T00:00:00Z to 2026-01-01T00:00:09Z\n\
             \x20 by       baseline rule `namespace.unshare`: a reason\n\
             \x20 hint     a remedy"
        );
    }

    #[test]
    fn a_report_is_read_as_it_was_written_and_nothing_else_is() {
        let report = Report { refusals: vec![refusal()], lost: 2, ..Report::none("web-1") };

        assert_eq!(Report::parse(&report.to_json()).unwrap(), report);
        assert!(report.to_string().ends_with("and 2 more, for which there was no space\n"));
        assert!(Report::parse(br#"{"version": 2, "of": "x", "refusals": []}"#).is_err());
        assert_eq!(Report::none("web-1").to_string(), "web-1: nothing was refused\n");
    }
}
