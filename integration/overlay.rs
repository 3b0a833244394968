//! Overlays as engines mount them, and what is found out about them: put together again from the
//! facts alone, each must show what the engine's own mount shows.

mod place;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use casemate::plan::facts::RootfsKind;
use casemate::plan::text::HostPath;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use self::place::in_private_mounts;
use crate::support::{has_layers_of_data, has_layers_one_by_one};

fn whiteout(path: &Path) {
    mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
}

#[test]
fn an_overlay_is_its_upper_layer_on_top_of_its_lower_ones() {
    in_private_mounts(|place| {
        let [base, middle, upper, work] =
            ["base", "middle", "upper", "work"].map(|name| place.layer(name));
        fs::write(place.path("base/gone"), "").unwrap();
        whiteout(&place.path("middle/gone"));
        fs::remove_dir_all(place.path("work")).unwrap();
        fs::create_dir(place.path("work")).unwrap();
        let options = format!("lowerdir={middle}:{base},upperdir={upper},workdir={work},volatile");
        let root = place.mount("m", &options);
        fs::write(root.join("written"), "later").unwrap();

        let overlay = place.check(&root, &[upper, middle, base]);

        assert!(overlay.data_layers.is_empty() && !overlay.metacopy && !overlay.userxattr);
        assert_eq!(overlay.subdirectory.as_str(), "/");
    });
}

fn escape(name: &str) -> String {
    name.replace('\\', r"\\").replace(':', r"\:").replace(',', r"\,")
}

