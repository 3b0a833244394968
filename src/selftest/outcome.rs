//! What can come of an attempt, and what that says about the promise behind it.

use crate::sys::Errno;
use crate::sys::attempt::Signal;

/// How many wrong things a report lists before it counts.
const SHOWN: usize = 6;

/// What an attempt is made against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Root inside is never root outside; nothing of the host is in reach.
    P1,
    /// Nothing inside changes a mount, or makes a namespace to do so.
    P2,
    /// Root and kernel files are read-only; what is writable is `nosuid,nodev`.
    P3,
    /// No process gains privilege.
    P4,
    /// A filter always stands.
    P5,
    /// `exec` enters the same box.
    P6,
    /// What was changed and why can be read.
    P7,
    /// The host is left as it was.
    P8,
    /// Not a promise but the control for all of them: ordinary programs work.
    Usable,
}

impl Promise {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 9] = [
        Self::P1,
        Self::P2,
        Self::P3,
        Self::P4,
        Self::P5,
        Self::P6,
        Self::P7,
        Self::P8,
        Self::Usable,
    ];

    /// The short name: `P1`, or `ok` for the control.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.texts().0
    }

    /// The promise in a few words.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.texts().1
    }

    /// What to do when it does not hold.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        self.texts().2
    }

    fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::P1 => (
                "P1",
                "root inside is never root outside",
                "see that `casemate explain` gives the container a user namespace and an id range",
            ),
            Self::P2 => (
                "P2",
                "nothing inside changes a mount",
                "see that the mount namespace belongs to the host's user namespace",
            ),
            Self::P3 => (
                "P3",
                "the root is read-only",
                "look for the path among the mounts of `casemate explain`",
            ),
            Self::P4 => (
                "P4",
                "no process gains privilege",
                "compare the capabilities in `casemate explain` with the policy's",
            ),
            Self::P5 => (
                "P5",
                "a seccomp filter always stands",
                "look for an exception to the seccomp baseline in the policy",
            ),
            Self::P6 => {
                ("P6", "exec enters the same box", "compare the two processes' files under /proc")
            }
            Self::P7 => (
                "P7",
                "what was changed can be read",
                "compare `casemate explain` with `casemate state`",
            ),
            Self::P8 => (
                "P8",
                "the host is left as it was",
                "take away by hand what was left, after `casemate delete --force`",
            ),
            Self::Usable => (
                "ok",
                "ordinary programs work inside",
                "the box is too tight: see the steps of `casemate explain`",
            ),
        }
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel refused it with this error.
    Denied(Errno),
    /// A signal ended the process that tried.
    Killed(Signal),
    /// Nothing to deny: what was looked at is as it should be.
    Held(String),
    /// It worked. The text says what was gained.
    Succeeded(String),
    /// It could not be tried here, because.
    Inconclusive(String),
    /// Nobody knows, because. Counts as failed, whatever was expected.
    Lost(String),
}

/// What should come of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// One of these errors, or death by `SIGSYS`. Another error means that the attempt got past
    /// the check and failed for another reason.
    Refused(&'static [Errno]),
    /// As `Refused`, or any death that a kernel without this ABI deals out.
    NoAbi(&'static [Errno]),
    /// What is looked at is as promised.
    Held,
    /// It works: a control.
    Works,
}

/// What an outcome says about a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As promised.
    Holds,
    /// It could not be tried here; says nothing.
    Unproven,
    /// Not as promised.
    Broken,
}

impl Verdict {
    /// The word in the report. The bad one is loud.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Unproven => "not proven",
            Self::Broken => "BROKEN",
        }
    }
}

