use super::*;
use crate::plan::cgroup::{CgroupRequest, Driver, StandardDevices, build_cgroup_plan};

fn resources(text: &str) -> LinuxResources {
    serde_json::from_str(text).unwrap()
}

fn plan(text: &str) -> CgroupPlan {
    let resources = resources(text);
    build_cgroup_plan(&CgroupRequest {
        resources: Some(&resources),
        cgroups_path: None,
        default_pids_limit: None,
        standard_devices: StandardDevices::Open,
        driver: Driver::Cgroupfs,
    })
    .unwrap()
}

fn amend(plan: &CgroupPlan, text: &str) -> Amendment {
    plan.amend(&resources(text)).unwrap()
}

fn v2(plan: &CgroupPlan) -> Vec<String> {
    let writes = plan.settings.iter().filter_map(|setting| setting.v2.as_ref());
    writes.map(|write| format!("{}={}", write.file, write.value)).collect()
}

fn said(changes: &[LimitChange]) -> Vec<String> {
    let line = |change: &LimitChange| {
        let from = change.from.as_deref().unwrap_or("none");
        let at = change.at.strip_prefix("/linux/resources/").unwrap();
        format!("{at}: {from} to {}", change.to)
    };
    changes.iter().map(line).collect()
}

#[test]
fn what_is_not_named_stays() {
    let before = plan(r#"{"memory": {"limit": 1048576}, "pids": {"limit": 20}}"#);

    let amended = amend(&before, r#"{"pids": {"limit": 30}}"#);

    assert_eq!(v2(&amended.update), ["pids.max=30"]);
    assert_eq!(v2(&amended.effective), ["memory.max=1048576", "pids.max=30"]);
    assert_eq!(said(&amended.changes), ["pids/limit: 20 to 30"]);
}

#[test]
fn a_quota_keeps_its_period_and_a_period_its_quota() {
    let before = plan(r#"{"cpu": {"quota": 500000, "period": 1000000}}"#);

    let quota = amend(&before, r#"{"cpu": {"quota": 600000}}"#);
    let period = amend(&quota.effective, r#"{"cpu": {"period": 900000}}"#);
    let none = amend(&period.effective, r#"{"cpu": {"quota": -1}}"#);

    assert_eq!(v2(&quota.update), ["cpu.max=max 1000000", "cpu.max=600000 1000000"]);
    assert_eq!(v2(&period.effective), ["cpu.max=max 900000", "cpu.max=600000 900000"]);
    assert_eq!(v2(&none.effective), ["cpu.max=max 900000", "cpu.max=max 900000"]);
    assert_eq!(said(&quota.changes), ["cpu/quota: 500000 to 600000"]);
    assert_eq!(said(&period.changes), ["cpu/period: 1000000 to 900000"]);
}

#[test]
fn swap_counts_from_the_limit_that_was_and_keeps_its_sum() {
    let before = plan(r#"{"memory": {"limit": 1000, "swap": 3000}}"#);

    let swap = amend(&before, r#"{"memory": {"swap": 5000}}"#);
    let limit = amend(&before, r#"{"memory": {"limit": 2000}}"#);
    let lifted = amend(&before, r#"{"memory": {"limit": -1}}"#);

    assert_eq!(v2(&swap.update), ["memory.swap.max=4000", "memory.max=1000"]);
    assert_eq!(v2(&limit.update), ["memory.swap.max=1000", "memory.max=2000"]);
    assert_eq!(v2(&lifted.effective), ["memory.swap.max=max", "memory.max=max"]);
    let above = before.amend(&resources(r#"{"memory": {"limit": 4000}}"#));
    assert_eq!(
        above.unwrap_err()[0].to_string(),
        "/linux/resources/memory/swap: 3000 is less than `limit`, 4000"
    );
}

#[test]
fn swap_alone_without_a_limit_is_refused_as_at_creation() {
    let refused = plan("{}").amend(&resources(r#"{"memory": {"swap": 5}}"#));

    assert!(refused.unwrap_err()[0].to_string().contains("needs `limit`"));
}

#[test]
fn one_rate_of_one_device_is_one_limit() {
    let before = plan(
        r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1},
                                                  {"major": 8, "minor": 16, "rate": 2}]}}"#,
    );

    let amended = amend(
        &before,
        r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 16, "rate": 5}],
                        "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 9}]}}"#,
    );

    assert_eq!(
        v2(&amended.effective),
        ["io.max=8:0 rbps=1", "io.max=8:16 rbps=5", "io.max=8:0 wbps=9"]
    );
}

#[test]
fn the_last_word_on_a_file_is_the_one_that_holds() {
    let before = plan(r#"{"memory": {"limit": 1000}, "unified": {"memory.max": "2000"}}"#);

    let amended = amend(&before, r#"{"memory": {"limit": 3000}}"#);

    assert_eq!(v2(&amended.effective), ["memory.max=3000"]);
    assert_eq!(said(&amended.changes), ["memory/limit: 1000 to 3000"]);
}

#[test]
fn device_rules_stay_as_they_were_made() {
    let before = plan("{}");

    let amended = amend(&before, r#"{"devices": [{"allow": true, "access": "rwm"}]}"#);

    assert_eq!(amended.effective.devices, before.devices);
    assert_eq!(amended.update.notes[0].at, "/linux/resources/devices");
}

#[test]
fn a_limit_set_by_file_is_known_to_a_later_update() {
    let before = plan(r#"{"unified": {"cpu.max": "max 50000"}}"#);

    let amended = amend(&before, r#"{"cpu": {"quota": 10000}}"#);

    assert_eq!(v2(&amended.effective), ["cpu.max=max 50000", "cpu.max=10000 50000"]);
}
