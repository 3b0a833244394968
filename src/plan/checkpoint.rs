//! What stands in the way of writing a container to files and making it again from them. Pure.
//!
//! CRIU makes a container in its own order, not in that of a plan. Where that cannot lead to the
//! box that the plan describes, the container is refused before anything is done to it. Each
//! action is judged here, so that a new one cannot be forgotten.

use super::mount::{Filesystem, MountAttributes};
use super::{Action, LaunchPlan, Namespace, Origin, Track};

/// One thing that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle<'plan> {
    /// Who asked for what stands in the way.
    pub origin: &'plan Origin,
    /// Why it does: a clause.
    pub why: &'static str,
}

const OWNER: &str = "the container's mounts belong to the host, not to its user namespace; CRIU \
                     would make them inside, where root could change them";
const IDS: &str = "CRIU cannot make a mount on which ids are translated";
const POD: &str = "CRIU cannot make a process in the user namespace of a pod";
const AGENT: &str = "an agent answers some of its system calls, and CRIU cannot give it the filter";
const CLOCKS: &str = "its clocks are shifted, and CRIU would shift them once more";
const INTO_ROOT: &str = "a mount is made of what other mounts have made of the root";
const CHANGED: &str = "a mount is changed after it was made, and CRIU would not do it again";
const SHARED: &str = "its mounts are passed on, and CRIU would not put them into the same groups";
const HOOKS: &str = "its hooks had a part in making it, and CRIU cannot run them in their place";
const DEVICE: &str = "a network device of the host was moved into it";
const NOTIFY: &str = "it tells of itself by a socket of the command that made it";
const IO_PRIORITY: &str = "CRIU does not keep the priority of its input and output";
const RESCTRL: &str = "CRIU does not put it back into its group of resctrl";
const MEMORY_POLICY: &str = "CRIU does not keep the policy of its memory";
const DOMAIN: &str = "CRIU does not keep its execution domain";

/// Everything that stands in the way, each reason once.
#[must_use]
pub fn obstacles(plan: &LaunchPlan) -> Vec<Obstacle<'_>> {
    let mut found: Vec<Obstacle<'_>> = Vec::new();
    for step in &plan.steps {
        // What is run beside the container does not make it what it is.
        if matches!(step.track, Track::AfterStart | Track::AfterEnd) {
            continue;
        }
        if let Some(why) = obstacle(&step.action)
            && !found.iter().any(|other| other.why == why)
        {
            found.push(Obstacle { origin: &step.origin, why });
        }
    }
    found
}

fn obstacle(action: &Action) -> Option<&'static str> {
    match action {
        Action::TakeIds
        | Action::WriteIdMaps { .. }
        | Action::CheckIdMaps { .. }
        | Action::BecomeRoot
        | Action::ForbidNamespaces => Some(OWNER),
        Action::JoinPod { .. } | Action::EnterPod => Some(POD),
        Action::OpenNamespace { kind, .. } | Action::JoinNamespace { kind } => joined(*kind),
        Action::ShiftClocks { .. } => Some(CLOCKS),
        Action::AssembleRootfs { .. } | Action::ShiftRootfs { .. } => Some(IDS),
        Action::CopyRootfs { attributes } => translated(*attributes),
        Action::BuildMount { filesystem, attributes, .. } => {
            translated(*attributes).or_else(|| made_of(filesystem))
        }
        Action::Attach { at, .. } => (at.as_str() == "/").then_some(INTO_ROOT),
        Action::Remount { .. } => Some(CHANGED),
        Action::SetRootPropagation { .. } => Some(SHARED),
        Action::RunHook(_) | Action::CoverRootfs | Action::Seal { .. } => Some(HOOKS),
        Action::MakeResctrl(_) | Action::JoinResctrl(_) => Some(RESCTRL),
        Action::MoveNetDevice { .. } => Some(DEVICE),
        Action::SetIoPriority { .. } => Some(IO_PRIORITY),
        Action::SetMemoryPolicy { .. } => Some(MEMORY_POLICY),
        Action::SetPersonality { .. } => Some(DOMAIN),
        Action::WatchInit | Action::HandOver { .. } => Some(AGENT),
        Action::MakeCgroup { .. }
        | Action::OpenRootfs { .. }
        | Action::MakeMountPoint { .. }
        | Action::CheckProgram
        | Action::Spawn { .. }
        | Action::Await { .. }
        | Action::Open { .. }
        | Action::FetchMount { .. }
        | Action::EnterMounts
        | Action::AttachRoot { .. }
        | Action::MakeDevice { .. }
        | Action::DelegateCgroup { .. }
        | Action::Label { .. }
        | Action::ApproachDirectory { .. }
        | Action::OpenInit
        | Action::OpenGroup { .. }
        | Action::SetAffinity { .. }
        | Action::EnterInit { .. }
        | Action::EnterRoot
        | Action::CoverArguments
        | Action::OpenTerminal { .. }
        | Action::JoinGroups
        | Action::HandOverTerminal
        | Action::MakeDirectory { .. }
        | Action::EnterNetworkAndIpc
        | Action::VisitNetworkAndIpc
        | Action::KeepSysctl
        | Action::SetNetSysctl { .. }
        | Action::MakeTerminal { .. }
        | Action::Mask { .. }
        | Action::MakeReadonly { .. }
        | Action::Pivot
        | Action::ComeHome
        | Action::RaiseLimit { .. }
        | Action::SetOomScore { .. }
        | Action::SetScheduler { .. }
        | Action::MakeMountsPrivate
        | Action::NewNamespaces { .. }
        | Action::LoopbackUp
        | Action::SetIpcSysctl { .. }
        | Action::SetHostname { .. }
        | Action::SetDomainname { .. }
        | Action::AwaitStart
        | Action::NewKeyring
        | Action::NewSession { .. }
        | Action::SetLimit { .. }
        | Action::SetUmask { .. }
        | Action::LimitBounding { .. }
        | Action::SetIds { .. }
        | Action::SetCapabilities { .. }
        | Action::ForbidNewPrivileges
        | Action::ChangeDirectory { .. }
        | Action::ResetSignals
        | Action::FindHome { .. }
        | Action::FindProgram
        | Action::CloseDescriptors
        | Action::LoadFilter { .. }
        | Action::Execute => None,
    }
}