impl Expect {
    /// Judges an outcome.
    #[must_use]
    pub fn judge(self, outcome: &Outcome) -> Verdict {
        let good = match (self, outcome) {
            (_, Outcome::Inconclusive(_)) => return Verdict::Unproven,
            (_, Outcome::Lost(_)) => false,
            (Self::Refused(errors) | Self::NoAbi(errors), Outcome::Denied(errno)) => {
                errors.contains(errno)
            }
            (Self::Refused(_), Outcome::Killed(signal)) => *signal == Signal::SIGSYS,
            (Self::NoAbi(_), Outcome::Killed(signal)) => {
                [Signal::SIGSYS, Signal::SIGSEGV].contains(signal)
            }
            (Self::Held, Outcome::Held(_)) | (Self::Works, Outcome::Succeeded(_)) => true,
            (Self::Refused(_) | Self::NoAbi(_), Outcome::Held(_) | Outcome::Succeeded(_))
            | (Self::Held, Outcome::Denied(_) | Outcome::Killed(_) | Outcome::Succeeded(_))
            | (Self::Works, Outcome::Denied(_) | Outcome::Killed(_) | Outcome::Held(_)) => false,
        };
        if good { Verdict::Holds } else { Verdict::Broken }
    }

    /// As the report says it: `EPERM or EACCES`.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Refused(errors) => names(errors),
            Self::NoAbi(errors) => format!("{} or a signal", names(errors)),
            Self::Held => "as promised".to_owned(),
            Self::Works => "works".to_owned(),
        }
    }
}

fn names(errors: &[Errno]) -> String {
    errors.iter().map(|errno| format!("{errno:?}")).collect::<Vec<_>>().join(" or ")
}

impl Outcome {
    /// What happened, in one or two words, for counting: `EPERM`, `SIGSYS`, `as promised`.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::Denied(errno) => format!("{errno:?}"),
            Self::Killed(signal) => signal.as_str().to_owned(),
            Self::Held(_) => "as promised".to_owned(),
            Self::Succeeded(_) => "succeeded".to_owned(),
            Self::Inconclusive(_) => "not tried".to_owned(),
            Self::Lost(_) => "no answer".to_owned(),
        }
    }

    /// What was seen or gained, or why not; empty for a plain refusal.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Denied(_) | Self::Killed(_) => "",
            Self::Held(text)
            | Self::Succeeded(text)
            | Self::Inconclusive(text)
            | Self::Lost(text) => text,
        }
    }

    /// The outcome of something that must fail.
    pub(super) fn of<T>(result: Result<T, Errno>, gained: &str) -> Self {
        match result {
            Ok(_) => Self::Succeeded(gained.to_owned()),
            Err(errno) => Self::Denied(errno),
        }
    }

    /// The same for a call of the standard library.
    pub(super) fn of_io<T>(result: std::io::Result<T>, gained: &str) -> Self {
        match result {
            Ok(_) => Self::Succeeded(gained.to_owned()),
            Err(error) => Self::Denied(errno(&error)),
        }
    }

    /// The outcome of looking: held if nothing was found that should not be there.
    pub(super) fn seen(wrong: &[String], right: &str) -> Self {
        let first = wrong.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        match wrong.len() {
            0 => Self::Held(right.to_owned()),
            1..=SHOWN => Self::Succeeded(first),
            all => Self::Succeeded(format!("{first} and {} more", all - SHOWN)),
        }
    }
}

/// The number behind an error of the standard library.
pub(super) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

/// One attempt, what came of it, and what that says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it was made against.
    pub promise: Promise,
    /// Its stable name, `area.object`.
    pub id: String,
    /// What was tried, as the end of the sentence "the attempt to ...".
    pub what: String,
    /// What should have come of it.
    pub expect: Expect,
    /// What came of it.
    pub outcome: Outcome,
}

impl Finding {
    /// Puts a finding together.
    #[must_use]
    pub fn new(promise: Promise, id: &str, what: &str, expect: Expect, outcome: Outcome) -> Self {
        Self { promise, id: id.to_owned(), what: what.to_owned(), expect, outcome }
    }

    /// Something looked at: held if `wrong` is empty, else broken by what it lists.
    #[must_use]
    pub fn seen(promise: Promise, id: &str, what: &str, wrong: &[String], right: &str) -> Self {
        Self::new(promise, id, what, Expect::Held, Outcome::seen(wrong, right))
    }

    /// What the finding says about its promise.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.expect.judge(&self.outcome)
    }
}
