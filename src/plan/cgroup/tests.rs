mod devices;
mod path;

use std::path::PathBuf;

use super::cpu::weight_of_shares;
use super::*;

fn try_plan(resources: &str) -> Result<CgroupPlan, Vec<String>> {
    let resources: LinuxResources = serde_json::from_str(resources).unwrap();
    build_cgroup_plan(&CgroupRequest { resources: Some(&resources), ..request() })
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn plan(resources: &str) -> CgroupPlan {
    try_plan(resources).unwrap()
}

fn refusals(resources: &str) -> Vec<String> {
    try_plan(resources).unwrap_err()
}

fn request() -> CgroupRequest<'static> {
    CgroupRequest {
        resources: None,
        cgroups_path: None,
        default_pids_limit: None,
        standard_devices: StandardDevices::Open,
        driver: Driver::Cgroupfs,
    }
}

/// `POINTER: FILE=VALUE` for v2, in order.
fn v2(plan: &CgroupPlan) -> Vec<String> {
    lines(plan, |setting| setting.v2.as_ref())
}

fn v1(plan: &CgroupPlan) -> Vec<String> {
    lines(plan, |setting| setting.v1.as_ref())
}

fn lines(plan: &CgroupPlan, pick: fn(&Setting) -> Option<&Write>) -> Vec<String> {
    plan.settings
        .iter()
        .filter_map(pick)
        .map(|write| format!("{}={}", write.file, write.value))
        .collect()
}

#[test]
fn no_resources_make_a_plan_with_the_standard_devices_alone() {
    let plan = build_cgroup_plan(&request()).unwrap();

    assert_eq!(plan.path, CgroupPath::ById);
    assert_eq!(plan.settings, []);
    assert!(!plan.devices.default_allow);
    assert_eq!(plan.devices.rules.len(), 9);
}

