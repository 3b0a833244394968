//! Every program is run by a small interpreter, and compared with the rules' own verdict.

use proptest::prelude::*;

use super::*;

/// Runs a program on one access. Panics where the kernel's verifier would object.
fn run(program: &[Instruction], kind: DeviceKind, device: (u32, u32), access: Access) -> bool {
    let word = kind_number(kind) | (access_bits(access) << 16);
    let context = [word.cast_unsigned(), device.0, device.1];
    let mut registers = [0_u32; 11];
    let mut at = 0;
    for _ in 0..=program.len() {
        let instruction = program[at];
        let (to, from) = instruction.registers();
        let (to, from) = (usize::from(to), registers[usize::from(from)]);
        let constant = instruction.immediate.cast_unsigned();
        let target = at + 1 + usize::try_from(instruction.offset.max(0)).unwrap();
        at += 1;
        match instruction.code {
            LOAD_WORD => registers[to] = context[usize::try_from(instruction.offset / 4).unwrap()],
            MOVE => registers[to] = constant,
            MOVE_REGISTER => registers[to] = from,
            AND => registers[to] &= constant,
            SHIFT_RIGHT => registers[to] >>= constant,
            JUMP_IF_EQUAL if registers[to] == constant => at = target,
            JUMP_IF_NOT_EQUAL if registers[to] != constant => at = target,
            JUMP_IF_ANY if registers[to] & constant != 0 => at = target,
            JUMP_IF_EQUAL | JUMP_IF_NOT_EQUAL | JUMP_IF_ANY => {}
            JUMP => at = target,
            EXIT => return registers[0] == 1,
            other => panic!("unknown instruction {other:#x}"),
        }
    }
    panic!("no exit reached");
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0..4_u32, Just(u32::MAX), Just(0x8000_0000)]
}

fn access() -> impl Strategy<Value = Access> {
    any::<(bool, bool, bool)>().prop_map(|(read, write, mknod)| Access { read, write, mknod })
}

fn kind() -> impl Strategy<Value = DeviceKind> {
    prop_oneof![Just(DeviceKind::Block), Just(DeviceKind::Char)]
}

fn rule() -> impl Strategy<Value = DeviceRule> {
    let wild = |numbers| proptest::option::of(numbers);
    let access = access().prop_filter("a rule names an access", |access| !access.is_empty());
    (any::<bool>(), proptest::option::of(kind()), wild(number()), wild(number()), access).prop_map(
        |(allow, kind, major, minor, access)| DeviceRule { allow, kind, major, minor, access },
    )
}

/// The specification's words, one access at a time: the last rule that matches decides.
fn by_the_book(rules: &[DeviceRule], kind: DeviceKind, device: (u32, u32), one: Access) -> bool {
    let matches = |rule: &&DeviceRule| {
        rule.kind.is_none_or(|mine| mine == kind)
            && rule.major.is_none_or(|mine| mine == device.0)
            && rule.minor.is_none_or(|mine| mine == device.1)
            && one.without(rule.access).is_empty()
    };
    rules.iter().rev().find(matches).is_some_and(|rule| rule.allow)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_program_says_what_the_rules_say(
        list in proptest::collection::vec(rule(), 0..12),
        kind in kind(), major in number(), minor in number(), access in access(),
    ) {
        prop_assume!(!access.is_empty());
        let rules = DeviceRules::from_list(list);

        let verdict = run(&compile(&rules), kind, (major, minor), access);

        prop_assert_eq!(verdict, rules.allows(kind, major, minor, access));
    }

    #[test]
    fn shortening_a_list_keeps_its_meaning(
        list in proptest::collection::vec(rule(), 0..12),
        kind in kind(), major in number(), minor in number(), access in access(),
    ) {
        prop_assume!(!access.is_empty());
        let single = [
            Access { read: access.read, write: false, mknod: false },
            Access { read: false, write: access.write, mknod: false },
            Access { read: false, write: false, mknod: access.mknod },
        ];
        let expected = single.iter().filter(|one| !one.is_empty())
            .all(|one| by_the_book(&list, kind, (major, minor), *one));

        let rules = DeviceRules::from_list(list.clone());

        prop_assert_eq!(rules.allows(kind, major, minor, access), expected);
    }
}

proptest! {
    // A few dozen loads say enough, and take the verifier some milliseconds.
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_takes_every_program(list in proptest::collection::vec(rule(), 0..40)) {
        let program = compile(&DeviceRules::from_list(list));

        let loaded = crate::sys::bpf::load_device_program(&program);

        prop_assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
    }
}
