//! Hooks: programs of the host that config.json has run with the host's rights.

use oci_spec::runtime::Hook;

use crate::policy::{Case, RuleId};

const TRUSTED_ONLY: RuleId = RuleId("hooks.trusted-only");
const ALLOWED_ONLY: RuleId = RuleId("hooks.allowed-only");

pub(super) fn apply(case: &mut Case<'_>) {
    for found in &case.host.hooks {
        let Some(hook) = hook_at(case, &found.pointer) else { continue };
        let arguments = hook.args().clone().unwrap_or_default();
        let path = format!("{}/path", found.pointer);
        if let Some(why) = &found.untrusted {
            let hint = "put the hook where only root can write, outside of bundle and image";
            case.refuse(TRUSTED_ONLY, path, why.as_str(), hint);
        } else if !case.policy.hooks.allows(&found.program, &arguments) {
            let why = format!("is {}, which the policy does not list", found.program);
            let hint =
                "an administrator can add it to `allow` in the table `[hooks]` of the policy";
            case.refuse(ALLOWED_ONLY, path, why, hint);
        }
        for (index, variable) in hook.env().iter().flatten().enumerate() {
            // What the loader takes from there is run before the program itself.
            if variable.starts_with("LD_") {
                let name = variable.split('=').next().unwrap_or_default();
                let at = format!("{}/env/{index}", found.pointer);
                let hint = "leave it out; set it in a script of root's that is the hook instead";
                case.refuse(TRUSTED_ONLY, at, format!("sets {name}"), hint);
            }
        }
    }
}

/// The hook at an address of [`super::FoundHook`].
fn hook_at(case: &Case<'_>, pointer: &str) -> Option<Hook> {
    let hooks = case.spec.hooks().as_ref()?;
    let (stage, index) = pointer.strip_prefix("/hooks/")?.split_once('/')?;
    let list = match stage {
        "prestart" => hooks.prestart(),
        "createRuntime" => hooks.create_runtime(),
        "createContainer" => hooks.create_container(),
        "poststart" => hooks.poststart(),
        "poststop" => hooks.poststop(),
        _ => return None,
    };
    list.as_ref()?.get(index.parse::<usize>().ok()?).cloned()
}

#[cfg(test)]
mod tests {
    use super::super::{FoundHook, HostView};
    use super::*;
    use crate::policy::{HooksTable, Policy};

    fn refusals(
        hook: &str,
        program: &str,
        untrusted: Option<&str>,
        table: HooksTable,
    ) -> Vec<String> {
        let spec = format!(r#"{{"ociVersion": "1.0.2", "hooks": {{"prestart": [{hook}]}}}}"#);
        let spec = serde_json::from_str(&spec).unwrap();
        let found = FoundHook {
            pointer: "/hooks/prestart/0".to_owned(),
            program: program.to_owned(),
            untrusted: untrusted.map(str::to_owned),
        };
        let host = HostView { hooks: vec![found], ..HostView::default() };
        let policy = Policy { hooks: table, ..Policy::default() };
        let mut case = Case::new(spec, &host, &policy);
        apply(&mut case);
        case.refusals.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_hook_that_others_could_change_is_refused_for_that() {
        let why = Some("goes through /tmp, which everybody can write");

        let said = refusals(r#"{"path": "/tmp/x"}"#, "/tmp/x", why, HooksTable::default());

        assert_eq!(
            said,
            ["refused by rule `hooks.trusted-only`: /hooks/prestart/0/path goes through /tmp, \
              which everybody can write"]
        );
    }

    #[test]
    fn a_hook_that_is_not_listed_is_refused_by_its_real_path() {
        let table = HooksTable { allow: Some(vec!["/usr/bin/dockerd setkey *".to_owned()]) };
        let hook = r#"{"path": "/proc/9/exe", "args": ["setkey", "x"]}"#;

        assert!(refusals(hook, "/usr/bin/dockerd", None, table.clone()).is_empty());
        assert_eq!(
            refusals(hook, "/usr/bin/other", None, table),
            ["refused by rule `hooks.allowed-only`: /hooks/prestart/0/path is /usr/bin/other, \
              which the policy does not list"]
        );
    }

    #[test]
    fn code_by_way_of_the_loader_is_refused() {
        let hook = r#"{"path": "/bin/x", "env": ["A=b", "LD_PRELOAD=./evil.so"]}"#;

        assert_eq!(
            refusals(hook, "/bin/x", None, HooksTable::default()),
            ["refused by rule `hooks.trusted-only`: /hooks/prestart/0/env/1 sets LD_PRELOAD"]
        );
    }
}
