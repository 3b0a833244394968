//! Steps of a build, which write the root and keep what they wrote.

use std::path::Path;

use crate::policy::{Case, RuleId};

const ROOTFS_READ_ONLY: RuleId = RuleId("rootfs.read-only");

/// What buildah and `podman build` mount into each step, from a directory made for that step.
const MARK: &str = "/run/.containerenv";

const HINT: &str = "build with another runtime (`buildah --runtime crun`, `podman --runtime crun \
                    build`), and run the image with this one";

/// Tells who builds what to do, instead of letting the step fail where it first writes.
pub(super) fn apply(case: &mut Case<'_>) {
    let is_writable = case.spec.root().as_ref().is_some_and(|root| root.readonly() != Some(true));
    let mounts = case.spec.mounts().as_deref().unwrap_or_default();
    let is_step = |mount: &oci_spec::runtime::Mount| {
        mount.destination() == Path::new(MARK)
            && mount.source().as_deref().is_some_and(is_of_a_build)
    };
    if is_writable && mounts.iter().any(is_step) {
        let why = "is false for a step of a build, which writes the root and keeps what it wrote";
        case.refuse_always(ROOTFS_READ_ONLY, "/root/readonly", why, HINT);
    }
}

/// Whether this is `DIR/buildahNUMBER/run/.containerenv`.
fn is_of_a_build(source: &Path) -> bool {
    let directory = source.to_str().and_then(|source| source.strip_suffix(MARK));
    let name = directory.and_then(|directory| Path::new(directory).file_name());
    let number = name.and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("buildah"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_directory_of_a_build_is_one() {
        for (path, is) in [
            ("/var/tmp/buildah4241486050/run/.containerenv", true),
            ("/var/tmp/buildah/run/.containerenv", false),
            ("/var/tmp/buildahs/run/.containerenv", false),
            ("/run/containers/overlay-containers/x/userdata/.containerenv", false),
            ("/srv/buildah1/other/.containerenv", false),
        ] {
            assert_eq!(is_of_a_build(Path::new(path)), is, "{path}");
        }
    }
}
