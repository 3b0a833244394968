use std::fs;

use super::*;

fn inside(root: &str, point: &str, path: &str) -> String {
    match subdirectory(root, point, path) {
        Ok(inside) => inside.to_string(),
        Err(Fault::Unmappable(why)) => why,
        Err(Fault::Replaced { layer }) => panic!("{layer}"),
    }
}

fn mount_of(point: &str, options: &[String]) -> Mount {
    let options = options.iter().map(|option| option.clone().into_bytes()).collect();
    Mount { root: b"/".to_vec(), mount_point: point.into(), options }
}

fn why(fault: Fault) -> String {
    match fault {
        Fault::Unmappable(why) => why,
        Fault::Replaced { layer } => panic!("{layer} was replaced"),
    }
}

#[test]
fn a_path_below_the_mount_point_is_as_deep_inside() {
    assert_eq!(inside("/", "/m", "/m"), "/");
    assert_eq!(inside("/", "/m", "/m/a/b"), "/a/b");
    assert_eq!(inside("/", "/", "/a"), "/a");
}

#[test]
fn a_bind_of_a_directory_adds_that_directory() {
    assert_eq!(inside("/etc", "/m", "/m"), "/etc");
    assert_eq!(inside("/etc", "/m", "/m/a"), "/etc/a");
}

#[test]
fn a_mount_that_is_not_above_the_path_or_was_removed_is_a_reason() {
    assert_eq!(inside("/", "/m", "/mn"), "is on an overlay that is mounted elsewhere, at /m");
    let removed = "is a directory of an overlay that was removed";
    assert_eq!(inside("/etc//deleted", "/m", "/m"), removed);
}

#[test]
fn relative_layers_are_meant_from_two_above_the_upper_directory() {
    let options = ["lowerdir=2/fs:1/fs".to_owned(), "upperdir=/snapshots/3/fs".to_owned()];
    let options = options::parse(&mount_of("/m", &options).options).unwrap();
    let names = Names::of(&options).unwrap();

    let anchor = names.anchor("/m", None);
    let layers = names.resolve(&names.layers, anchor.as_deref()).unwrap();

    let layers: Vec<_> = layers.iter().map(HostPath::as_str).collect();
    assert_eq!(layers, ["/snapshots/3/fs", "/snapshots/2/fs", "/snapshots/1/fs"]);
}

#[test]
fn relative_layers_without_an_anchor_are_a_reason() {
    let mount = mount_of("/nowhere/m", &["lowerdir=2/fs:1/fs".to_owned()]);

    let fault = take_apart(&mount, &HostPath::new("/nowhere/m").unwrap(), 1).unwrap_err();

    let expected = "is an overlay whose layer `2/fs` is named relative to a directory that cannot \
                    be told";
    assert_eq!(why(fault), expected);
}

#[test]
fn a_layer_that_is_gone_or_no_directory_is_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    fs::write(format!("{dir}/file"), "").unwrap();
    let path = HostPath::new(dir).unwrap();

    let take = |layer: &str| {
        let mount = mount_of(dir, &[format!("lowerdir={dir}/{layer}")]);
        why(take_apart(&mount, &path, 1).unwrap_err())
    };

    assert_eq!(take("none"), format!("is an overlay whose layer `{dir}/none` is gone"));
    let expected = format!("is an overlay whose layer `{dir}/file` is no directory any more");
    assert_eq!(take("file"), expected);
}

#[test]
fn a_layer_of_a_kind_that_cannot_be_mapped_is_a_reason() {
    let mount = mount_of("/m", &["lowerdir=/proc/self".to_owned()]);

    let fault = take_apart(&mount, &HostPath::new("/m").unwrap(), 1).unwrap_err();

    let text = why(fault);
    assert!(text.starts_with("is an overlay whose layer `/proc/self` is on proc, whose"), "{text}");
}

#[test]
fn more_layers_than_the_kernel_takes_are_a_reason() {
    let mut options: Vec<_> = (0..500).map(|n| format!("lowerdir+=/l{n}")).collect();
    options.push("upperdir=/u".to_owned());

    let fault = take_apart(&mount_of("/m", &options), &HostPath::new("/m").unwrap(), 1);

    assert_eq!(why(fault.unwrap_err()), "is an overlay of 501 layers, more than 500");
}

#[test]
fn a_name_that_is_not_utf8_is_a_reason() {
    let mut mount = mount_of("/m", &[]);
    mount.options.push(b"lowerdir=/\xff".to_vec());

    let fault = take_apart(&mount, &HostPath::new("/m").unwrap(), 1).unwrap_err();

    assert_eq!(why(fault), "is an overlay with the path `/\u{fffd}`, which is not UTF-8");
}
