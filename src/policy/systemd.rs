//! `[systemd]` of a policy file: which properties of its unit a bundle may set.

use serde::Deserialize;

use super::{Case, RuleId};

const UNIT_PROPERTIES: RuleId = RuleId("cgroup.unit-properties");

/// What annotations that set a property begin with.
const ANNOTATION: &str = "org.systemd.property.";

/// The table `[systemd]`. The default permits nothing beyond the level.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SystemdPolicy {
    /// Properties that annotations may set, by the name that stands in the annotation.
    pub properties: Vec<String>,
}

/// Refuses annotations that would set a property that the policy does not name. Where systemd
/// does not make the group, they mean nothing.
pub(super) fn apply(case: &mut Case<'_>) {
    if !case.host.systemd {
        return;
    }
    let annotations = case.spec.annotations().clone().unwrap_or_default();
    let mut asked: Vec<_> =
        annotations.keys().filter_map(|key| key.strip_prefix(ANNOTATION)).collect();
    asked.sort_unstable();
    for name in asked {
        if !case.policy.systemd.properties.iter().any(|allowed| allowed == name) {
            case.refuse(
                UNIT_PROPERTIES,
                format!("/annotations/{ANNOTATION}{name}"),
                "sets a property of the unit, and the policy names no such property",
                format!("leave it out, or add \"{name}\" to `properties` of [systemd] in the policy file"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use oci_spec::runtime::Spec;

    use super::*;
    use crate::policy::Policy;
    use crate::policy::rules::HostView;

    fn refused(systemd: bool, allowed: &[&str]) -> Vec<String> {
        let annotations = HashMap::from([
            ("org.systemd.property.CollectMode".to_owned(), "'inactive'".to_owned()),
            ("org.systemd.property.ExecStopPost".to_owned(), "'/bin/sh'".to_owned()),
            ("org.example".to_owned(), "x".to_owned()),
        ]);
        let mut spec = Spec::default();
        spec.set_annotations(Some(annotations));
        let host = HostView { systemd, ..HostView::default() };
        let properties = allowed.iter().map(ToString::to_string).collect();
        let policy = Policy { systemd: SystemdPolicy { properties }, ..Policy::default() };
        let mut case = Case::new(spec, &host, &policy);
        apply(&mut case);
        case.refusals.into_iter().map(|refusal| refusal.at).collect()
    }

    #[test]
    fn a_property_is_refused_unless_the_policy_names_it() {
        assert_eq!(
            refused(true, &["CollectMode"]),
            ["/annotations/org.systemd.property.ExecStopPost"]
        );
        assert_eq!(refused(true, &[]).len(), 2);
    }

    #[test]
    fn without_systemd_they_mean_nothing() {
        assert_eq!(refused(false, &[]), [""; 0]);
    }
}
