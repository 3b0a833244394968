//! Device rules to an eBPF program. Pure: a list of instructions.
//!
//! The program walks the rules from the last to the first and keeps the accesses that are
//! still open in a register. A rule that allows takes its accesses out, and ends with *yes*
//! when none is left; a rule that denies one of those left ends with *no*. So a later rule
//! overrides an earlier one, for each access on its own, holes in wildcards included.

use crate::plan::cgroup::{Access, DeviceKind, DeviceRule, DeviceRules};
use crate::sys::bpf::Instruction;

const VERDICT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const LEFT: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

// 32-bit operations: upper halves are zeroed, and constants are compared unsigned.
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb4;
const MOVE_REGISTER: u8 = 0xbc;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const JUMP_IF_EQUAL: u8 = 0x16;
const JUMP_IF_NOT_EQUAL: u8 = 0x56;
const JUMP_IF_ANY: u8 = 0x46;
const JUMP: u8 = 0x05;
const EXIT: u8 = 0x95;

/// Compiles rules to a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`.
///
/// Reference: Linux, include/uapi/linux/bpf.h, `struct bpf_cgroup_dev_ctx`.
pub(super) fn compile(rules: &DeviceRules) -> Vec<Instruction> {
    let mut program = Vec::with_capacity(8 + rules.rules.len() * 6);
    program.extend([
        load(KIND, 0),
        Instruction::new(MOVE_REGISTER, LEFT, KIND, 0, 0),
        Instruction::new(AND, KIND, 0, 0, 0xffff),
        Instruction::new(SHIFT_RIGHT, LEFT, 0, 0, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ]);
    let mut rest = rules.rules.as_slice();
    while let Some(last) = rest.last() {
        // Neighbours that differ in the minor number only share their other tests.
        let alike = rest.iter().rev().take_while(|rule| same_but_minor(last, rule)).count();
        let (before, group) = rest.split_at(rest.len() - alike);
        emit_group(&mut program, last, group);
        rest = before;
    }
    program.extend(verdict(rules.default_allow));
    program
}

/// Whether a rule can share its tests with another. A rule about all minors stands alone.
fn same_but_minor(one: &DeviceRule, other: &DeviceRule) -> bool {
    std::ptr::eq(one, other)
        || (one.minor.is_some() && other.minor.is_some())
            && DeviceRule { minor: None, ..*one } == DeviceRule { minor: None, ..*other }
}

/// The tests and the outcome of one group; falls through to what follows if it decides nothing.
fn emit_group(program: &mut Vec<Instruction>, rule: &DeviceRule, group: &[DeviceRule]) {
    let outcome = outcome(rule);
    let minors: Vec<i32> = group.iter().filter_map(|rule| rule.minor).map(bits).collect();
    // Distances to the end of the group, known from the back to the front.
    let mut back: Vec<Instruction> = outcome.into_iter().rev().collect();
    let mut minors = minors.into_iter();
    if let Some(first) = minors.next() {
        // The last test leaves the group, the others jump to the outcome.
        let to_outcome = back.len();
        back.push(jump(JUMP_IF_NOT_EQUAL, MINOR, back.len(), first));
        for minor in minors {
            back.push(jump(JUMP_IF_EQUAL, MINOR, back.len() - to_outcome, minor));
        }
    }
    if let Some(major) = rule.major {
        back.push(jump(JUMP_IF_NOT_EQUAL, MAJOR, back.len(), bits(major)));
    }
    if let Some(kind) = rule.kind {
        back.push(jump(JUMP_IF_NOT_EQUAL, KIND, back.len(), kind_number(kind)));
    }
    program.extend(back.into_iter().rev());
}

/// What happens once a rule matches.
fn outcome(rule: &DeviceRule) -> Vec<Instruction> {
    let mask = access_bits(rule.access);
    let [set, exit] = verdict(rule.allow);
    match (rule.allow, rule.access == Access::ALL) {
        (_, true) => vec![set, exit],
        (true, false) => vec![
            Instruction::new(AND, LEFT, 0, 0, !mask),
            jump(JUMP_IF_NOT_EQUAL, LEFT, 2, 0),
            set,
            exit,
        ],
        (false, false) => {
            vec![jump(JUMP_IF_ANY, LEFT, 1, mask), jump(JUMP, 0, 2, 0), set, exit]
        }
    }
}

fn verdict(allow: bool) -> [Instruction; 2] {
    [Instruction::new(MOVE, VERDICT, 0, 0, i32::from(allow)), Instruction::new(EXIT, 0, 0, 0, 0)]
}

fn load(register: u8, offset: i16) -> Instruction {
    Instruction::new(LOAD_WORD, register, CONTEXT, offset, 0)
}

/// A jump over `distance` instructions. Groups are far shorter than an `i16` can say, but for a
/// bundle of 32,000 neighbours; what would not fit denies, for the verifier refuses it.
fn jump(code: u8, register: u8, distance: usize, constant: i32) -> Instruction {
    let offset = i16::try_from(distance).unwrap_or(i16::MIN);
    Instruction::new(code, register, 0, offset, constant)
}

/// The same 32 bits, as the signed constant of an instruction.
fn bits(number: u32) -> i32 {
    number.cast_signed()
}

fn kind_number(kind: DeviceKind) -> i32 {
    match kind {
        DeviceKind::Block => 1,
        DeviceKind::Char => 2,
    }
}

fn access_bits(access: Access) -> i32 {
    let bit = |set: bool, bit: i32| if set { bit } else { 0 };
    bit(access.mknod, 1) | bit(access.read, 2) | bit(access.write, 4)
}

#[cfg(test)]
mod tests;
