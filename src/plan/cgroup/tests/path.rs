//! Where groups are.

use std::path::Path;

use super::request;
use crate::plan::cgroup::{
    CgroupNote, CgroupPath, CgroupPlan, CgroupRequest, Driver, PathFault, build_cgroup_plan,
};

fn path(text: &str) -> Result<CgroupPath, PathFault> {
    CgroupPath::parse(Some(Path::new(text)), Driver::Cgroupfs)
}

fn plan_at(path: &'static str) -> CgroupPlan {
    let cgroups_path = Some(Path::new(path));
    build_cgroup_plan(&CgroupRequest { cgroups_path, ..request() }).unwrap()
}

#[test]
fn absolute_and_relative_paths_mean_the_same_place() {
    assert_eq!(path("/docker/abc"), path("./docker//abc/"));
    assert_eq!(path("/docker/abc").unwrap().resolve("x").unwrap().as_str(), "docker/abc");
    assert_eq!(CgroupPath::ById.resolve("web-1").unwrap().as_str(), "casemate-web-1.scope");
    assert_eq!(path("").unwrap(), CgroupPath::ById);
}

#[test]
fn the_form_of_a_scope_is_a_name_like_any_other_without_systemd() {
    let named = plan_at("system.slice:docker:abc");

    assert_eq!(named.path.resolve("x").unwrap().as_str(), "system.slice:docker:abc");
    let why = "is a directory's name without `--systemd-cgroup`".to_owned();
    assert_eq!(named.notes, [CgroupNote { at: "/linux/cgroupsPath".to_owned(), why }]);
    assert_eq!(plan_at("/pods/a:b:c").notes, []);
    assert_eq!(plan_at("a:b").notes, []);
}

#[test]
fn bad_paths_say_what_is_wrong() {
    let said: Vec<_> = ["/a/../b", "..", "/", "/a\nb", &"x".repeat(256)]
        .map(|text| path(text).unwrap_err().to_string())
        .into();

    assert_eq!(
        said,
        [
            "`/a/../b` has a component `..`",
            "`..` has a component `..`",
            "`/` names the root of the hierarchy",
            "\"/a\\nb\" has a byte that a control group's name cannot have",
            "a name in it is longer than 255 bytes, or the whole longer than 4000",
        ]
    );
    assert!(CgroupPath::ById.resolve("../x").is_err());
}
