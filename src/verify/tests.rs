//! What counts as a drift, and what does not.

use std::collections::BTreeMap;

use super::compare::{with_before, with_filter, with_plan};
use super::observe::parse_mount;
use super::{Expected, ExpectedMount, MountKind, Observed, ObservedProcess, Relation, status};
use crate::plan::Namespace;
use crate::plan::action::CapabilitySets;
use crate::seccomp::{Instruction, Program};
use crate::sys::flags::mount_attr;

const STATUS: &str = "Name:\tsh\nUmask:\t0022\nUid:\t1000\t1000\t1000\t1000\n\
    Gid:\t1000\t1000\t1000\t1000\nGroups:\t1000 2000 \nNSpid:\t77\t7\n\
    CapInh:\t0000000000000000\nCapPrm:\t0000000000000020\nCapEff:\t0000000000000020\n\
    CapBnd:\t0000000000000020\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n\
    Seccomp_filters:\t1\n";

const TABLE: &str = "\
    20 1 254:0 /rootfs / rw,relatime - ext4 /dev/vda rw\n\
    21 20 0:46 / /proc rw,nosuid - proc proc rw\n\
    22 21 0:46 /sys /proc/sys ro,nosuid - proc proc rw\n\
    23 21 0:51 / /proc/acpi ro,nosuid,nodev,noexec - tmpfs mask rw";

fn observed() -> Observed {
    let mut process = status::parse(STATUS).unwrap();
    process.namespaces =
        BTreeMap::from([("mount".to_owned(), Relation::Own), ("user".to_owned(), Relation::Host)]);
    Observed {
        processes: vec![process],
        mounts: TABLE.lines().map(|line| parse_mount(line).unwrap()).collect(),
        places: vec![Some(0), Some(1), Some(2), Some(3)],
        group: "/box".to_owned(),
    }
}

fn expected() -> Expected<'static> {
    let mount = |at, kind, set, optional| ExpectedMount { at, kind, set, optional };
    Expected {
        uid: 1000,
        gid: 1000,
        sets: CapabilitySets { bounding: 0x20, permitted: 0x20, ..CapabilitySets::default() },
        no_new_privileges: true,
        label: None,
        filter: None,
        limits: Vec::new(),
        own: vec![Namespace::Mount],
        joined: Vec::new(),
        mounts: vec![
            mount("/", MountKind::Root, 0, false),
            mount("/proc", MountKind::Filesystem("proc"), mount_attr::NOSUID, false),
            mount("/proc/sys", MountKind::Readonly, mount_attr::RDONLY, true),
            mount("/proc/acpi", MountKind::Mask, mount_attr::RDONLY, true),
        ],
    }
}

