//! Every option of a mount that the specification names, seen by its effect in the container's
//! own table of mounts; under `audit` as written, under `hardened` with what is forced.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use casemate::sys::flags::mount_attr;
use casemate::sys::mount;
use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, tagged_dir, unique_tag};

/// A line of mountinfo: its fields.
struct Seen {
    attributes: Vec<String>,
    tags: Vec<String>,
    kind: String,
    source: String,
    superblock: Vec<String>,
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

/// The topmost mount at `at` in a printed table of mounts.
#[track_caller]
fn seen(table: &str, at: &str) -> Seen {
    let line = table.lines().rfind(|line| line.split(' ').nth(4) == Some(at));
    let line = line.unwrap_or_else(|| panic!("nothing is mounted at {at}: {table}"));
    let (head, tail) = line.split_once(" - ").unwrap();
    let (head, tail): (Vec<_>, Vec<_>) = (head.split(' ').collect(), tail.split(' ').collect());
    Seen {
        attributes: list(head[5]),
        tags: head[6..].iter().map(|tag| (*tag).to_owned()).collect(),
        kind: tail[0].to_owned(),
        source: tail[1].to_owned(),
        superblock: list(tail[2]),
    }
}

impl Seen {
    fn has(&self, word: &str) -> bool {
        self.attributes.iter().any(|there| there == word)
    }

    fn superblock_has(&self, word: &str) -> bool {
        self.superblock.iter().any(|there| there == word)
    }

    fn is_shared(&self) -> bool {
        self.tags.iter().any(|tag| tag.starts_with("shared:"))
    }

