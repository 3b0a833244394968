//! Puts an engine's overlay together again, read-only, from copies of its layers whose ids are
//! translated.
//!
//! Nothing of the engine's overlay is used but its layers, and all of them as lower ones: what it
//! writes later stays its own. The copies must stay open until the superblock exists.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;

use super::rootfs::{change, said};
use crate::engine::cause::Cause;
use crate::plan::action::Overlay;
use crate::plan::mount::MountAttributes;
use crate::plan::text::HostPath;
use crate::sys::flags::mount_attr;
use crate::sys::mount::NewFilesystem;
use crate::sys::{Errno, errno, fd, mount};

/// Copies of an overlay's layers, topmost first.
#[derive(Debug)]
pub(in crate::engine) struct Layers {
    files: Vec<OwnedFd>,
    data: Vec<OwnedFd>,
}

impl Layers {
    /// Copies the layers, and translates their ids.
    pub(in crate::engine) fn copy(
        overlay: &Overlay,
        attributes: MountAttributes,
        mapping: Option<BorrowedFd<'_>>,
    ) -> Result<Self, Cause> {
        let layer = MountAttributes { set: mount_attr::RDONLY, mapped: true, ..attributes };
        let open = |path: &HostPath| copy_layer(path, layer, mapping);
        let files = overlay.layers.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let data = overlay.data_layers.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { files, data })
    }

    /// Puts them together where they are, attached nowhere: from Linux 6.15 on.
    pub(in crate::engine) fn assemble(
        &self,
        overlay: &Overlay,
        attributes: MountAttributes,
    ) -> Result<OwnedFd, Cause> {
        let tree = self.stack(overlay, attributes, Self::add_each)?;
        below(overlay, tree, None)
    }

    /// The same for older kernels, which take only layers that are attached: for that moment they
    /// lie on `top`, the root of this process's mount namespace, which nobody else looks at.
    pub(in crate::engine) fn assemble_attached(
        &self,
        overlay: &Overlay,
        attributes: MountAttributes,
        top: BorrowedFd<'_>,
    ) -> Result<OwnedFd, Cause> {
        let mut attached = 0;
        let mut made = Ok(());
        for layer in self.files.iter().chain(&self.data) {
            made = mount::attach(layer.as_fd(), top).map_err(Cause::from);
            if made.is_err() {
                break;
            }
            attached += 1;
        }
        let tree = made.and_then(|()| match self.stack(overlay, attributes, Self::add_each) {
            Err(cause) if cause.errno == Some(Errno::EINVAL) => {
                self.stack(overlay, attributes, Self::add_all)
            }
            other => other,
        });
        // A single layer is attached already.
        let top_of_tree = Some(top).filter(|_| self.single().is_none());
        let tree = tree.and_then(|tree| below(overlay, tree, top_of_tree));
        uncover(top, attached)?;
        tree
    }

    fn single(&self) -> Option<BorrowedFd<'_>> {
        let [only] = self.files.as_slice() else { return None };
        self.data.is_empty().then(|| only.as_fd())
    }

    fn stack(
        &self,
        overlay: &Overlay,
        attributes: MountAttributes,
        add: fn(&Self, &NewFilesystem) -> Result<(), Cause>,
    ) -> Result<OwnedFd, Cause> {
        // The kernel wants two lower layers; a single one is its own overlay.
        if let Some(only) = self.single() {
            mount::set_attributes(only, false, &change(attributes, None))?;
            return Ok(fd::duplicate_above(only, 3)?);
        }
        let filesystem = NewFilesystem::open(c"overlay")?;
        filesystem.set(c"source", c"overlay")?;
        add(self, &filesystem)?;
        if overlay.userxattr {
            filesystem.set_flag(c"userxattr").map_err(|error| said(&filesystem, error))?;
        } else {
            filesystem.set(c"redirect_dir", c"follow").map_err(|error| said(&filesystem, error))?;
            if overlay.metacopy {
                filesystem.set(c"metacopy", c"on").map_err(|error| said(&filesystem, error))?;
            }
        }
        filesystem.mount(attributes.set).map_err(|error| said(&filesystem, error))
    }

    /// Names the layers one by one: from Linux 6.7 on, any number of them.
    fn add_each(&self, filesystem: &NewFilesystem) -> Result<(), Cause> {
        let add = |key: &CStr, layer: &OwnedFd| -> Result<(), Cause> {
            let path = CString::new(format!("/proc/self/fd/{}", layer.as_raw_fd()))
                .map_err(|_| Errno::EINVAL)?;
            filesystem.set(key, &path).map_err(|error| said(filesystem, error))
        };
        self.files.iter().try_for_each(|layer| add(c"lowerdir+", layer))?;
        self.data.iter().try_for_each(|layer| add(c"datadir+", layer))
    }

    /// Names all layers in one text, which has 255 bytes at most: the names are those in the
    /// directory of descriptors, so that some eighty of them fit.
    fn add_all(&self, filesystem: &NewFilesystem) -> Result<(), Cause> {
        let numbers = |layers: &[OwnedFd], between: &str| {
            let numbers = layers.iter().map(|layer| layer.as_raw_fd().to_string());
            numbers.collect::<Vec<_>>().join(between)
        };
        let mut text = numbers(&self.files, ":");
        if !self.data.is_empty() {
            text.push_str("::");
            text.push_str(&numbers(&self.data, "::"));
        }
        if text.len() > 255 {
            let what =
                format!("{} layers are more than a kernel before 6.7 takes", self.files.len());
            return Err(Cause::with_detail(Errno::EINVAL, what));
        }
        let text = CString::new(text).map_err(|_| Errno::EINVAL)?;

        rustix::process::chdir(c"/proc/self/fd").map_err(errno)?;
        filesystem.set(c"lowerdir", &text).map_err(|error| said(filesystem, error))
    }
}

fn copy_layer(
    path: &HostPath,
    attributes: MountAttributes,
    mapping: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, Cause> {
    let named = |error: Errno| Cause::with_detail(error, format!("layer {path}"));
    let tree = mount::copy_tree(rustix::fs::CWD, path.as_c_str(), false).map_err(named)?;
    mount::set_attributes(tree.as_fd(), false, &change(attributes, mapping)).map_err(named)?;
    Ok(tree)
}

/// The directory of the overlay that is the root file system. Before Linux 6.15 a copy of it
/// needs the overlay to be attached: on `top`, for the moment.
fn below(overlay: &Overlay, tree: OwnedFd, top: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Cause> {
    if overlay.subdirectory.as_str() == "/" {
        return Ok(tree);
    }
    if let Some(top) = top {
        mount::attach(tree.as_fd(), top)?;
    }
    let below = fd::open_in_root(tree.as_fd(), overlay.subdirectory.as_c_str(), OFlags::PATH);
    let copy = below.and_then(|below| mount::copy_tree(below.as_fd(), c"", false));
    if let Some(top) = top {
        uncover(top, 1)?;
    }
    Ok(copy?)
}

/// Takes away what lies on `top`, so many times.
pub(super) fn uncover(top: BorrowedFd<'_>, times: usize) -> Result<(), Cause> {
    rustix::process::fchdir(top).map_err(errno)?;
    for _ in 0..times {
        mount::detach_here()?;
    }
    Ok(())
}
