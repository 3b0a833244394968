//! An update of a container's limits, before the rules that judged them at its creation.

use oci_spec::runtime::{Linux, LinuxResources, Spec};

use super::rules::HostView;
use super::{Case, Change, Level, Policy, Refusal, rules};

/// What became of the resources that an update asks for.
#[derive(Debug, Clone)]
pub struct JudgedUpdate {
    /// The resources that will be applied.
    pub resources: LinuxResources,
    /// What was changed in them.
    pub changes: Vec<Change>,
    /// Under `audit`: what `hardened` would have changed.
    pub would_change: Vec<Change>,
}

/// Judges an update by the level that the container was created under.
///
/// # Errors
/// All refusals, not the first one.
pub fn judge_update(level: Level, resources: LinuxResources) -> Result<JudgedUpdate, Vec<Refusal>> {
    let mut linux = Linux::default();
    linux.set_resources(Some(resources.clone()));
    let mut spec = Spec::default();
    spec.set_linux(Some(linux));
    let (host, policy) = (HostView::default(), Policy::default());
    let mut case = Case::new(spec, &host, &policy);
    rules::apply_to_update(&mut case);
    let Case { spec: mut judged, changes, refusals, .. } = case;
    match level {
        Level::Hardened if !refusals.is_empty() => Err(refusals),
        Level::Hardened => {
            let linux = judged.linux_mut().as_mut();
            let judged = linux.and_then(|linux| linux.resources_mut().take());
            let resources = judged.unwrap_or_default();
            Ok(JudgedUpdate { resources, changes, would_change: Vec::new() })
        }
        Level::Audit => Ok(JudgedUpdate { resources, changes: Vec::new(), would_change: changes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(level: Level, text: &str) -> JudgedUpdate {
        judge_update(level, serde_json::from_str(text).unwrap()).unwrap()
    }

    fn pids(update: &JudgedUpdate) -> Option<i64> {
        update.resources.pids().as_ref().map(oci_spec::runtime::LinuxPids::limit)
    }

    #[test]
    fn an_update_cannot_take_the_limit_of_tasks_away() {
        for text in [r#"{"pids": {"limit": -1}}"#, r#"{"unified": {"pids.max": " max\n"}}"#] {
            let update = judged(Level::Hardened, text);

            assert_eq!(pids(&update), Some(4096), "{text}");
            assert_eq!(update.changes[0].rule, "cgroup.pids-limit");
            let unified = update.resources.unified().clone().unwrap_or_default();
            assert!(unified.is_empty(), "{text}");
        }
    }

    #[test]
    fn an_update_that_says_nothing_of_tasks_is_left_alone() {
        let update = judged(Level::Hardened, r#"{"memory": {"limit": 4096}}"#);

        assert_eq!((pids(&update), update.changes), (None, vec![]));
    }

    #[test]
    fn audit_changes_nothing_and_says_what_it_would() {
        let update = judged(Level::Audit, r#"{"pids": {"limit": -1}}"#);

        assert_eq!(pids(&update), Some(-1));
        assert_eq!(update.would_change[0].to, "4096");
    }
}
