//! Docker: daemon.json.

use std::path::Path;

use serde_json::Value;

use super::{is_ours, runs};
use crate::doctor::Finding;

const AREA: &str = "docker";

pub(super) fn look(root: &Path) -> Vec<Finding> {
    let text = std::fs::read_to_string(root.join("etc/docker/daemon.json")).unwrap_or_default();
    judge(&text, |path| runs(root, path))
}

fn judge(text: &str, runs: impl Fn(&str) -> bool) -> Vec<Finding> {
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let runtimes = document.get("runtimes").and_then(Value::as_object);
    let ours = runtimes.into_iter().flatten().find_map(|(name, runtime)| {
        let path = runtime.get("path")?.as_str()?;
        is_ours(path).then(|| (name.clone(), path.to_owned()))
    });
    let Some((name, path)) = ours else {
        let remedy = "put profiles/engines/docker-daemon.json into /etc/docker/daemon.json, and \
                      restart docker";
        return vec![Finding::poor(AREA, "daemon.json names no casemate").remedy(remedy)];
    };
    if !runs(&path) {
        let found = format!("{path}, which it is told to run, is not there");
        return vec![Finding::ill(AREA, found).remedy(format!("install casemate at {path}"))];
    }
    let is_default = document.get("default-runtime").and_then(Value::as_str) == Some(&name);
    vec![if is_default {
        Finding::well(AREA, format!("{path} is the default runtime"))
    } else {
        Finding::well(AREA, format!("`docker run --runtime {name}` runs {path}"))
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_file_is_all_that_is_needed() {
        let text = include_str!("../../../profiles/engines/docker-daemon.json");
        let found = judge(text, |_| true);

        assert_eq!(found[0].found, "`docker run --runtime casemate` runs /usr/local/bin/casemate");
        assert!(judge(text, |_| false)[0].found.ends_with("is not there"));
        assert_eq!(judge("", |_| true)[0].found, "daemon.json names no casemate");
    }
}
