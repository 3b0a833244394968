//! Control groups: which controllers hold limits.

use super::Finding;
use crate::cgroup::Hierarchies;

const AREA: &str = "groups";

/// Controllers whose limits engines ask for, and what is refused without them.
const WANTED: [(&str, &str); 3] = [
    ("memory", "limits of memory (`--memory`) are refused"),
    (
        "cpu",
        "limits of processors are refused, and so is every Kubernetes pod, which asks for shares",
    ),
    ("pids", "limits of processes (`--pids-limit`, Podman's default) are refused"),
];

/// What a user without root has.
pub(super) fn of_a_user() -> Finding {
    Finding::note(
        AREA,
        "without root, limits hold in groups that are delegated to you: `--cgroup-manager systemd` in \
         a session of yours",
    )
}

pub(super) fn look() -> Vec<Finding> {
    let hierarchies = match Hierarchies::open() {
        Ok(hierarchies) => hierarchies,
        Err(error) => {
            return vec![
                Finding::ill(AREA, error.to_string())
                    .remedy("mount -t cgroup2 none /sys/fs/cgroup"),
            ];
        }
    };
    let facts = hierarchies.facts();
    let form = if hierarchies.has_v1() {
        Finding::note(AREA, "v1 hierarchies are mounted, and are used where they hold a controller")
    } else {
        Finding::well(AREA, "v2 is all there is")
    };
    let mut findings = vec![form];
    for (controller, lost) in WANTED {
        let there = facts.v2.contains(controller) || facts.v1.contains_key(controller);
        if !there {
            let found = format!("no hierarchy has the controller `{controller}`: {lost}");
            findings.push(Finding::poor(AREA, found).remedy(format!(
                "boot without `cgroup_disable={controller}`, or enable it for the group that the \
                 engine runs in"
            )));
        }
    }
    if findings.len() == 1 {
        findings.push(Finding::well(AREA, "memory, cpu and pids can be limited"));
    }
    findings
}
