//! Hooks: programs of the host that config.json has run with the host's rights.

use std::path::PathBuf;

use oci_spec::runtime::{Hook, Spec};

use super::FoundHook;
use crate::policy::{Case, RuleId};

const TRUSTED_ONLY: RuleId = RuleId("hooks.trusted-only");
const ALLOWED_ONLY: RuleId = RuleId("hooks.allowed-only");

pub(super) fn apply(case: &mut Case<'_>) {
    for found in &case.host.hooks {
        let Some(hook) = hook_at(&mut case.spec, &found.pointer).cloned() else { continue };
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
        } else if found.of_process {
            let from = format!("the program of a process: {}", hook.path().display());
            if let Some(hook) = hook_at(&mut case.spec, &found.pointer) {
                hook.set_path(PathBuf::from(&found.program));
            }
            case.change(TRUSTED_ONLY, path, from, found.program.clone());
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
        variables(case, found, &hook);
    }
}

/// Withholds what the policy does not let a bundle set.
fn variables(case: &mut Case<'_>, found: &FoundHook, hook: &Hook) {
    let Some(given) = hook.env() else { return };
    let kept = case.policy.hooks.keep(given);
    if kept == *given {
        return;
    }
    let name = |variable: &String| variable.split('=').next().unwrap_or_default().to_owned();
    let gone: Vec<_> = given.iter().filter(|one| !kept.contains(one)).map(name).collect();
    if let Some(hook) = hook_at(&mut case.spec, &found.pointer) {
        hook.set_env(Some(kept));
    }
    let at = format!("{}/env", found.pointer);
    case.change(ALLOWED_ONLY, at, gone.join(" "), "those that the policy lists, and a fixed PATH");
}

/// The hook at an address of [`FoundHook`].
fn hook_at<'spec>(spec: &'spec mut Spec, pointer: &str) -> Option<&'spec mut Hook> {
    let hooks = spec.hooks_mut().as_mut()?;
    let (stage, index) = pointer.strip_prefix("/hooks/")?.split_once('/')?;
    let list = match stage {
        "prestart" => hooks.prestart_mut(),
        "createRuntime" => hooks.create_runtime_mut(),
        "createContainer" => hooks.create_container_mut(),
        "poststart" => hooks.poststart_mut(),
        "poststop" => hooks.poststop_mut(),
        _ => return None,
    };
    list.as_mut()?.get_mut(index.parse::<usize>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::super::HostView;
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
            of_process: false,
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
        let table = HooksTable {
            allow: Some(vec!["/usr/bin/dockerd setkey *".to_owned()]),
            variables: Vec::new(),
        };
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

    fn judged(hook: &str, of_process: bool, table: HooksTable) -> (Hook, Vec<String>) {
        let spec = format!(r#"{{"ociVersion": "1.0.2", "hooks": {{"poststop": [{hook}]}}}}"#);
        let spec = serde_json::from_str(&spec).unwrap();
        let found = FoundHook {
            pointer: "/hooks/poststop/0".to_owned(),
            program: "/usr/bin/dockerd".to_owned(),
            of_process,
            untrusted: None,
        };
        let host = HostView { hooks: vec![found], ..HostView::default() };
        let policy = Policy { hooks: table, ..Policy::default() };
        let mut case = Case::new(spec, &host, &policy);
        apply(&mut case);
        assert!(case.refusals.is_empty());
        let changed = case.changes.iter().map(|change| change.at.clone()).collect();
        (hook_at(&mut case.spec, "/hooks/poststop/0").unwrap().clone(), changed)
    }

    #[test]
    fn the_program_of_a_process_is_run_by_its_own_path() {
        let hook = r#"{"path": "/proc/9/exe", "args": ["setkey"]}"#;

        let (hook, changed) = judged(hook, true, HooksTable::default());

        assert_eq!(hook.path(), &PathBuf::from("/usr/bin/dockerd"));
        assert_eq!(changed, ["/hooks/poststop/0/path"]);
    }

    #[test]
    fn variables_that_make_another_program_of_a_listed_one_are_withheld() {
        let hook = r#"{"path": "/usr/bin/dockerd", "env": ["BASH_ENV=/x", "A=b"]}"#;
        let table = |variables: &[&str]| HooksTable {
            allow: Some(vec!["/usr/bin/dockerd".to_owned()]),
            variables: variables.iter().map(ToString::to_string).collect(),
        };

        let (some, changed) = judged(hook, false, table(&["A"]));
        assert_eq!(changed, ["/hooks/poststop/0/env"]);
        assert_eq!(some.env().clone().unwrap(), ["A=b", crate::policy::hooks_table::SEARCH_PATH]);
        let (all, changed) = judged(hook, false, HooksTable::default());
        assert_eq!((all.env().clone().unwrap().len(), changed.len()), (2, 0));
    }
}
