//! What a filter may answer, and which answer is stricter.

use std::fmt;

use super::errno;

/// The answer of a filter to one call.
///
/// Reference: seccomp(2), "Filter return actions".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The whole process ends as if by SIGSYS.
    KillProcess,
    /// The calling thread ends as if by SIGSYS.
    KillThread,
    /// The thread is sent SIGSYS, which it can catch.
    Trap,
    /// The call fails with this error number, 0 to 4095.
    Errno(u16),
    /// A supervisor that holds the filter's listener decides.
    Notify,
    /// A tracer is told, with these 16 bits; without a tracer the call fails with ENOSYS.
    Trace(u16),
    /// The call is made and logged.
    Log,
    /// The call is made.
    Allow,
}

impl Action {
    /// The value that a program returns for it.
    #[must_use]
    pub fn to_ret(self) -> u32 {
        match self {
            Self::KillProcess => 0x8000_0000,
            Self::KillThread => 0,
            Self::Trap => 0x0003_0000,
            Self::Errno(number) => 0x0005_0000 | u32::from(number),
            Self::Notify => 0x7fc0_0000,
            Self::Trace(message) => 0x7ff0_0000 | u32::from(message),
            Self::Log => 0x7ffc_0000,
            Self::Allow => 0x7fff_0000,
        }
    }

    /// What the kernel makes of a returned value; a value it does not know kills the process.
    #[must_use]
    pub fn from_ret(ret: u32) -> Self {
        let [low, high, ..] = ret.to_le_bytes();
        let data = u16::from_le_bytes([low, high]);
        match ret & 0xffff_0000 {
            0 => Self::KillThread,
            0x0003_0000 => Self::Trap,
            0x0005_0000 => Self::Errno(data.min(4095)),
            0x7fc0_0000 => Self::Notify,
            0x7ff0_0000 => Self::Trace(data),
            0x7ffc_0000 => Self::Log,
            0x7fff_0000 => Self::Allow,
            _ => Self::KillProcess,
        }
    }

    /// A number that is larger for a stricter answer, in the kernel's order of precedence.
    #[must_use]
    pub const fn strictness(self) -> u8 {
        match self {
            Self::KillProcess => 7,
            Self::KillThread => 6,
            Self::Trap => 5,
            Self::Errno(_) => 4,
            Self::Notify => 3,
            Self::Trace(_) => 2,
            Self::Log => 1,
            Self::Allow => 0,
        }
    }

    /// Whether a call that gets this answer can be made without anybody else's consent or help.
    ///
    /// A tracer is expected to cope with calls that it does not know, so [`Action::Trace`] counts.
    #[must_use]
    pub const fn is_permissive(self) -> bool {
        match self {
            Self::Allow | Self::Log | Self::Trace(_) => true,
            Self::KillProcess | Self::KillThread | Self::Trap | Self::Errno(_) | Self::Notify => {
                false
            }
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillProcess => f.write_str("kill the process"),
            Self::KillThread => f.write_str("kill the thread"),
            Self::Trap => f.write_str("trap"),
            Self::Errno(0) => f.write_str("pretend success"),
            Self::Errno(number) => match errno::name(*number) {
                Some(name) => write!(f, "fail with {name}"),
                None => write!(f, "fail with errno {number}"),
            },
            Self::Notify => f.write_str("ask the listener"),
            Self::Trace(message) => write!(f, "ask the tracer ({message})"),
            Self::Log => f.write_str("allow and log"),
            Self::Allow => f.write_str("allow"),
        }
    }
}
