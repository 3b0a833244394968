//! A place to mount overlays in, and to compare what they show.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use casemate::host::bundle::Bundle;
use casemate::host::probe::ProbeError;
use casemate::host::rootfs;
use casemate::plan::action::Overlay;
use casemate::plan::facts::RootfsKind;
use casemate::plan::text::HostPath;
use casemate::sys::Errno;
use casemate::sys::flags::{mount_attr, ns};
use casemate::sys::mount::{NewFilesystem, attach, copy_tree, make_all_private};
use rustix::fs::{CWD, Mode, OFlags};
use serde_json::json;

use crate::support::is_linux;

/// Directories of layers, in a file system and a mount namespace that end with the test.
pub(super) struct Place {
    pub(super) dir: tempfile::TempDir,
}

/// Runs a test in a thread with a mount namespace of its own.
pub(super) fn in_private_mounts(test: impl FnOnce(Place) + Send + 'static) {
    let run = || {
        casemate::sys::ns::leave(ns::MOUNT).unwrap();
        make_all_private().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let memory = NewFilesystem::open(c"tmpfs").unwrap().mount(0).unwrap();
        let target = rustix::fs::open(dir.path(), OFlags::PATH, Mode::empty()).unwrap();
        attach(memory.as_fd(), target.as_fd()).unwrap();
        fs::create_dir(dir.path().join("bundle")).unwrap();
        fs::write(dir.path().join("bundle/config.json"), "{}").unwrap();
        test(Place { dir });
    };
    std::thread::spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

impl Drop for Place {
    fn drop(&mut self) {
        let flags = rustix::mount::UnmountFlags::DETACH;
        let _ = rustix::mount::unmount(self.dir.path(), flags);
    }
}

impl Place {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A directory with a file `own` that holds its name.
    pub(super) fn layer(&self, name: &str) -> String {
        fs::create_dir_all(self.path(name)).unwrap();
        fs::write(self.path(name).join("own"), name).unwrap();
        self.text(name)
    }

    /// Mounts an overlay the old way, as engines do: one string of options.
    pub(super) fn mount(&self, at: &str, options: &str) -> PathBuf {
        let point = self.path(at);
        fs::create_dir_all(&point).unwrap();
        let options = CString::new(options).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount(c"overlay", &point, c"overlay", flags, options.as_c_str()).unwrap();
        point
    }

    /// Mounts an overlay the new way: option by option.
    pub(super) fn mount_with(&self, at: &str, options: &[(&str, &str)]) -> PathBuf {
        let point = self.path(at);
        fs::create_dir_all(&point).unwrap();
        let overlay = NewFilesystem::open(c"overlay").unwrap();
        for (key, value) in options {
            let (key, value) = (CString::new(*key).unwrap(), CString::new(*value).unwrap());
            overlay.set(&key, &value).unwrap();
        }
        let target = rustix::fs::open(&point, OFlags::PATH, Mode::empty()).unwrap();
        attach(overlay.mount(0).unwrap().as_fd(), target.as_fd()).unwrap();
        point
    }

    /// Mounts another, empty file system of this type.
    pub(super) fn mount_empty(&self, at: &str, kind: &std::ffi::CStr) {
        let filesystem = NewFilesystem::open(kind).unwrap().mount(0).unwrap();
        let target = rustix::fs::open(self.path(at), OFlags::PATH, Mode::empty()).unwrap();
        attach(filesystem.as_fd(), target.as_fd()).unwrap();
    }

    pub(super) fn facts(&self, root: &Path) -> Result<RootfsKind, ProbeError> {
        let bundle = Bundle::open(&self.path("bundle")).unwrap();
        let spec = json!({"ociVersion": "1.2.0", "root": {"path": root}});
        rootfs::facts(&serde_json::from_value(spec).unwrap(), &bundle).map(|facts| facts.kind)
    }

    pub(super) fn overlay(&self, root: &Path) -> Overlay {
        let kind = self.facts(root).unwrap();
        let RootfsKind::Overlay(overlay) = kind else { panic!("{kind:?}") };
        overlay
    }

    pub(super) fn why_not(&self, root: &Path) -> String {
        let kind = self.facts(root).unwrap();
        let RootfsKind::Unmappable(why) = kind else { panic!("{kind:?}") };
        why.replace(self.dir.path().to_str().unwrap(), "DIR")
    }

    /// What was found must be these layers, and must show the same files.
    pub(super) fn check(&self, root: &Path, layers: &[String]) -> Overlay {
        let overlay = self.overlay(root);
        let found: Vec<_> = overlay.layers.iter().map(ToString::to_string).collect();
        assert_eq!(found, layers);
        let again = assemble(&overlay);
        let again = PathBuf::from(format!("/proc/self/fd/{}/", again.as_raw_fd()));
        assert_eq!(tree(&again), tree(root));
        overlay
    }
}

/// Puts an overlay together from copies of its layers, as a launch would but for the ids. A
/// kernel before 6.15 takes no copies that are attached nowhere: there, from the layers themselves.
/// One before 6.7 takes them in one text alone.
fn assemble(overlay: &Overlay) -> OwnedFd {
    let copy = |path: &HostPath| copy_tree(CWD, path.as_c_str(), false).unwrap();
    let copies: Vec<_> = overlay.layers.iter().map(copy).collect();
    let copies_of_data: Vec<_> = overlay.data_layers.iter().map(copy).collect();
    let name =
        |layer: &OwnedFd| CString::new(format!("/proc/self/fd/{}", layer.as_raw_fd())).unwrap();
    let names = |layers: &[OwnedFd]| layers.iter().map(name).collect::<Vec<_>>();
    let itself = |path: &HostPath| path.as_c_str().to_owned();
    let (layers, data) = (names(&copies), names(&copies_of_data));
    let tree = stack(overlay, |new| one_by_one(new, &layers, &data)).or_else(|_| {
        let layers: Vec<_> = overlay.layers.iter().map(itself).collect();
        let data: Vec<_> = overlay.data_layers.iter().map(itself).collect();
        stack(overlay, |new| one_by_one(new, &layers, &data))
    });
    let tree = tree.or_else(|_| in_one_text(overlay)).unwrap();
    let below = overlay.subdirectory.as_str().trim_start_matches('/');
    rustix::fs::openat(&tree, format!("./{below}"), OFlags::PATH, Mode::empty()).unwrap()
}

fn one_by_one(new: &NewFilesystem, layers: &[CString], data: &[CString]) -> Result<(), Errno> {
    layers.iter().try_for_each(|layer| new.set(c"lowerdir+", layer))?;
    data.iter().try_for_each(|layer| new.set(c"datadir+", layer))
}

/// Numbers of descriptors keep the text below the 256 bytes that an option may have.
fn in_one_text(overlay: &Overlay) -> Result<OwnedFd, Errno> {
    assert!(overlay.data_layers.is_empty() && !is_linux(6, 7));
    let open = |path: &HostPath| rustix::fs::open(path.as_c_str(), OFlags::PATH, Mode::empty());
    let layers: Vec<_> = overlay.layers.iter().map(|path| open(path).unwrap()).collect();
    let numbers: Vec<_> = layers.iter().map(|layer| layer.as_raw_fd().to_string()).collect();
    let text = CString::new(numbers.join(":")).unwrap();
    std::env::set_current_dir("/proc/self/fd").unwrap();
    let tree = stack(overlay, |new| new.set(c"lowerdir", &text));
    std::env::set_current_dir("/").unwrap();
    tree
}

fn stack(
    overlay: &Overlay,
    add: impl FnOnce(&NewFilesystem) -> Result<(), Errno>,
) -> Result<OwnedFd, Errno> {
    let filesystem = NewFilesystem::open(c"overlay").unwrap();
    add(&filesystem)?;
    if overlay.userxattr {
        filesystem.set_flag(c"userxattr").unwrap();
    } else {
        filesystem.set(c"redirect_dir", c"follow").unwrap();
        if overlay.metacopy {
            filesystem.set(c"metacopy", c"on").unwrap();
        }
    }
    let tree = filesystem.mount(mount_attr::RDONLY);
    assert!(tree.is_ok() || !is_linux(6, 15), "{tree:?}: {:?}", filesystem.complaint());
    tree
}

/// Every entry below a directory: its mode, owner and content.
fn tree(root: &Path) -> BTreeMap<PathBuf, (u32, u32, Vec<u8>)> {
    let mut entries = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let content = if meta.is_dir() {
                left.push(path.clone());
                Vec::new()
            } else if meta.is_symlink() {
                fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
            } else {
                fs::read(&path).unwrap()
            };
            let name = path.strip_prefix(root).unwrap().to_owned();
            entries.insert(name, (meta.mode(), meta.uid(), content));
        }
    }
    entries
}