#[test]
fn names_with_colons_commas_backslashes_and_spaces_are_understood() {
    in_private_mounts(|place| {
        let [first, second, upper] =
            ["a:b,c d", r"e\f=g", r"u:p,per\"].map(|name| place.layer(name));
        fs::create_dir(place.path("work")).unwrap();
        let options = format!(
            "lowerdir={}:{},upperdir={},workdir={}",
            escape(&first),
            escape(&second),
            escape(&upper),
            place.text("work"),
        );
        let root = place.mount("mount, point\twith\\odd\nname", &options);

        place.check(&root, &[upper, first, second]);
    });
}

#[test]
fn layers_given_one_by_one_are_taken_as_they_are() {
    in_private_mounts(|place| {
        let [first, second] = ["a:b", r"c\:d, e"].map(|name| place.layer(name));
        if !has_layers_one_by_one() {
            let options = format!("lowerdir={}:{}", escape(&first), escape(&second));
            let root = place.mount("m", &options);
            place.check(&root, &[first, second]);
            println!("skipped, because this kernel takes no layers one by one");
            return;
        }

        let root = place.mount_with("m", &[("lowerdir+", &first), ("lowerdir+", &second)]);

        place.check(&root, &[first, second]);
    });
}

#[test]
fn layers_relative_to_the_directory_of_snapshots_are_found() {
    in_private_mounts(|place| {
        let layers = ["s/3/fs", "s/2/fs", "s/1/fs"].map(|name| place.layer(name));
        fs::create_dir(place.path("s/3/work")).unwrap();
        let options = format!(
            "lowerdir={}:{},upperdir={},workdir={}",
            "2/fs",
            "1/fs",
            layers[0],
            place.text("s/3/work"),
        );
        // Engines do it in a thread or process of their own, as this test's is.
        std::env::set_current_dir(place.path("s")).unwrap();
        let root = place.mount("m", &options);
        std::env::set_current_dir("/").unwrap();

        place.check(&root, &layers);
    });
}

#[test]
fn an_upper_directory_that_is_relative_too_is_looked_for_above_the_mount_point() {
    in_private_mounts(|place| {
        let layers = ["o/id/diff", "o/l/B", "o/l/A"].map(|name| place.layer(name));
        fs::create_dir(place.path("o/id/work")).unwrap();
        std::env::set_current_dir(place.path("o")).unwrap();
        let options = "lowerdir=l/B:l/A,upperdir=id/diff,workdir=id/work";
        let root = place.mount("o/id/merged", options);
        std::env::set_current_dir("/").unwrap();

        place.check(&root, &layers);
    });
}

#[test]
fn relative_layers_that_nothing_points_to_cannot_be_told() {
    in_private_mounts(|place| {
        for name in ["s/2/fs", "s/1/fs"] {
            place.layer(name);
        }
        std::env::set_current_dir(place.path("s")).unwrap();
        let root = place.mount("m", "lowerdir=2/fs:1/fs");
        std::env::set_current_dir("/").unwrap();

        let why = "is an overlay whose layer `2/fs` is named relative to a directory that cannot \
                   be told";
        assert_eq!(place.why_not(&root), why);
    });
}

#[test]
fn layers_that_are_links_keep_their_names_and_are_followed() {
    in_private_mounts(|place| {
        for name in ["id1/diff", "id2/diff"] {
            place.layer(name);
        }
        fs::create_dir(place.path("l")).unwrap();
        symlink("../id1/diff", place.path("l/AAAA")).unwrap();
        symlink("../id2/diff", place.path("l/BBBB")).unwrap();
        let links = ["l/BBBB", "l/AAAA"].map(|name| place.text(name));

        let root = place.mount("m", &format!("lowerdir={}:{}", links[0], links[1]));

        place.check(&root, &links);
    });
}

#[test]
fn forty_layers_and_as_many_as_the_kernel_takes_are_all_found() {
    in_private_mounts(|place| {
        for count in [40, 400] {
            let layers: Vec<_> = (0..count).map(|n| place.layer(&format!("l{n}"))).collect();
            if !has_layers_one_by_one() {
                let root = place.mount("m", &format!("lowerdir={}", layers.join(":")));
                place.check(&root, &layers);
                println!("skipped, because this kernel takes no layers one by one");
                return;
            }
            let options: Vec<_> =
                layers.iter().map(|layer| ("lowerdir+", layer.as_str())).collect();

            let root = place.mount_with(&format!("m{count}"), &options);

            place.check(&root, &layers);
        }
    });
}

#[test]
fn copies_of_metadata_alone_are_noted_and_show_their_data() {
    in_private_mounts(|place| {
        let [base, upper] = ["base", "upper"].map(|name| place.layer(name));
        fs::create_dir(place.path("work")).unwrap();
        let work = place.text("work");
        fs::write(place.path("base/data"), "data").unwrap();
        let options = format!("lowerdir={base},upperdir={upper},workdir={work},metacopy=on");
        let root = place.mount("m", &options);
        fs::set_permissions(root.join("data"), fs::Permissions::from_mode(0o600)).unwrap();

        let overlay = place.check(&root, &[upper, base]);

        assert!(overlay.metacopy);
    });
}

#[test]
fn layers_of_data_alone_stand_apart() {
    in_private_mounts(|place| {
        let [top, middle, data] = ["top", "middle", "data"].map(|name| place.layer(name));
        if !has_layers_of_data() {
            let root = place.mount("m", &format!("lowerdir={top}:{middle}:{data},metacopy=on"));
            assert!(place.check(&root, &[top, middle, data]).data_layers.is_empty());
            println!("skipped, because this kernel has no layers of data alone");
            return;
        }
        let options = format!("lowerdir={top}:{middle}::{data},metacopy=on");

        let root = place.mount("m", &options);

        let overlay = place.check(&root, &[top, middle]);
        assert_eq!(overlay.data_layers, [HostPath::new(&data).unwrap()]);
        assert!(overlay.metacopy);
    });
}

#[test]
fn marks_in_the_users_attributes_are_noted() {
    in_private_mounts(|place| {
        let [first, second] = ["first", "second"].map(|name| place.layer(name));

        let root = place.mount("m", &format!("lowerdir={first}:{second},userxattr"));

        assert!(place.check(&root, &[first, second]).userxattr);
    });
}

#[test]
fn a_root_below_the_mount_point_is_a_directory_of_the_overlay() {
    in_private_mounts(|place| {
        for name in ["first/a/root", "second/a/root"] {
            place.layer(name);
        }
        let [first, second] = ["first", "second"].map(|name| place.text(name));
        let mount = place.mount("m", &format!("lowerdir={first}:{second}"));

        let overlay = place.check(&mount.join("a/root"), &[first, second]);

        assert_eq!(overlay.subdirectory.as_str(), "/a/root");
    });
}

#[test]
fn a_bind_mount_of_an_overlay_or_of_a_directory_in_it_is_followed_back() {
    in_private_mounts(|place| {
        for name in ["first/a/root", "second/a/root"] {
            place.layer(name);
        }
        let layers = ["first", "second"].map(|name| place.text(name));
        let mount = place.mount("m", &format!("lowerdir={}:{}", layers[0], layers[1]));
        for (from, below, inside) in [("", "", "/"), ("a", "", "/a"), ("a", "root", "/a/root")] {
            let bind = place.path(&format!("bind{from}{below}"));
            fs::create_dir(&bind).unwrap();
            rustix::mount::mount_bind(mount.join(from), &bind).unwrap();

            let overlay = place.check(&bind.join(below), &layers);

            assert_eq!(overlay.subdirectory.as_str(), inside);
        }
    });
}

#[test]
fn a_layer_that_was_replaced_since_is_an_error() {
    in_private_mounts(|place| {
        let [base, upper] = ["base", "upper"].map(|name| place.layer(name));
        fs::create_dir(place.path("work")).unwrap();
        let work = place.text("work");
        let root = place.mount("m", &format!("lowerdir={base},upperdir={upper},workdir={work}"));
        fs::rename(&upper, place.path("moved")).unwrap();
        place.layer("upper");

        let error = place.facts(&root).unwrap_err();

        let text = error.to_string().replace(place.dir.path().to_str().unwrap(), "DIR");
        let expected = "the root file system `DIR/m` is an overlay whose top layer is no longer \
                        the directory `DIR/upper`";
        assert_eq!(text, expected);
        assert_eq!(error.hint(), "unmount it and let the engine mount it again");
    });
}

#[test]
fn a_layer_that_is_gone_is_a_reason() {
    in_private_mounts(|place| {
        let [first, second] = ["first", "second"].map(|name| place.layer(name));
        let root = place.mount("m", &format!("lowerdir={first}:{second}"));
        fs::rename(second, place.path("moved")).unwrap();

        assert_eq!(place.why_not(&root), "is an overlay whose layer `DIR/second` is gone");
    });
}

#[test]
fn layers_on_several_file_systems_are_not_compared_by_number() {
    in_private_mounts(|place| {
        let [first, second] = ["first", "other/second"].map(|name| place.layer(name));
        place.mount_empty("other", c"tmpfs");
        place.layer("other/second");

        let root = place.mount("m", &format!("lowerdir={first}:{second}"));

        place.check(&root, &[first, second]);
    });
}

#[test]
fn an_overlay_of_an_overlay_is_a_reason() {
    in_private_mounts(|place| {
        let [first, second, third] = ["first", "second", "third"].map(|name| place.layer(name));
        let inner = place.mount("inner", &format!("lowerdir={first}:{second}"));
        let options = format!("lowerdir={third}:{}", inner.display());

        let root = place.mount("outer", &options);

        let why = "is an overlay whose layer `DIR/inner` is on another overlay";
        assert_eq!(place.why_not(&root), why);
    });
}

#[test]
fn ramfs_and_layers_on_it_cannot_be_mapped() {
    in_private_mounts(|place| {
        let [first, other] = ["first", "other"].map(|name| place.layer(name));
        place.mount_empty("other", c"ramfs");

        let root = place.mount("m", &format!("lowerdir={first}:{other}"));

        let why = "is on ramfs, whose owners the kernel cannot translate for a user namespace; \
                   put it on ext4, xfs, btrfs, squashfs, erofs or tmpfs";
        assert_eq!(place.why_not(Path::new(&other)), why);
        let layer = format!("is an overlay whose layer `DIR/other` {why}");
        assert_eq!(place.why_not(&root), layer);
    });
}

#[test]
fn a_bind_mount_of_a_plain_directory_can_be_mapped() {
    in_private_mounts(|place| {
        let plain = place.layer("plain");
        fs::create_dir(place.path("bind")).unwrap();
        rustix::mount::mount_bind(plain, place.path("bind")).unwrap();

        assert!(matches!(place.facts(&place.path("bind")).unwrap(), RootfsKind::Mappable));
    });
}