#[test]
fn swap_counts_memory_on_v1_and_not_on_v2() {
    let plan = plan(r#"{"memory": {"limit": 67108864, "swap": 134217728, "reservation": -1}}"#);

    assert_eq!(v2(&plan), ["memory.swap.max=67108864", "memory.max=67108864", "memory.low=max"]);
    assert_eq!(
        v1(&plan),
        [
            "memory.memsw.limit_in_bytes=134217728",
            "memory.limit_in_bytes=67108864",
            "memory.soft_limit_in_bytes=-1"
        ]
    );
}

#[test]
fn unlimited_memory_means_unlimited_swap_and_needs_no_controller() {
    let plan = plan(r#"{"memory": {"limit": -1}}"#);

    assert_eq!(v2(&plan), ["memory.swap.max=max", "memory.max=max"]);
    assert_eq!(check_enforceable(&plan, &CgroupFacts::default()), Ok(vec![]));
}

#[test]
fn swap_without_or_below_the_limit_is_refused() {
    let alone = refusals(r#"{"memory": {"swap": 1000}}"#);
    let below = refusals(r#"{"memory": {"swap": 1000, "limit": 2000}}"#);

    assert_eq!(
        [alone, below].concat(),
        [
            "/linux/resources/memory/swap: counts memory and swap together, so it needs `limit`",
            "/linux/resources/memory/swap: 1000 is less than `limit`, 2000",
        ]
    );
}

#[test]
fn what_only_v1_has_gets_no_v2_form() {
    let plan = plan(
        r#"{"memory": {"swappiness": 60, "disableOOMKiller": true, "kernelTCP": 4096},
            "cpu": {"realtimeRuntime": 950, "realtimePeriod": 1000},
            "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 5}]},
            "blockIO": {"leafWeight": 10}}"#,
    );

    assert_eq!(v2(&plan), [""; 0]);
    assert_eq!(
        v1(&plan),
        [
            "memory.swappiness=60",
            "memory.oom_control=1",
            "memory.kmem.tcp.limit_in_bytes=4096",
            "cpu.rt_period_us=1000",
            "cpu.rt_runtime_us=950",
            "blkio.leaf_weight=10",
            "net_cls.classid=1048577",
            "net_prio.ifpriomap=eth0 5"
        ]
    );
}

#[test]
fn obsolete_memory_properties_are_noted() {
    let plan =
        plan(r#"{"memory": {"kernel": 4096, "useHierarchy": false, "checkBeforeUpdate": true}}"#);

    let at: Vec<_> = plan.notes.iter().map(|note| note.at.as_str()).collect();
    assert_eq!(at, ["/linux/resources/memory/kernel", "/linux/resources/memory/useHierarchy"]);
    assert!(plan.check_memory_before_update);
}

#[test]
fn shares_become_weight_by_the_quadratic_curve() {
    let weights: Vec<_> =
        [1, 2, 3, 100, 512, 1024, 2048, 262_143, 262_144, u64::MAX].map(weight_of_shares).into();

    assert_eq!(weights, [1, 1, 2, 17, 59, 100, 174, 10_000, 10_000, 10_000]);
}

#[test]
fn default_shares_cost_nothing() {
    let plan = plan(r#"{"cpu": {"shares": 1024}}"#);

    assert!(plan.settings[0].is_default);
}

#[test]
fn bandwidth_is_one_line_on_v2_and_three_files_on_v1() {
    let plan = plan(
        r#"{"cpu": {"quota": 50000, "period": 20000, "burst": 10, "idle": 1, "cpus": "0-1",
            "mems": "0"}}"#,
    );

    assert_eq!(
        v2(&plan),
        [
            "cpu.max=max 20000",
            "cpu.max=50000 20000",
            "cpu.max.burst=10",
            "cpu.idle=1",
            "cpuset.cpus=0-1",
            "cpuset.mems=0"
        ]
    );
    assert_eq!(
        v1(&plan),
        [
            "cpu.cfs_period_us=20000",
            "cpu.cfs_quota_us=50000",
            "cpu.cfs_burst_us=10",
            "cpu.idle=1",
            "cpuset.cpus=0-1",
            "cpuset.mems=0"
        ]
    );
}

#[test]
fn every_fault_is_reported_with_its_pointer() {
    let said = refusals(
        r#"{"cpu": {"quota": 5, "idle": 7, "cpus": "0\n1"},
            "memory": {"limit": -2, "swappiness": 101},
            "pids": {"limit": -3},
            "blockIO": {"weight": 5, "throttleReadBpsDevice": [{"major": -1, "minor": 0, "rate": 1}]},
            "hugepageLimits": [{"pageSize": "2MB/../x", "limit": 1}],
            "rdma": {"mlx 5": {"hcaHandles": 3}, "a": {}},
            "unified": {"cgroup.procs": "1", "../x": "1", ".x": "1", "memory": "1", "pids.max": ""},
            "devices": [{"allow": true, "type": "p", "access": "rwm"},
                        {"allow": true, "type": "c", "major": 4294967296, "access": "r"},
                        {"allow": true, "type": "c", "access": "rx"}]}"#,
    );

    let pointers: Vec<_> = said.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        pointers,
        [
            "/linux/resources/devices/0/type",
            "/linux/resources/devices/1/major",
            "/linux/resources/devices/2/access",
            "/linux/resources/memory/limit",
            "/linux/resources/memory/swappiness",
            "/linux/resources/cpu/quota",
            "/linux/resources/cpu/idle",
            "/linux/resources/cpu/cpus",
            "/linux/resources/pids/limit",
            "/linux/resources/blockIO/weight",
            "/linux/resources/blockIO/throttleReadBpsDevice/0",
            "/linux/resources/hugepageLimits/0/pageSize",
            "/linux/resources/rdma/a",
            "/linux/resources/rdma/mlx 5",
            "/linux/resources/unified/..~1x",
            "/linux/resources/unified/.x",
            "/linux/resources/unified/cgroup.procs",
            "/linux/resources/unified/memory",
            "/linux/resources/unified/pids.max",
        ]
    );
}

#[test]
fn a_pids_limit_of_zero_lets_nobody_in_beside_init() {
    let plan = plan(r#"{"pids": {"limit": 0}}"#);

    assert_eq!(v2(&plan), ["pids.max=1"]);
    assert!(!plan.settings[0].is_default);
}

#[test]
fn the_levels_pids_limit_yields_to_the_bundles() {
    let with = |text: &str| {
        let resources: LinuxResources = serde_json::from_str(text).unwrap();
        let request = CgroupRequest {
            resources: Some(&resources),
            default_pids_limit: Some(4096),
            ..request()
        };
        v2(&build_cgroup_plan(&request).unwrap())
    };

    assert_eq!(with("{}"), ["pids.max=4096"]);
    assert_eq!(with(r#"{"pids": {"limit": 7}}"#), ["pids.max=7"]);
    assert_eq!(with(r#"{"unified": {"pids.max": "9"}}"#), ["pids.max=9"]);
}

#[test]
fn block_io_has_both_forms_and_a_rate_of_zero_lifts() {
    let plan = plan(
        r#"{"blockIO": {"weight": 10,
            "weightDevice": [{"major": 8, "minor": 0, "weight": 500, "leafWeight": 300}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 0}]}}"#,
    );

    assert_eq!(
        v2(&plan),
        [
            "io.bfq.weight=10",
            "io.bfq.weight=8:0 500",
            "io.max=8:0 rbps=600",
            "io.max=8:16 wiops=max"
        ]
    );
    assert_eq!(
        v1(&plan),
        [
            "blkio.weight=10",
            "blkio.weight_device=8:0 500",
            "blkio.leaf_weight_device=8:0 300",
            "blkio.throttle.read_bps_device=8:0 600",
            "blkio.throttle.write_iops_device=8:16 0"
        ]
    );
    let other = IfAbsent::Use { file: "io.weight".into(), value: "1".into() };
    assert_eq!(plan.settings[0].v2.as_ref().unwrap().if_absent, other);
}

#[test]
fn huge_pages_are_limited_in_use_and_in_reservation() {
    let plan = plan(r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#);

    assert_eq!(v2(&plan), ["hugetlb.2MB.max=4194304", "hugetlb.2MB.rsvd.max=4194304"]);
    assert_eq!(
        v1(&plan),
        ["hugetlb.2MB.limit_in_bytes=4194304", "hugetlb.2MB.rsvd.limit_in_bytes=4194304"]
    );
}

#[test]
fn unified_keys_come_last_sorted_and_line_by_line() {
    let plan = plan(
        r#"{"unified": {"memory.high": "1\n", "cgroup.max.depth": "3", "io.max": "8:0 rbps=1\n8:1 rbps=2"},
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}}}"#,
    );

    assert_eq!(
        v2(&plan),
        [
            "rdma.max=mlx5_1 hca_handle=3 hca_object=10000",
            "cgroup.max.depth=3",
            "io.max=8:0 rbps=1",
            "io.max=8:1 rbps=2",
            "memory.high=1"
        ]
    );
}

#[test]
fn a_setting_goes_to_v2_before_v1() {
    let plan = plan(r#"{"pids": {"limit": 3}}"#);
    let v1 = [("pids".to_owned(), PathBuf::from("/sys/fs/cgroup/pids"))];
    let both = CgroupFacts { v2: ["pids".to_owned()].into(), v1: v1.clone().into() };
    let only_v1 = CgroupFacts { v1: v1.into(), ..CgroupFacts::default() };

    assert!(matches!(choose(&plan.settings[0], &both), Some(Chosen::V2(_))));
    assert!(matches!(choose(&plan.settings[0], &only_v1), Some(Chosen::V1 { .. })));
    assert_eq!(choose(&plan.settings[0], &CgroupFacts::default()), None);
}

#[test]
fn what_the_host_cannot_enforce_is_an_error_if_the_bundle_asks() {
    let resources = r#"{"memory": {"limit": 4096, "swappiness": 1}, "unified": {"pids.max": "2"}}"#;
    let v1 = [("pids".to_owned(), PathBuf::from("/sys/fs/cgroup/pids"))];
    let facts = CgroupFacts { v1: v1.into(), ..CgroupFacts::default() };

    let errors = check_enforceable(&plan(resources), &facts).unwrap_err();

    let said: Vec<_> = errors.iter().map(ToString::to_string).collect();
    let no = "this host cannot enforce it";
    assert_eq!(
        said,
        [
            format!("/linux/resources/memory/limit: {no}: no controller `memory`"),
            format!(
                "/linux/resources/memory/swappiness: {no}: `memory.swappiness` needs controller \
                 `memory` in cgroup v1"
            ),
            format!(
                "/linux/resources/unified/pids.max: {no}: invalid configuration: `pids.max` needs controller `pids` in \
                 cgroup v2, here it is in v1"
            ),
        ]
    );
}

#[test]
fn the_levels_limit_degrades_with_a_note() {
    let request = CgroupRequest { default_pids_limit: Some(4096), ..request() };

    let notes = check_enforceable(&build_cgroup_plan(&request).unwrap(), &CgroupFacts::default());

    let why = "no controller `pids`".to_owned();
    assert_eq!(notes, Ok(vec![CgroupNote { at: "pids.max".to_owned(), why }]));
}

#[test]
fn a_plan_survives_json() {
    let before = plan(
        r#"{"memory": {"limit": 4096, "swap": 8192}, "blockIO": {"weight": 10},
            "devices": [{"allow": true, "type": "b", "major": 8, "access": "r"}]}"#,
    );

    let json = serde_json::to_string(&before).unwrap();

    assert_eq!(serde_json::from_str::<CgroupPlan>(&json).unwrap(), before);
    let climbing = json.replace(r#""ById""#, r#"{"Given":"a/../b"}"#);
    assert!(serde_json::from_str::<CgroupPlan>(&climbing).is_err());
}
