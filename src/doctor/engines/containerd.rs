//! containerd: config.toml of version 2 and 3.

use std::path::Path;

use toml::{Table, Value};

use super::{is_ours, runs, texts};
use crate::doctor::Finding;

const AREA: &str = "containerd";
/// The plug-in that has the runtimes: in version 2, and in version 3.
const PLUGINS: [&str; 2] = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"];

pub(super) fn look(root: &Path) -> Vec<Finding> {
    let texts = texts(root, &["etc/containerd/config.toml"], &["etc/containerd/conf.d"]);
    judge(&texts, |path| runs(root, path))
}

fn judge(texts: &[String], runs: impl Fn(&str) -> bool) -> Vec<Finding> {
    let tables: Vec<_> = texts.iter().filter_map(|text| text.parse::<Table>().ok()).collect();
    let containerd = tables.iter().find_map(|table| {
        let plugins = table.get("plugins")?.as_table()?;
        PLUGINS.iter().find_map(|name| plugins.get(*name)?.get("containerd")?.as_table())
    });
    let runtimes = containerd.and_then(|table| table.get("runtimes")).and_then(Value::as_table);
    let ours = runtimes.into_iter().flatten().find_map(|(name, runtime)| {
        let binary = runtime.get("options")?.get("BinaryName")?.as_str()?;
        is_ours(binary).then(|| (name.clone(), binary.to_owned()))
    });
    let Some((name, binary)) = ours else {
        let remedy = "put profiles/engines/containerd-v2.toml (1.x) or containerd-v3.toml (2.x) into \
                      /etc/containerd/config.toml, and restart containerd";
        return vec![Finding::poor(AREA, "no runtime of its CRI is casemate").remedy(remedy)];
    };
    if !runs(&binary) {
        let found = format!("{binary}, which it is told to run, is not there");
        return vec![Finding::ill(AREA, found).remedy(format!("install casemate at {binary}"))];
    }
    let mut findings = vec![Finding::well(AREA, format!("runtime `{name}` is {binary}"))];
    let default = containerd.and_then(|table| table.get("default_runtime_name"));
    let default = default.and_then(Value::as_str).unwrap_or("runc");
    if !runtimes.is_some_and(|runtimes| runtimes.contains_key(default)) {
        let found =
            format!("its default runtime `{default}` is named nowhere: the CRI does not load");
        findings.push(
            Finding::ill(AREA, found)
                .remedy(format!("add a table `runtimes.{default}` beside `runtimes.{name}`")),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        judge(&[text.to_owned()], |_| true).into_iter().map(|finding| finding.found).collect()
    }

    #[test]
    fn our_own_files_are_all_that_is_needed() {
        for text in [
            include_str!("../../../profiles/engines/containerd-v2.toml"),
            include_str!("../../../profiles/engines/containerd-v3.toml"),
        ] {
            assert_eq!(found(text), ["runtime `casemate` is /usr/local/bin/casemate"]);
        }
    }

    #[test]
    fn a_default_that_is_lost_is_told() {
        let text = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.box]\n\
                    runtime_type = \"io.containerd.runc.v2\"\n\
                    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.box.options]\n\
                    BinaryName = \"/opt/casemate\"\n";

        let said = found(text);

        assert_eq!(said[0], "runtime `box` is /opt/casemate");
        assert!(said[1].starts_with("its default runtime `runc` is named nowhere"), "{said:?}");
        assert_eq!(found("version = 2\n"), ["no runtime of its CRI is casemate"]);
    }
}
