//! Ids where the caller is no root of the host: what it can give away is what its own namespace
//! has, and its own id is one of them.

use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder};

use super::CallerView;
use crate::policy::{CallerInside, Case, RuleId};

const NO_HOST_ROOT: RuleId = RuleId("ids.no-host-root");
const OWN_RANGE: RuleId = RuleId("ids.own-range");

const LIST: &str = "/linux/namespaces";

const SHIFT_HINT: &str = "have the engine give other ids: `--userns=auto:size=65536`, or \
                          `--uidmap 0:1:65536`";

/// A line of a mapping: id inside, id of the caller's namespace, number of ids.
pub(super) type Line = (u32, u32, u32);

/// Maps all ids of the caller's namespace to themselves: files are the caller's to give to other
/// ids only by changing them on disk.
pub(super) fn keep_ids(case: &mut Case<'_>, caller: &CallerView) {
    let lines = |ids: &[(u32, u32)]| {
        let line = |(first, size): &(u32, u32)| {
            let line = LinuxIdMappingBuilder::default().container_id(*first).host_id(*first);
            line.size(*size).build().ok()
        };
        ids.iter().filter_map(line).collect::<Vec<LinuxIdMapping>>()
    };
    let (uids, gids) = (lines(&caller.uids), lines(&caller.gids));
    let linux = case.spec.linux_mut().get_or_insert_default();
    linux.set_uid_mappings(Some(uids)).set_gid_mappings(Some(gids));
    let to = "a user namespace of its own, below the caller's, with the same ids";
    case.change(OWN_RANGE, LIST, "root inside rules the caller's user namespace", to);
    let maps = caller.uids.iter().map(|(first, size)| (*first, *first, *size));
    judge_users(case, caller, LIST, &maps.collect::<Vec<_>>());
}

/// Judges a mapping of users: whether the caller is among them, and can give them.
pub(super) fn judge_users(case: &mut Case<'_>, caller: &CallerView, at: &str, maps: &[Line]) {
    let uid = caller.uid;
    let Some((inside, ..)) = maps.iter().find(|(_, outside, _)| *outside == 0).copied() else {
        return;
    };
    let what = if inside == 0 {
        format!(
            "root in this container is you (uid {uid}), because files cannot be given to other ids \
             without root"
        )
    } else {
        format!("processes in this container can become you (uid {uid}), as user {inside}")
    };
    if case.policy.rootless.caller == CallerInside::Refuse {
        case.refuse(NO_HOST_ROOT, at, format!("lowers P1: {what}"), SHIFT_HINT);
    } else {
        let remedy = if inside == 0 { format!("; {SHIFT_HINT}") } else { String::new() };
        case.reduced.push(format!("P1 reduced: {what}{remedy}"));
    }
}

/// Refuses what the caller's namespace does not have: the kernel would, without saying why.
pub(super) fn judge_range(case: &mut Case<'_>, at: &str, ids: &[(u32, u32)], maps: &[Line]) {
    let within = |(_, outside, size): &&Line| {
        let end = |first: u32, size: u32| u64::from(first) + u64::from(size);
        let fits = |(first, count): &(u32, u32)| {
            *outside >= *first && end(*outside, *size) <= end(*first, *count)
        };
        !ids.iter().any(fits)
    };
    let Some((_, outside, size)) = maps.iter().find(within).copied() else { return };
    let has = ids.iter().map(|(first, size)| format!("{size} from {first} on"));
    let has = has.collect::<Vec<_>>().join(", ");
    case.refuse_always(
        OWN_RANGE,
        at,
        format!("maps {size} ids from {outside} on; the caller's user namespace has {has}"),
        "map within one of these; /etc/subuid and /etc/subgid say how many there are",
    );
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::Spec;
    use serde_json::json;

    use super::*;
    use crate::policy::rules::HostView;
    use crate::policy::{Ids, Judged, Policy, Refusal, RootlessPolicy, judge};

    /// What becomes of a bundle of a user with 65,536 ids to give, which maps this.
    fn judged(maps: Option<[u32; 3]>, caller: CallerInside) -> Result<Judged, Vec<Refusal>> {
        let mut spec = Spec::default();
        if let Some([inside, outside, size]) = maps {
            let maps = json!([{"containerID": inside, "hostID": outside, "size": size}]);
            let kinds = ["user", "pid", "network", "ipc", "uts", "mount"];
            let namespaces = kinds.map(|kind| json!({"type": kind}));
            let linux = json!({"namespaces": namespaces, "uidMappings": maps, "gidMappings": maps});
            spec.set_linux(Some(serde_json::from_value(linux).unwrap()));
        }
        let ids = vec![(0, 1), (1, 65_536)];
        let caller_view = CallerView { uid: 1000, uids: ids.clone(), gids: ids };
        let host = HostView { caller: Some(caller_view), ..HostView::default() };
        let policy = Policy { rootless: RootlessPolicy { caller }, ..Policy::default() };
        judge(&policy, spec, &host)
    }

    #[test]
    fn without_a_mapping_the_callers_ids_are_kept_and_that_is_said() {
        let judged = judged(None, CallerInside::Say).unwrap();

        assert_eq!(judged.ids, Ids::AsWritten);
        let maps = judged.spec.linux().as_ref().unwrap().uid_mappings().clone().unwrap();
        let lines: Vec<_> =
            maps.iter().map(|line| (line.container_id(), line.host_id(), line.size())).collect();
        assert_eq!(lines, [(0, 0, 1), (1, 1, 65_536)]);
        let [said] = judged.reduced.as_slice() else { panic!("{:?}", judged.reduced) };
        assert!(said.starts_with("P1 reduced: root in this container is you (uid 1000)"), "{said}");
    }

    #[test]
    fn ids_beside_the_callers_reduce_nothing() {
        let judged = judged(Some([0, 1, 65_536]), CallerInside::Refuse).unwrap();

        assert_eq!(judged.reduced, Vec::<String>::new());
    }

    #[test]
    fn the_callers_id_inside_is_told_and_can_be_refused() {
        let kept = judged(Some([1000, 0, 1]), CallerInside::Say).unwrap();
        assert!(kept.reduced[0].contains("can become you (uid 1000), as user 1000"));

        let refused = judged(Some([1000, 0, 1]), CallerInside::Refuse).unwrap_err();
        assert_eq!(refused[0].rule, "ids.no-host-root");
        assert!(refused[0].hint.contains("--userns=auto:size=65536"));
    }

    #[test]
    fn ids_that_the_caller_lacks_are_refused_whatever_the_policy_says() {
        for wrong in [[0, 1, 65_537], [0, 65_536, 2], [0, 0, 2], [0, 70_000, 1]] {
            let refused = judged(Some(wrong), CallerInside::Accept).unwrap_err();
            assert!(refused[0].why.contains("the caller's user namespace has"), "{wrong:?}");
        }
    }
}
