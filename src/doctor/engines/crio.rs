//! CRI-O: crio.conf and its drop-ins.

use std::path::Path;

use toml::{Table, Value};

use super::{is_ours, runs, texts};
use crate::doctor::Finding;

const AREA: &str = "cri-o";

pub(super) fn look(root: &Path) -> Vec<Finding> {
    let texts = texts(root, &["etc/crio/crio.conf"], &["etc/crio/crio.conf.d"]);
    judge(&texts, |path| runs(root, path))
}

fn judge(texts: &[String], runs: impl Fn(&str) -> bool) -> Vec<Finding> {
    let tables: Vec<_> = texts.iter().filter_map(|text| text.parse::<Table>().ok()).collect();
    let ours = tables.iter().find_map(|table| {
        let runtimes = table.get("crio")?.get("runtime")?.get("runtimes")?.as_table()?;
        runtimes.iter().find_map(|(name, runtime)| {
            let path = runtime.get("runtime_path").and_then(Value::as_str)?;
            is_ours(path).then(|| (name.clone(), path.to_owned()))
        })
    });
    match ours {
        None => {
            let remedy = "copy profiles/engines/crio.conf to /etc/crio/crio.conf.d/50-casemate.conf, \
                          and restart crio";
            vec![Finding::poor(AREA, "no configuration names casemate").remedy(remedy)]
        }
        Some((_, path)) if !runs(&path) => {
            let found = format!("{path}, which it is told to run, is not there");
            vec![Finding::ill(AREA, found).remedy(format!("install casemate at {path}"))]
        }
        Some((name, path)) => vec![Finding::well(AREA, format!("runtime `{name}` is {path}"))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_file_is_all_that_is_needed() {
        let text = include_str!("../../../profiles/engines/crio.conf").to_owned();
        let found = judge(std::slice::from_ref(&text), |_| true);

        assert_eq!(found[0].found, "runtime `casemate` is /usr/local/bin/casemate");
        assert_eq!(judge(&[], |_| true)[0].found, "no configuration names casemate");
    }
}
