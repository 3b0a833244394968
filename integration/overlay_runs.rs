//! Overlays as engines mount them, each with a container that runs in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Bundle, Runtime, busybox_root, has_layers_one_by_one, unique_tag};

/// Layers, and an overlay of them, until dropped.
struct Stack {
    dir: tempfile::TempDir,
}

impl Stack {
    /// A base with busybox, below `count` layers of which each has a file of its own.
    fn new(count: usize) -> Self {
        let dir = tempfile::Builder::new().prefix(&unique_tag()).tempdir().unwrap();
        let stack = Self { dir };
        busybox_root(&stack.path("l/base/fs"));
        for number in 0..count {
            let layer = stack.path(&format!("l/{number}/fs/etc"));
            fs::create_dir_all(&layer).unwrap();
            fs::write(layer.join(format!("layer-{number}")), "").unwrap();
            fs::write(layer.join("top"), number.to_string()).unwrap();
        }
        for name in ["l/up/fs", "l/up/work", "m"] {
            fs::create_dir_all(stack.path(name)).unwrap();
        }
        stack
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Mounts with names relative to the directory of layers, as containerd does to keep the
    /// list short. `options` go before.
    fn mount(&self, count: usize, options: &str) -> PathBuf {
        let lower: Vec<_> = (0..count).rev().map(|number| format!("{number}/fs")).collect();
        let lower = [lower, vec!["base/fs".to_owned()]].concat().join(":");
        let upper = self.path("l/up").display().to_string();
        let options = format!("{options}lowerdir={lower},upperdir={upper}/fs,workdir={upper}/work");
        let status = Command::new("mount")
            .args(["-t", "overlay", "overlay", "-o", &options])
            .arg(self.path("m"))
            .current_dir(self.path("l"))
            // mount(8) with the new calls takes 256 bytes of layers.
            .env("LIBMOUNT_FORCE_MOUNT2", "always")
            .status();
        assert!(status.unwrap().success());
        self.path("m")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let flags = rustix::mount::UnmountFlags::DETACH;
        let _ = rustix::mount::unmount(self.path("m"), flags);
    }
}

fn said(root: &Path, line: &str) -> String {
    Runtime::new().run(&Bundle::with_root(root).shell(line)).ok()
}

#[test]
fn forty_layers_and_a_hundred_and_twenty_eight() {
    for count in [40, 127] {
        let stack = Stack::new(count);
        let root = stack.mount(count, "");
        let line = "ls /etc | grep -c layer-; cat /etc/top; echo; stat -c %u /etc/passwd";
        if count > 80 && !has_layers_one_by_one() {
            let refused = Runtime::new().run(&Bundle::with_root(&root).shell(line)).failed(1);
            assert!(refused.contains("129 layers are more than a kernel before 6.7 takes"));
            println!("skipped, because this kernel takes no layers one by one");
            return;
        }

        let seen = said(&root, line);

        assert_eq!(seen, format!("{count}\n{}\n0\n", count - 1));
    }
}

#[test]
fn a_directory_that_was_renamed_and_a_file_whose_mode_was_changed() {
    let stack = Stack::new(1);
    fs::create_dir_all(stack.path("l/0/fs/old/below")).unwrap();
    fs::write(stack.path("l/0/fs/old/below/file"), "moved\n").unwrap();
    fs::write(stack.path("l/0/fs/etc/big"), vec![b'x'; 100_000]).unwrap();
    let root = stack.mount(1, "redirect_dir=on,metacopy=on,");
    fs::rename(root.join("old"), root.join("new")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(root.join("etc/big"), mode).unwrap();

    let seen =
        said(&root, "cat /new/below/file; ls /old 2>&1; stat -c %a /etc/big; wc -c < /etc/big");

    assert!(seen.starts_with("moved\n"), "{seen}");
    assert!(seen.contains("No such file") && seen.ends_with("600\n100000\n"), "{seen}");
}

#[test]
fn a_root_that_is_a_directory_of_the_overlay_and_one_that_is_bound() {
    let stack = Stack::new(1);
    busybox_root(&stack.path("l/0/fs/rootfs"));
    let root = stack.mount(1, "");
    fs::write(root.join("rootfs/etc/mark"), "below\n").unwrap();

    assert_eq!(said(&root.join("rootfs"), "cat /etc/mark; stat -c %u /etc/mark"), "below\n0\n");
    let bound = stack.path("bound");
    fs::create_dir(&bound).unwrap();
    rustix::mount::mount_bind(root.join("rootfs"), &bound).unwrap();
    let seen = said(&bound, "cat /etc/mark; stat -c %u /etc/mark");
    rustix::mount::unmount(&bound, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert_eq!(seen, "below\n0\n");
}

#[test]
fn what_the_engine_does_with_its_own_mount_later_stays_its_own() {
    let stack = Stack::new(2);
    let root = stack.mount(2, "");
    let runtime = Runtime::new();
    let bundle = Bundle::with_root(&root).args(["/bin/sleep", "600"]);
    runtime.create(&bundle).ok();
    runtime.start(&bundle).ok();

    fs::write(root.join("etc/later"), "later").unwrap();
    fs::remove_file(root.join("etc/layer-0")).unwrap();
    fs::set_permissions(
        root.join("etc/layer-1"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();

    assert!(!root.join("etc/layer-0").exists() && root.join("etc/later").exists());
    let said = runtime.call(["exec", bundle.id(), "/bin/sh", "-c", "ls /etc/passwd"]).ok();
    assert_eq!(said, "/etc/passwd\n");
}