    fn is_slave(&self) -> bool {
        self.tags.iter().any(|tag| tag.starts_with("master:"))
    }
}

/// Whether the kernel can translate the ids of a tmpfs, as it does since 6.3: asked of the kernel
/// itself, with the ids of a process that waits.
fn maps_tmpfs() -> bool {
    static MAPS: OnceLock<bool> = OnceLock::new();
    *MAPS.get_or_init(|| {
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "sh", "-c", "echo; read _"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        holder.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let users = File::open(format!("/proc/{}/ns/user", holder.id())).unwrap();
        let tmpfs = mount::NewFilesystem::open(c"tmpfs").unwrap().mount(0).unwrap();
        let change = mount::Attributes {
            set: mount_attr::IDMAP,
            mapping: Some(users.as_fd()),
            ..mount::Attributes::default()
        };
        let changed = mount::set_attributes(tmpfs.as_fd(), false, &change);
        drop(holder.stdin.take());
        holder.wait().unwrap();
        changed.is_ok()
    })
}

/// A directory with a mount in it, on the host; gone with the value.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tagged_dir(&unique_tag()));
        let (flags, none) = (rustix::mount::MountFlags::empty(), None::<&std::ffi::CStr>);
        // A mount of its own around it: what is shared with the host's root shares everything.
        for dir in [tree.path(), tree.path().join("below")] {
            fs::create_dir_all(&dir).unwrap();
            if maps_tmpfs() {
                rustix::mount::mount("tmpfs", &dir, "tmpfs", flags, none).unwrap();
            } else {
                // Empty, as a tmpfs is: what is below the mount is not what is in it.
                let empty = tree.0.path().join(dir.file_name().unwrap()).with_extension("empty");
                fs::create_dir(&empty).unwrap();
                rustix::mount::mount_bind(&empty, &dir).unwrap();
                let private = rustix::mount::MountPropagationFlags::PRIVATE;
                rustix::mount::mount_change(&dir, private).unwrap();
            }
            fs::write(dir.join("file"), "").unwrap();
        }
        tree
    }

    /// The same, in a group of peers: what is mounted in it appears in its copies.
    fn shared() -> Self {
        let tree = Self::new();
        let shared = rustix::mount::MountPropagationFlags::SHARED;
        for dir in [tree.path(), tree.path().join("below")] {
            rustix::mount::mount_change(&dir, shared).unwrap();
        }
        tree
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("tree")
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

fn table() -> Bundle {
    Bundle::new().args(["/bin/cat", "/proc/self/mountinfo"])
}

#[track_caller]
fn of_tmpfs(runtime: &Runtime, options: &[&str]) -> Seen {
    let said = runtime.run(&table().mount("/m", "tmpfs", "some", options)).ok();
    seen(&said, "/m")
}

/// The mount at `/m`, and the one below it, of a tree that is bound there.
#[track_caller]
fn of_bind(runtime: &Runtime, tree: &Tree, options: &[&str]) -> (Seen, Seen) {
    let said = runtime.run(&table().mount("/m", "bind", tree.path().to_str().unwrap(), options));
    let said = said.ok();
    (seen(&said, "/m"), seen(&said, "/m/below"))
}

// rows: mounts.options.ro, mounts.options.rw, mounts.options.nosuid, mounts.options.suid
// rows: mounts.options.nodev, mounts.options.dev, mounts.options.noexec, mounts.options.exec
// rows: mounts.options.nosymfollow, mounts.options.symfollow, mounts.options.nodiratime
// rows: mounts.options.diratime, mounts.options.noatime, mounts.options.relatime, mounts.source
// rows: mounts.options.defaults, mounts.type
#[test]
fn words_of_a_mount_become_flags_of_it() {
    let all = ["ro", "nosuid", "nodev", "noexec", "nosymfollow", "nodiratime", "noatime"];
    let none = ["defaults", "rw", "suid", "dev", "exec", "symfollow", "diratime", "relatime"];
    for (runtime, forced) in
        [(Runtime::audit(), &[][..]), (Runtime::new(), &["nosuid", "nodev"][..])]
    {
        let with = of_tmpfs(&runtime, &all);
        assert!(all.iter().all(|word| with.has(word)), "{:?}", with.attributes);
        assert_eq!((with.kind.as_str(), with.source.as_str()), ("tmpfs", "some"));

        let without = of_tmpfs(&runtime, &none);
        for word in all {
            assert_eq!(without.has(word), forced.contains(&word), "{word}");
        }
        assert!(without.has("relatime") && without.has("rw"), "{:?}", without.attributes);
    }
}

// rows: mounts.options.strictatime, mounts.options.nostrictatime, mounts.options.norelatime
// rows: mounts.options.atime
#[test]
fn access_times_are_one_mode_of_three() {
    for (options, shown) in [
        (&["strictatime"][..], None),
        (&["noatime"], Some("noatime")),
        (&["relatime"], Some("relatime")),
        (&["noatime", "atime"], Some("relatime")),
        (&["strictatime", "nostrictatime"], Some("relatime")),
        (&["noatime", "strictatime"], None),
        (&["norelatime"], Some("relatime")),
    ] {
        let seen = of_tmpfs(&Runtime::new(), options);
        let modes: Vec<_> =
            seen.attributes.iter().filter(|word| word.ends_with("atime")).cloned().collect();
        assert_eq!(modes, shown.into_iter().collect::<Vec<_>>(), "{options:?}");
    }
}

#[test]
fn a_bind_keeps_the_access_times_of_its_source_where_no_mode_is_asked_for() {
    let tree = Tree::new();
    rustix::mount::mount_remount(
        tree.path(),
        rustix::mount::MountFlags::BIND | rustix::mount::MountFlags::NOATIME,
        "",
    )
    .unwrap();
    for runtime in [Runtime::audit(), Runtime::new()] {
        for (word, kept) in [("atime", true), ("norelatime", true), ("relatime", false)] {
            let (seen, _) = of_bind(&runtime, &tree, &["rbind", word]);
            assert_eq!(seen.has("noatime"), kept, "{word}: {:?}", seen.attributes);
        }
    }
}

#[test]
fn flags_of_the_source_are_given_up_by_name_alone_unless_the_bundle_runs_as_written() {
    let tree = Tree::new();
    let flags = rustix::mount::MountFlags::RDONLY | rustix::mount::MountFlags::NOEXEC;
    let bind = rustix::mount::MountFlags::BIND;
    rustix::mount::mount_remount(tree.path(), bind | flags, "").unwrap();
    for (runtime, kept) in [(Runtime::audit(), false), (Runtime::new(), true)] {
        let (none, _) = of_bind(&runtime, &tree, &["rbind"]);
        assert!(none.has("ro") && none.has("noexec"), "{:?}", none.attributes);
        let (other, _) = of_bind(&runtime, &tree, &["rbind", "dev"]);
        assert_eq!((other.has("ro"), other.has("noexec")), (kept, kept), "{:?}", other.attributes);
        let (named, _) = of_bind(&runtime, &tree, &["rbind", "rw", "exec"]);
        assert!(!named.has("ro") && !named.has("noexec"), "{:?}", named.attributes);
    }
}

// rows: mounts.options.sync, mounts.options.async, mounts.options.dirsync
// rows: mounts.options.lazytime, mounts.options.nolazytime, mounts.options.mand
// rows: mounts.options.nomand
#[test]
fn words_of_a_file_system_become_flags_of_it() {
    for runtime in [Runtime::audit(), Runtime::new()] {
        let with = of_tmpfs(&runtime, &["sync", "dirsync", "lazytime", "mand"]);
        for word in ["sync", "dirsync", "lazytime", "mand"] {
            assert!(with.superblock_has(word), "{word}: {:?}", with.superblock);
        }
        let without = of_tmpfs(&runtime, &["sync", "async", "mand", "nomand", "nolazytime"]);
        for word in ["sync", "mand", "lazytime"] {
            assert!(!without.superblock_has(word), "{word}: {:?}", without.superblock);
        }
    }
}

// rows: mounts.options.iversion, mounts.options.noiversion, mounts.options.silent
// rows: mounts.options.loud
#[test]
fn words_that_change_nothing_that_anyone_can_see_are_taken_and_noted() {
    for runtime in [Runtime::audit(), Runtime::new()] {
        for words in [["iversion", "silent"], ["noiversion", "loud"]] {
            of_tmpfs(&runtime, &words);
            let bundle = table().mount("/m", "tmpfs", "some", &words);
            let said = runtime.call(["explain", "--bundle", bundle.dir().to_str().unwrap()]).ok();
            let noted = format!("`{}` has no effect", words[0]);
            assert!(said.contains(&noted), "{said}");
        }
    }
}

// rows: mounts.options.data
#[test]
fn what_is_no_word_goes_to_the_file_system_which_refuses_what_it_does_not_know() {
    for runtime in [Runtime::audit(), Runtime::new()] {
        let seen = of_tmpfs(&runtime, &["size=64k", "nr_inodes=20", "mode=0710"]);
        for word in ["size=64k", "nr_inodes=20", "mode=710"] {
            assert!(seen.superblock_has(word), "{word}: {:?}", seen.superblock);
        }
        let said = runtime.run(&table().mount("/m", "tmpfs", "some", &["sizes=1"])).failed(1);
        assert!(said.contains("`mount.build` failed"), "{said}");
        assert!(said.contains("Unknown parameter 'sizes'"), "{said}");
        assert!(said.contains("hint: look at its options"), "{said}");
        for (kind, at) in [("mqueue", "/dev/mqueue"), ("cgroup", "/sys/fs/cgroup")] {
            let bundle = table().mount(at, kind, kind, &["nosuid", "nonsense"]);
            let said = runtime.run(&bundle).failed(1);
            assert!(said.contains("`mount.build` failed"), "{kind}: {said}");
        }
        let data = table().mount("/m", "bind", "/tmp", &["rbind", "size=1"]);
        let said = runtime.run(&data).failed(1);
        assert!(said.contains("a bind mount makes none"), "{said}");
    }
}

// rows: mounts.options.bind, mounts.options.rbind
#[test]
fn a_bind_brings_the_mounts_below_only_if_asked() {
    let tree = Tree::new();
    for runtime in [Runtime::audit(), Runtime::new()] {
        for (word, expected) in [("rbind", "file\n"), ("bind", "")] {
            let bundle = Bundle::new()
                .mount("/m", "none", tree.path().to_str().unwrap(), &[word])
                .args(["/bin/ls", "/m/below"]);
            assert_eq!(runtime.run(&bundle).ok(), expected, "{word}");
        }
    }
}

#[test]
fn a_tree_whose_ids_cannot_be_translated_is_refused_unless_it_is_taken_as_it_is() {
    let dir = tagged_dir(&unique_tag());
    let (flags, none) = (rustix::mount::MountFlags::empty(), None::<&std::ffi::CStr>);
    // A file system that no kernel translates.
    rustix::mount::mount("ramfs", dir.path(), "ramfs", flags, none).unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let bundle = Bundle::new()
        .mount("/m", "bind", dir.path().to_str().unwrap(), &["rbind"])
        .args(["/bin/ls", "/m"]);

    let refused = Runtime::new().run(&bundle);
    let taken = Runtime::audit().run(&bundle);

    rustix::mount::unmount(dir.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
    assert_eq!(taken.ok(), "file\n");
    let said = refused.failed(1);
    let sentence = "ids cannot be translated on the file system it is on, or one mounted below it";
    assert!(said.contains(sentence) && said.contains("/mounts/"), "{said}");
    assert!(said.contains("ext4, xfs or btrfs, or since Linux 6.3 on tmpfs"), "{said}");
}

// rows: mounts.options.rro, mounts.options.rrw, mounts.options.rnosuid, mounts.options.rsuid
// rows: mounts.options.rnodev, mounts.options.rdev, mounts.options.rnoexec
// rows: mounts.options.rexec, mounts.options.rnosymfollow, mounts.options.rsymfollow
// rows: mounts.options.rnodiratime, mounts.options.rdiratime
#[test]
fn recursive_words_are_for_the_mounts_below_as_well() {
    let words = ["ro", "nosuid", "nodev", "noexec", "nosymfollow", "nodiratime"];
    for (runtime, forced) in
        [(Runtime::audit(), &[][..]), (Runtime::new(), &["nosuid", "nodev"][..])]
    {
        for word in words {
            let tree = Tree::new();
            let (top, below) = of_bind(&runtime, &tree, &["rbind", &format!("r{word}")]);
            assert!(top.has(word) && below.has(word), "{word}: {:?}", below.attributes);

            let (top, below) = of_bind(&runtime, &tree, &["rbind", word]);
            let deep = forced.contains(&word) || (word == "ro" && !forced.is_empty());
            assert!(top.has(word), "{word}: {:?}", top.attributes);
            assert_eq!(below.has(word), deep, "{word}: {:?}", below.attributes);

            let opposite = match word {
                "ro" => "rrw".to_owned(),
                _ => word.replacen("no", "r", 1),
            };
            let (top, below) = of_bind(&runtime, &tree, &["rbind", word, &opposite]);
            let stays = forced.contains(&word) || (word == "ro" && !forced.is_empty());
            assert_eq!(top.has(word) || below.has(word), stays, "{opposite}");
        }
    }
}

// rows: mounts.options.ratime, mounts.options.rnoatime, mounts.options.rstrictatime
// rows: mounts.options.rnostrictatime, mounts.options.rrelatime, mounts.options.rnorelatime
#[test]
fn recursive_access_times_are_one_mode_of_three() {
    let tree = Tree::new();
    for (word, shown) in [
        ("ratime", Some("relatime")),
        ("rnoatime", Some("noatime")),
        ("rstrictatime", None),
        ("rnostrictatime", Some("relatime")),
        ("rrelatime", Some("relatime")),
        ("rnorelatime", Some("relatime")),
    ] {
        let (top, below) = of_bind(&Runtime::new(), &tree, &["rbind", word]);
        for seen in [top, below] {
            let mode = seen.attributes.iter().find(|word| word.ends_with("atime"));
            assert_eq!(mode.map(String::as_str), shown, "{word}: {:?}", seen.attributes);
        }
    }
}

// rows: mounts.options.private, mounts.options.rprivate, mounts.options.slave
// rows: mounts.options.rslave, mounts.options.unbindable, mounts.options.runbindable
#[test]
fn a_bind_takes_what_the_host_mounts_later_only_if_it_is_a_slave() {
    let tree = Tree::shared();
    for runtime in [Runtime::audit(), Runtime::new()] {
        for (word, slave) in [
            ("private", false),
            ("rprivate", false),
            ("slave", true),
            ("rslave", true),
            ("unbindable", false),
            ("runbindable", false),
        ] {
            let (top, below) = of_bind(&runtime, &tree, &["rbind", word]);

            assert_eq!(top.is_slave(), slave, "{word}: {:?}", top.tags);
            assert!(!top.is_shared(), "{word}: {:?}", top.tags);
            let unbindable = top.tags.iter().any(|tag| tag == "unbindable");
            assert_eq!(unbindable, word.ends_with("unbindable"), "{:?}", top.tags);
            let spreads = word.starts_with('r') && (slave || unbindable);
            let below_is = below.is_slave() || below.tags.iter().any(|tag| tag == "unbindable");
            assert_eq!(below_is, spreads, "{word}: {:?}", below.tags);
        }
    }
}

// rows: mounts.options.shared, mounts.options.rshared
#[test]
fn a_shared_mount_is_for_those_who_hold_nothing_back() {
    let tree = Tree::shared();
    let (top, below) = of_bind(&Runtime::audit(), &tree, &["rbind", "rshared"]);
    assert!(top.is_shared() && below.is_shared(), "{:?} {:?}", top.tags, below.tags);
    let (top, below) = of_bind(&Runtime::audit(), &tree, &["rbind", "rprivate", "shared"]);
    assert!(top.is_shared() && !below.is_shared(), "{:?} {:?}", top.tags, below.tags);
    let (top, _) = of_bind(&Runtime::audit(), &tree, &["rbind", "slave", "shared"]);
    assert!(top.is_shared() && top.is_slave(), "{:?}", top.tags);
    assert!(of_tmpfs(&Runtime::audit(), &["shared"]).is_shared());

    for word in ["shared", "rshared"] {
        let bundle = table().mount("/m", "bind", tree.path().to_str().unwrap(), &["rbind", word]);
        let said = Runtime::new().run(&bundle).failed(3);
        assert!(said.contains("refused by rule `mount.no-shared-propagation`"), "{said}");
    }
}

// rows: mounts.options.remount
#[test]
fn a_remount_changes_the_mount_that_is_there() {
    let bundle = table().mount("/m", "tmpfs", "some", &["nosuid", "size=64k"]).mount(
        "/m",
        "tmpfs",
        "",
        &["remount", "ro", "noexec", "size=128k"],
    );

    let seen = seen(&Runtime::audit().run(&bundle).ok(), "/m");

    let flags = ["ro", "nosuid", "noexec"].map(|word| seen.has(word));
    assert_eq!(flags, [true; 3], "{:?}", seen.attributes);
    assert!(seen.superblock_has("size=128k") && seen.superblock_has("ro"), "{:?}", seen.superblock);
    let said = Runtime::new().run(&bundle).failed(3);
    assert!(said.contains("refused by rule `mount.no-remount`"), "{said}");
}

// rows: mounts.options.remount
#[test]
fn a_remount_of_a_bind_changes_the_mount_that_is_there_and_binds_nothing() {
    let (there, other) = (tagged_dir(&unique_tag()), tagged_dir(&unique_tag()));
    fs::write(there.path().join("there"), "").unwrap();
    let [there, other] = [&there, &other].map(|dir| dir.path().to_str().unwrap());
    let options = &["remount", "bind", "ro", "noexec"];
    let table = || table().mount("/m", "bind", there, &["bind", "nosuid"]);

    let bundle = table().mount("/m", "bind", other, options);
    let said = Runtime::audit().run(&bundle).ok();

    assert_eq!(said.matches(" /m ").count(), 1, "{said}");
    let seen = seen(&said, "/m");
    assert!(["ro", "nosuid", "noexec"].iter().all(|word| seen.has(word)), "{:?}", seen.attributes);

    for typ in ["bind", "tmpfs"] {
        let bundle = self::table().mount("/tmp", typ, other, &["remount"]);
        let said = Runtime::audit().run(&bundle).failed(1);
        assert!(said.contains("no mount is there that `remount` could change"), "{said}");
    }
}

// rows: mounts.options.tmpcopyup
#[test]
fn a_tmpfs_begins_with_what_the_image_has_there_if_asked() {
    for runtime in [Runtime::audit(), Runtime::new()] {
        let bundle = Bundle::new()
            .mount("/etc", "tmpfs", "tmpfs", &["tmpcopyup"])
            .shell("touch /etc/made && cat /etc/group");
        let before = fs::read_to_string(bundle.rootfs().join("etc/group")).unwrap();

        assert_eq!(runtime.run(&bundle).ok(), before);

        assert!(!bundle.rootfs().join("etc/made").exists());
    }
}

// rows: mounts.destination
#[test]
fn a_relative_destination_is_one_from_the_root_and_noted() {
    for runtime in [Runtime::audit(), Runtime::new()] {
        let bundle = table().mount("m/below", "tmpfs", "some", &[]);

        seen(&runtime.run(&bundle).ok(), "/m/below");

        let said = runtime.call(["explain", "--bundle", bundle.dir().to_str().unwrap()]).ok();
        assert!(said.contains("/destination is relative, which is deprecated"), "{said}");
    }
}

// rows: mounts
#[test]
fn mounts_are_made_in_their_order_and_as_often_as_they_stand() {
    let bundle = table()
        .mount("/m", "tmpfs", "first", &[])
        .mount("/m", "tmpfs", "second", &["size=64k"])
        .mount("/m/deeper", "tmpfs", "third", &[])
        .mount("/proc", "proc", "again", &["nosuid", "nodev", "noexec"]);
    for runtime in [Runtime::audit(), Runtime::new()] {
        let said = runtime.run(&bundle).ok();

        assert_eq!(seen(&said, "/m").source, "second");
        assert_eq!(seen(&said, "/m/deeper").source, "third");
        assert_eq!(seen(&said, "/proc").source, "again");
        assert_eq!(said.lines().filter(|line| line.contains(" /proc ")).count(), 2, "{said}");
    }
}

// rows: mounts.type
#[test]
fn other_file_systems_are_mounted_only_where_nothing_is_held_back() {
    let bundle = table().mount("/m", "ramfs", "some", &["mode=700"]);

    let seen = seen(&Runtime::audit().run(&bundle).ok(), "/m");
    assert_eq!((seen.kind.as_str(), seen.source.as_str()), ("ramfs", "some"));

    let said = Runtime::new().run(&bundle).failed(3);
    assert!(said.contains("refused by rule `mount.known-types`"), "{said}");
    let unknown = table().set("/mounts/-", json!({"destination": "/m", "type": "nofs"}));
    let said = Runtime::audit().run(&unknown).failed(1);
    assert!(said.contains("nofs") && said.contains("ENODEV"), "{said}");
    let none: Value = json!({"destination": "/m"});
    let said = Runtime::audit().run(&table().set("/mounts/-", none)).failed(1);
    assert!(said.contains("/type: missing; only a bind mount needs none"), "{said}");
}
