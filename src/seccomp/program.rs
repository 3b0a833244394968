//! A finished program: what `seccomp(2)` takes.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One instruction of classic BPF; the layout is that of `struct sock_filter`.
///
/// Reference: `linux/filter.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip if a comparison holds.
    pub jt: u8,
    /// How many instructions to skip if it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// A program and the flags to load it with.
///
/// Serialised, the instructions are one string of 16 hexadecimal digits each: code, jt, jf, k.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// At most [`Program::MAX`] of them, all jumps forward and inside.
    #[serde(rename = "code", serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub instructions: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*` bits for the third argument of seccomp(2).
    pub flags: u32,
}

impl Program {
    /// The most instructions that the kernel accepts: `BPF_MAXINSNS`.
    pub const MAX: usize = 4096;
}

/// Flags of seccomp(2), `SECCOMP_SET_MODE_FILTER`.
pub mod flag {
    /// All threads of the process get the filter.
    pub const TSYNC: u32 = 1;
    /// Answers other than "allow" may be logged.
    pub const LOG: u32 = 1 << 1;
    /// Speculative store bypass is not switched off because of the filter.
    pub const SPEC_ALLOW: u32 = 1 << 2;
    /// The call returns a listener.
    pub const NEW_LISTENER: u32 = 1 << 3;
    /// With [`TSYNC`] and [`NEW_LISTENER`]: failure to synchronise is an errno, not a thread id.
    pub const TSYNC_ESRCH: u32 = 1 << 4;
    /// A notified thread waits killably once its notification was received.
    pub const WAIT_KILLABLE_RECV: u32 = 1 << 5;
}

impl Instruction {
    fn to_u64(self) -> u64 {
        u64::from(self.code) << 48
            | u64::from(self.jt) << 40
            | u64::from(self.jf) << 32
            | u64::from(self.k)
    }

    fn from_u64(bits: u64) -> Self {
        let [code_high, code_low, jt, jf, k @ ..] = bits.to_be_bytes();
        Self { code: u16::from_be_bytes([code_high, code_low]), jt, jf, k: u32::from_be_bytes(k) }
    }
}

fn to_hex<S: Serializer>(instructions: &[Instruction], to: S) -> Result<S::Ok, S::Error> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(instructions.len() * 16);
    for instruction in instructions {
        for byte in instruction.to_u64().to_be_bytes() {
            for nibble in [byte >> 4, byte & 15] {
                let digit = DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
                text.push(char::from(digit));
            }
        }
    }
    to.serialize_str(&text)
}

fn from_hex<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Instruction>, D::Error> {
    let text = String::deserialize(from)?;
    let (chunks, rest) = text.as_bytes().as_chunks::<16>();
    if !rest.is_empty() || chunks.len() > Program::MAX {
        return Err(de::Error::invalid_length(text.len(), &"16 digits for each instruction"));
    }
    chunks.iter().map(parse_instruction).collect()
}

fn parse_instruction<E: de::Error>(digits: &[u8; 16]) -> Result<Instruction, E> {
    let mut bits = 0;
    for digit in digits {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return Err(E::custom("not a lower-case hexadecimal digit")),
        };
        bits = bits << 4 | u64::from(value);
    }
    Ok(Instruction::from_u64(bits))
}
