//! Podman: containers.conf and its drop-ins.

use std::path::Path;

use toml::Table;

use super::{is_ours, runs, texts};
use crate::doctor::Finding;

const AREA: &str = "podman";
const INSTALL: &str =
    "copy profiles/engines/podman.conf to /etc/containers/containers.conf.d/50-casemate.conf";

/// What all files together say of the engine.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// Where casemate is.
    path: Option<String>,
    /// Whether refusals are shown whole.
    json: bool,
    /// Whether it is the default runtime.
    is_default: bool,
}

pub(super) fn look(root: &Path) -> Vec<Finding> {
    let files = ["usr/share/containers/containers.conf", "etc/containers/containers.conf"];
    let texts = texts(root, &files, &["etc/containers/containers.conf.d"]);
    judge(&read(&texts), |path| runs(root, path))
}

fn read(texts: &[String]) -> Said {
    let mut said = Said::default();
    for text in texts {
        let Ok(table) = text.parse::<Table>() else { continue };
        let Some(engine) = table.get("engine").and_then(toml::Value::as_table) else { continue };
        let runtimes = engine.get("runtimes").and_then(toml::Value::as_table);
        for (name, paths) in runtimes.into_iter().flatten() {
            let first = paths.as_array().and_then(|paths| paths.first());
            if let Some(path) = first.and_then(toml::Value::as_str).filter(|_| is_ours(name)) {
                said.path = Some(path.to_owned());
            }
        }
        if let Some(list) = engine.get("runtime_supports_json").and_then(toml::Value::as_array) {
            said.json = list.iter().filter_map(toml::Value::as_str).any(is_ours);
        }
        if let Some(runtime) = engine.get("runtime").and_then(toml::Value::as_str) {
            said.is_default = is_ours(runtime);
        }
    }
    said
}

fn judge(said: &Said, runs: impl Fn(&str) -> bool) -> Vec<Finding> {
    let Some(path) = &said.path else {
        return vec![Finding::poor(AREA, "no configuration names casemate").remedy(INSTALL)];
    };
    if !runs(path) {
        let found = format!("{path}, which it is told to run, is not there");
        return vec![Finding::ill(AREA, found).remedy(format!("install casemate at {path}"))];
    }
    let mut findings = Vec::new();
    findings.push(if said.is_default {
        Finding::well(AREA, format!("{path} is the default runtime"))
    } else {
        Finding::well(AREA, format!("`podman --runtime casemate` runs {path}"))
    });
    if !said.json {
        let found =
            "`runtime_supports_json` leaves casemate out: of a refusal only a part is shown";
        findings.push(Finding::poor(AREA, found).remedy(INSTALL));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROP_IN: &str = include_str!("../../../profiles/engines/podman.conf");

    fn found(texts: &[&str], there: bool) -> Vec<String> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        judge(&read(&texts), |_| there).into_iter().map(|finding| finding.found).collect()
    }

    #[test]
    fn our_own_drop_in_is_all_that_is_needed() {
        let said = found(&["[engine]\nruntime = \"crun\"\n", DROP_IN], true);

        assert_eq!(said, ["`podman --runtime casemate` runs /usr/local/bin/casemate"]);
    }

    #[test]
    fn what_is_missing_is_told() {
        assert_eq!(found(&[""], true), ["no configuration names casemate"]);
        let gone = found(&[DROP_IN], false);
        assert_eq!(gone, ["/usr/local/bin/casemate, which it is told to run, is not there"]);
        let quiet = "[engine.runtimes]\ncasemate = [\"/x/casemate\"]\n";
        assert_eq!(found(&[quiet], true).len(), 2);
        let default = "[engine]\nruntime = \"casemate\"\n";
        assert!(found(&[DROP_IN, default], true)[0].ends_with("is the default runtime"));
    }
}