fn said(observed: &Observed) -> Vec<String> {
    with_plan(&expected(), observed).iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_as_planned_has_no_drift() {
    assert_eq!(said(&observed()), Vec::<String>::new());
}

#[test]
fn what_a_process_gives_up_itself_is_no_drift() {
    let mut observed = observed();
    observed.processes[0].sets = CapabilitySets::default();
    observed.processes[0].filters = 9;

    assert_eq!(said(&observed), Vec::<String>::new());
}

#[test]
fn every_privilege_that_was_not_planned_is_one() {
    type Change = fn(&mut ObservedProcess);
    let changes: [(Change, &str); 6] = [
        (
            |it| it.sets.bounding = 0x60,
            "bounding set of process 7: planned at most 0x20, found 0x60",
        ),
        (
            |it| it.sets.permitted = 1,
            "permitted capabilities of process 7: planned at most 0x20, found 0x1",
        ),
        (
            |it| it.no_new_privileges = false,
            "no_new_privs of process 7: planned set, found not set",
        ),
        (|it| it.uids[2] = 0, "user of process 7: planned 1000, found 1000 1000 0 1000"),
        (|it| it.gids[3] = 0, "group of process 7: planned 1000, found 1000 1000 1000 0"),
        (
            |it| it.namespaces = BTreeMap::from([("mount".to_owned(), Relation::Host)]),
            "mount namespace of process 7: planned the container's own, found the host's",
        ),
    ];
    for (change, words) in changes {
        let mut observed = observed();
        change(&mut observed.processes[0]);

        assert_eq!(said(&observed), [words]);
    }
}

#[test]
fn a_process_is_confined_by_the_planned_label_or_one_below_it() {
    let mut expected = expected();
    expected.label = Some("box");
    for (label, drifts) in [
        (Some("box (enforce)"), 0),
        (Some("box//helper (enforce)"), 0),
        (Some("box2 (enforce)"), 1),
        (Some("unconfined"), 1),
        (None, 1),
    ] {
        let mut observed = observed();
        observed.processes[0].label = label.map(str::to_owned);

        assert_eq!(with_plan(&expected, &observed).len(), drifts, "{label:?}");
    }
}

#[test]
fn a_process_that_may_change_its_user_may_have_done_so() {
    let mut observed = observed();
    observed.processes[0].uids = [0; 4];
    let mut expected = expected();
    expected.sets = CapabilitySets { bounding: 0xa0, permitted: 0xa0, ..CapabilitySets::default() };

    assert_eq!(with_plan(&expected, &observed), []);
}

#[test]
fn a_mount_that_lacks_a_flag_or_is_not_there_or_was_added_is_one() {
    let mut loose = observed();
    loose.mounts[2].flags = "rw,nosuid".to_owned();
    assert_eq!(said(&loose), ["mount /proc/sys: planned what was there ro, found proc rw,nosuid"]);

    let mut bare = observed();
    bare.mounts.pop();
    bare.places[3] = Some(1);
    assert_eq!(said(&bare), ["mount /proc/acpi: planned a mask ro, found proc rw,nosuid"]);

    let mut more = observed();
    more.mounts.push(parse_mount("24 20 0:60 / /mnt rw - tmpfs x rw").unwrap());
    assert_eq!(said(&more), ["mount /mnt: planned none, found tmpfs rw"]);

    let mut without = observed();
    without.mounts.pop();
    without.places[3] = None;
    assert_eq!(said(&without), Vec::<String>::new());
}

#[test]
fn a_mount_that_is_hidden_by_a_planned_one_is_explained() {
    let mut hidden = observed();
    let below = parse_mount("25 20 0:46 / /proc rw - proc proc rw").unwrap();
    hidden.mounts.insert(0, below);
    hidden.places = vec![Some(1), Some(2), Some(3), Some(4)];

    assert_eq!(said(&hidden), Vec::<String>::new());
}

#[test]
fn another_filter_is_one() {
    let one = |k| Instruction { code: 6, jt: 0, jf: 0, k };
    let program = Program { instructions: vec![one(0)], flags: 0 };
    let mut expected = expected();
    expected.filter = Some(&program);

    assert_eq!(with_filter(&expected, Some(&[one(0)])), None);
    for found in [Some(&[one(1)][..]), Some(&[one(0), one(0)]), None] {
        assert!(with_filter(&expected, found).is_some(), "{found:?}");
    }
}

#[test]
fn all_that_is_not_what_it_was_is_one_but_for_where_it_comes_from() {
    let (before, mut now) = (observed(), observed());
    now.mounts[0].root = "/elsewhere".to_owned();
    assert_eq!(with_before(&before, &now), []);

    now.processes[0].sets = CapabilitySets::default();
    now.mounts[1].flags = "ro,nosuid".to_owned();
    let said: Vec<_> = with_before(&before, &now).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "capabilities of process 7: planned 0x20 0x20 0x20 0x0 0x0, found 0x0 0x0 0x0 0x0 0x0",
            "mount /proc: planned proc rw,nosuid, found proc ro,nosuid"
        ]
    );
}
