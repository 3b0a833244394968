//! Runs a program on one call, as the kernel would: the check on the compiler.
//!
//! It knows every instruction that the kernel lets a filter have, so it also runs the programs
//! of other compilers.

use super::action::Action;
use super::program::{Instruction, Program};

/// What a filter sees of a call: `struct seccomp_data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The number.
    pub nr: u32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Where the call was made from.
    pub instruction_pointer: u64,
    /// The arguments.
    pub args: [u64; 6],
}

/// Why the kernel would not have accepted the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Control left the program.
    #[error("instruction {0} is outside the program")]
    Outside(usize),
    /// Filters may not have this instruction, or not with this operand.
    #[error("instruction {0} is not one that a filter may have")]
    Illegal(usize),
    /// More steps than instructions: cannot be, for jumps go forward.
    #[error("the program does not end")]
    Endless,
}

/// The answer of the program to the call.
///
/// # Errors
/// If the kernel would have refused to load the program, as far as this call's path shows it.
///
/// Reference: seccomp(2); the kernel's `Documentation/networking/filter.rst`.
pub fn interpret(instructions: &[Instruction], call: &Call) -> Result<Action, Fault> {
    let mut machine = Machine { a: 0, x: 0, memory: [0; 16], at: 0 };
    for _ in 0..=Program::MAX {
        let at = machine.at;
        let instruction = instructions.get(at).ok_or(Fault::Outside(at))?;
        if let Some(ret) = machine.step(*instruction, call).ok_or(Fault::Illegal(at))? {
            return Ok(Action::from_ret(ret));
        }
    }
    Err(Fault::Endless)
}

struct Machine {
    a: u32,
    x: u32,
    memory: [u32; 16],
    at: usize,
}

impl Machine {
    /// `None` if the instruction is illegal; `Some(Some(_))` at the end.
    fn step(&mut self, instruction: Instruction, call: &Call) -> Option<Option<u32>> {
        let Instruction { code, jt, jf, k } = instruction;
        let mut skip = 0;
        match code {
            0x06 => return Some(Some(k)),
            0x16 => return Some(Some(self.a)),
            0x20 => self.a = load(call, k)?,
            0x80 => self.a = 64,
            0x81 => self.x = 64,
            0x00 => self.a = k,
            0x01 => self.x = k,
            0x60 => self.a = *self.memory.get(usize::try_from(k).ok()?)?,
            0x61 => self.x = *self.memory.get(usize::try_from(k).ok()?)?,
            0x02 => *self.memory.get_mut(usize::try_from(k).ok()?)? = self.a,
            0x03 => *self.memory.get_mut(usize::try_from(k).ok()?)? = self.x,
            0x07 => self.x = self.a,
            0x87 => self.a = self.x,
            0x05 => skip = usize::try_from(k).ok()?,
            0x84 => self.a = self.a.wrapping_neg(),
            _ => {
                let operand = if code & 0x08 == 0 { k } else { self.x };
                match code & 0x07 {
                    0x04 => self.a = alu(code & !0x08, self.a, operand)?,
                    0x05 => {
                        let taken = compare(code & !0x08, self.a, operand)?;
                        skip = usize::from(if taken { jt } else { jf });
                    }
                    _ => return None,
                }
            }
        }
        self.at += 1 + skip;
        Some(None)
    }
}

fn alu(code: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match code {
        0x04 => a.wrapping_add(operand),
        0x14 => a.wrapping_sub(operand),
        0x24 => a.wrapping_mul(operand),
        0x34 => a.checked_div(operand)?,
        0x44 => a | operand,
        0x54 => a & operand,
        0x64 => a.checked_shl(operand)?,
        0x74 => a.checked_shr(operand)?,
        0xa4 => a ^ operand,
        _ => return None,
    })
}

fn compare(code: u16, a: u32, operand: u32) -> Option<bool> {
    Some(match code {
        0x15 => a == operand,
        0x25 => a > operand,
        0x35 => a >= operand,
        0x45 => a & operand != 0,
        _ => return None,
    })
}

/// A word of `struct seccomp_data`, little-endian as on every architecture with a table.
fn load(call: &Call, offset: u32) -> Option<u32> {
    let wide = |value: u64, high: bool| {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        u32::from_le_bytes(if high { [e, f, g, h] } else { [a, b, c, d] })
    };
    if !offset.is_multiple_of(4) {
        return None;
    }
    let high = offset % 8 == 4;
    match offset {
        0 => Some(call.nr),
        4 => Some(call.arch),
        8 | 12 => Some(wide(call.instruction_pointer, high)),
        _ => {
            let arg = usize::try_from(offset.checked_sub(16)? / 8).ok()?;
            Some(wide(*call.args.get(arg)?, high))
        }
    }
}
