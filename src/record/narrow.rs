//! Which arguments decide what a call is. Pure.
//!
//! Only the low 32 bits count: that is all the kernel takes of each of these, and C libraries
//! differ in what they put above.

/// Some bits of an argument, and what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Which argument, 0 to 5.
    pub arg: u8,
    /// Which bits.
    pub mask: u32,
    /// What they were.
    pub value: u32,
}

/// The parts of a call's arguments that matter, in the order of the arguments.
pub type Class = [Option<Part>; 3];

/// All 32 bits.
const WHOLE: u32 = u32::MAX;
/// `CLONE_NEW*`, as the baseline has them for clone(2): new namespaces.
const NAMESPACES: u32 = 0x7e02_0000;
/// `SOCK_TYPE_MASK`: the rest are flags.
const TYPE: u32 = 0xf;
/// `S_IFMT`: what kind of file.
const KIND: u32 = 0xf000;

const NETLINK: u32 = 16;
const PACKET: u32 = 17;
const RAW: u32 = 3;

/// The parts that matter: argument and bits.
fn parts(name: &str) -> &'static [(u8, u32)] {
    match name {
        "clone" => &[(0, NAMESPACES)],
        "socketpair" => &[(0, WHOLE), (1, TYPE)],
        "socket" => &[(0, WHOLE), (1, TYPE), (2, WHOLE)],
        "setsockopt" | "getsockopt" | "ioctl" | "setns" => &[(1, WHOLE)],
        "unshare" | "prctl" | "personality" | "keyctl" | "bpf" | "ptrace" | "seccomp" => {
            &[(0, WHOLE)]
        }
        "mknod" => &[(1, KIND)],
        "mknodat" => &[(2, KIND)],
        _ => &[],
    }
}

fn low(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// What kind of call it is.
#[must_use]
pub fn class(name: &str, args: &[u64; 6]) -> Class {
    let mut class = [None; 3];
    for (slot, (arg, mask)) in class.iter_mut().zip(parts(name)) {
        let value = args.get(usize::from(*arg)).map_or(0, |value| low(*value) & mask);
        *slot = Some(Part { arg: *arg, mask: *mask, value });
    }
    if name == "socket" && !is_told_apart_by_protocol(&class) {
        let [.., protocol] = &mut class;
        *protocol = None;
    }
    class
}

/// Of most families and types a program uses one protocol under two numbers, or any.
fn is_told_apart_by_protocol(class: &Class) -> bool {
    match class {
        [Some(family), Some(kind), _] => {
            family.value == NETLINK || family.value == PACKET || kind.value == RAW
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_sockets_and_signals_of_clones_make_no_difference() {
        assert_eq!(
            class("socket", &[2, 0o2_004_001, 6, 0, 0, 0]),
            class("socket", &[2, 1, 0, 0, 0, 0])
        );
        assert_eq!(
            class("clone", &[0x11, 0, 0, 0, 0, 0]),
            class("clone", &[0x3d_0f00, 0, 0, 0, 0, 0])
        );
        assert_ne!(
            class("clone", &[0x11, 0, 0, 0, 0, 0]),
            class("clone", &[0x1000_0011, 0, 0, 0, 0, 0])
        );
    }

    #[test]
    fn the_protocol_counts_where_it_makes_another_socket() {
        assert_ne!(class("socket", &[16, 3, 0, 0, 0, 0]), class("socket", &[16, 3, 15, 0, 0, 0]));
        assert_ne!(class("socket", &[2, 3, 1, 0, 0, 0]), class("socket", &[2, 3, 255, 0, 0, 0]));
    }

    #[test]
    fn the_high_half_of_an_argument_does_not_count() {
        assert_eq!(
            class("ioctl", &[1, 0xffff_ffff_8004_5430, 0, 0, 0, 0]),
            class("ioctl", &[9, 0x8004_5430, 7, 0, 0, 0])
        );
    }
}