/// A network namespace of a path is handed to CRIU; of the others it would make new ones.
fn joined(kind: Namespace) -> Option<&'static str> {
    match kind {
        Namespace::Network => None,
        Namespace::User => Some(POD),
        Namespace::Pid => Some("its pid namespace is that of a path: others live in there"),
        Namespace::Ipc => Some("its IPC namespace is that of a path: CRIU would copy it"),
        Namespace::Uts => Some("its UTS namespace is that of a path: CRIU would copy it"),
        Namespace::Mount => Some("its mount namespace is that of others: CRIU would copy it"),
        Namespace::Time => Some("its clocks are those of a path"),
        Namespace::Cgroup => Some("its cgroup namespace is that of a path"),
    }
}

fn translated(attributes: MountAttributes) -> Option<&'static str> {
    attributes.mapped.then_some(IDS)
}

fn made_of(filesystem: &Filesystem) -> Option<&'static str> {
    match filesystem {
        Filesystem::Bind { inside: Some(_), .. } => Some(INTO_ROOT),
        Filesystem::Bind { ids: Some(_), .. } => Some(IDS),
        Filesystem::Present { .. } => Some(CHANGED),
        Filesystem::Notify => Some(NOTIFY),
        Filesystem::Proc { .. }
        | Filesystem::Sysfs { .. }
        | Filesystem::Mqueue { .. }
        | Filesystem::Cgroup { .. }
        | Filesystem::Groups(_)
        | Filesystem::Group { .. }
        | Filesystem::Devpts { .. }
        | Filesystem::Tmpfs { .. }
        | Filesystem::Dev(_)
        | Filesystem::Bind { .. }
        | Filesystem::Other { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{IdMap, Step};

    fn plan(actions: Vec<(Track, Action)>) -> LaunchPlan {
        let origin = Origin::Builtin("a test".to_owned());
        let steps = actions
            .into_iter()
            .map(|(track, action)| Step { track, action, origin: origin.clone() })
            .collect();
        let empty = serde_json::json!({
            "version": LaunchPlan::VERSION, "level": "audit", "policy": "", "steps": [],
            "program": {"arguments": [], "environment": [], "candidates": [], "directory": "/"},
            "changes": []
        });
        LaunchPlan { steps, ..serde_json::from_value(empty).unwrap() }
    }

    #[test]
    fn a_user_namespace_stands_in_the_way_once() {
        let ids = IdMap::OwnRange;
        let plan = plan(vec![
            (Track::Prepare, Action::TakeIds),
            (Track::Supervisor, Action::WriteIdMaps { ids }),
            (Track::Init, Action::BecomeRoot),
        ]);

        let found = obstacles(&plan);

        assert_eq!(found.len(), 1);
        assert_eq!(found[0].why, OWNER);
    }

    #[test]
    fn a_plain_container_has_nothing_in_the_way() {
        let kinds = vec![Namespace::Network, Namespace::Ipc, Namespace::Uts];
        let plan = plan(vec![
            (Track::Prepare, Action::Spawn { namespaces: vec![Namespace::Mount, Namespace::Pid] }),
            (Track::Init, Action::NewNamespaces { kinds }),
            (Track::Init, Action::ForbidNewPrivileges),
            (Track::Init, Action::Execute),
        ]);

        assert_eq!(obstacles(&plan), []);
    }

    #[test]
    fn a_network_namespace_may_be_that_of_a_path_and_no_other() {
        for kind in Namespace::ALL {
            let plan = plan(vec![(Track::Init, Action::JoinNamespace { kind })]);

            assert_eq!(obstacles(&plan).is_empty(), kind == Namespace::Network, "{kind:?}");
        }
    }
}
