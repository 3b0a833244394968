//! Network devices: the host keeps its own.

use crate::policy::{Case, RuleId};

const NO_HOST_DEVICES: RuleId = RuleId("net.no-host-devices");

pub(super) fn apply(case: &mut Case<'_>) {
    let devices = case.spec.linux().as_ref().and_then(|linux| linux.net_devices().clone());
    let mut names: Vec<_> = devices.into_iter().flatten().map(|(name, _)| name).collect();
    names.sort_unstable();
    for name in names {
        if !case.policy.host.gives_net_device(&name) {
            case.refuse(
                NO_HOST_DEVICES,
                format!("/linux/netDevices/{name}"),
                "takes a network device away from the host",
                "leave it out, or let an administrator name it in `net-devices` of the table \
                 `[host]` of the policy",
            );
        }
    }
}
