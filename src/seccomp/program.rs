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

    /// The names of the bits that are set, without `SECCOMP_FILTER_FLAG_`.
    #[must_use]
    pub fn names(bits: u32) -> Vec<&'static str> {
        let all = [
            (TSYNC, "TSYNC"),
            (LOG, "LOG"),
            (SPEC_ALLOW, "SPEC_ALLOW"),
            (NEW_LISTENER, "NEW_LISTENER"),
            (TSYNC_ESRCH, "TSYNC_ESRCH"),
            (WAIT_KILLABLE_RECV, "WAIT_KILLABLE_RECV"),
        ];
        all.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| name).collect()
    }
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
    let digits: Vec<u8> = instructions
        .iter()
        .flat_map(|instruction| hex_digits(instruction.to_u64()).to_be_bytes())
        .collect();
    to.serialize_str(std::str::from_utf8(&digits).unwrap_or_default())
}

/// The sixteen lower-case hexadecimal digits of a number, first one highest: all at once, since
/// a program has thousands.
fn hex_digits(number: u64) -> u128 {
    const EACH: u128 = 0x0101_0101_0101_0101_0101_0101_0101_0101;
    // One digit's value to a byte.
    let mut spread = u128::from(number);
    spread = (spread << 32 | spread) & 0x0000_0000_ffff_ffff_0000_0000_ffff_ffff;
    spread = (spread << 16 | spread) & 0x0000_ffff_0000_ffff_0000_ffff_0000_ffff;
    spread = (spread << 8 | spread) & 0x00ff_00ff_00ff_00ff_00ff_00ff_00ff_00ff;
    spread = (spread << 4 | spread) & 0x0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f;
    // Above nine a digit is a letter: 6 more carries into the next bit, which tells.
    let letters = ((spread + EACH * 6) >> 4) & EACH;
    spread + EACH * u128::from(b'0') + letters * u128::from(b'a' - b'0' - 10)
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

#[cfg(test)]
mod tests {
    use super::hex_digits;

    #[test]
    fn digits_are_those_of_the_formatter() {
        let mut number = 0x0123_4567_89ab_cdef_u64;
        for _ in 0..1000 {
            let digits = hex_digits(number).to_be_bytes();
            assert_eq!(std::str::from_utf8(&digits).unwrap(), format!("{number:016x}"));
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        }
    }
}
