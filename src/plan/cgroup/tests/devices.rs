use super::*;

fn rules(text: &str) -> DeviceRules {
    plan(&format!(r#"{{"devices": [{text}]}}"#)).devices
}

fn opens(rules: &DeviceRules, major: u32, minor: u32) -> bool {
    rules.allows(DeviceKind::Char, major, minor, Access::OPEN)
}

#[test]
fn standard_nodes_stay_open_whatever_the_list_says() {
    let rules = rules(
        r#"{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
                         {"allow": false, "access": "rwm"}"#,
    );

    assert!(opens(&rules, 1, 3) && opens(&rules, 136, 77) && opens(&rules, 5, 2));
    assert!(!opens(&rules, 1, 1) && !opens(&rules, 10, 200));
    assert!(!rules.allows(DeviceKind::Char, 1, 3, Access::MKNOD));
    assert!(!rules.allows(DeviceKind::Block, 1, 3, Access::OPEN));
}

#[test]
fn a_later_rule_cuts_a_hole_into_a_wildcard() {
    let rules = rules(
        r#"{"allow": true, "type": "c", "major": 10, "access": "rw"},
                         {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "w"}"#,
    );

    assert!(opens(&rules, 10, 200) && !opens(&rules, 10, 229));
    let read = Access::parse("r").unwrap();
    assert!(rules.allows(DeviceKind::Char, 10, 229, read));
}

#[test]
fn allowing_everything_needs_no_program() {
    assert!(rules(r#"{"allow": true, "access": "rwm"}"#).allows_everything());
    assert!(
        rules(r#"{"allow": true, "type": "a", "major": -1, "access": "mrw"}"#).allows_everything()
    );
    assert!(!rules(r#"{"allow": true, "access": "rw"}"#).allows_everything());
}

#[test]
fn accesses_may_come_from_different_rules() {
    let rules = rules(
        r#"{"allow": true, "type": "b", "major": 8, "access": "r"},
                         {"allow": true, "major": 8, "minor": 1, "access": "w"}"#,
    );

    assert!(rules.allows(DeviceKind::Block, 8, 1, Access::OPEN));
    assert!(!rules.allows(DeviceKind::Block, 8, 2, Access::OPEN));
}

#[test]
fn other_runtimes_let_nodes_be_made() {
    let request = CgroupRequest { standard_devices: StandardDevices::OpenAndMakeAny, ..request() };

    let rules = build_cgroup_plan(&request).unwrap().devices;

    assert!(rules.allows(DeviceKind::Block, 8, 0, Access::MKNOD));
    assert!(!rules.allows(DeviceKind::Block, 8, 0, Access::OPEN));
}

#[test]
fn a_letter_that_is_no_access_is_refused_or_denies_all_and_allows_nothing() {
    let resources = r#"{"devices": [{"allow": false, "type": "c", "major": 9, "access": "ra"},
                                    {"allow": true, "type": "b", "major": 8, "access": "rx"}]}"#;
    let parsed: LinuxResources = serde_json::from_str(resources).unwrap();
    let request = |standard_devices| CgroupRequest {
        resources: Some(&parsed),
        cgroups_path: None,
        default_pids_limit: None,
        standard_devices,
        driver: Driver::Cgroupfs,
    };

    let refused = build_cgroup_plan(&request(StandardDevices::Open)).unwrap_err();
    assert_eq!(refused.len(), 2);

    let taken = build_cgroup_plan(&request(StandardDevices::OpenAndMakeAny)).unwrap();
    let read = Access { read: true, write: false, mknod: false };
    let write = Access { read: false, write: true, mknod: false };
    assert!(!taken.devices.allows(DeviceKind::Char, 9, 0, write));
    assert!(taken.devices.allows(DeviceKind::Block, 8, 0, read));
    assert!(!taken.devices.allows(DeviceKind::Block, 8, 0, write));
    assert_eq!(taken.notes.len(), 2);
}
