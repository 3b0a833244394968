//! Engines that are installed, and whether each knows of casemate.
//!
//! Only files are read: no engine is run. What a file says is judged by functions of text.

mod containerd;
mod crio;
mod docker;
mod podman;

use std::path::Path;

use super::{Finding, Places};

/// Looks at the configuration below a root directory.
type Look = fn(&Path) -> Vec<Finding>;

/// The program by which an engine is found, and who looks at its configuration.
const ENGINES: [(&str, Look); 4] = [
    ("podman", podman::look),
    ("containerd", containerd::look),
    ("dockerd", docker::look),
    ("crio", crio::look),
];

pub(super) fn look(places: &Places<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (program, look) in ENGINES {
        if is_installed(&places.etc, program) {
            findings.extend(look(&places.etc));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::note("engines", "none is installed: bundles are run by hand"));
    }
    findings
}

fn is_installed(root: &Path, program: &str) -> bool {
    let dirs = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"];
    dirs.iter().any(|dir| root.join(dir).join(program).exists())
}

/// The text of a file, and of those in a directory, by name in order: the later prevail.
fn texts(root: &Path, files: &[&str], directories: &[&str]) -> Vec<String> {
    let mut paths: Vec<_> = files.iter().map(|file| root.join(file)).collect();
    for directory in directories {
        let entries = std::fs::read_dir(root.join(directory)).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries.map(|entry| entry.path()).collect();
        found.retain(|path| path.extension().is_some_and(|end| end == "conf" || end == "toml"));
        found.sort();
        paths.extend(found);
    }
    paths.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

/// Whether a path leads to something that can be run.
fn runs(root: &Path, path: &str) -> bool {
    let path = root.join(path.trim_start_matches('/'));
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Whether a path or a name is casemate's.
fn is_ours(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with("casemate"))
}
