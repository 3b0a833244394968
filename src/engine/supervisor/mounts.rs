//! What the supervisor does to build mounts, and to put them where they belong.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, OFlags, StatxAttributes, StatxFlags};

use super::{Supervisor, open_path};
use crate::engine::cause::{Cause, Ids};
use crate::engine::steps::cover::Cover;
use crate::engine::steps::mount::{self as mounts, Surroundings};
use crate::engine::steps::overlay::Layers;
use crate::engine::steps::shift::Parts;
use crate::engine::steps::{attach, copy_up, dev, mapping, mount_point};
use crate::plan::action::{Overlay, Place};
use crate::plan::mount::{BindIds, BindMapping, DeviceNode, Filesystem, FsOption, MountAttributes};
use crate::plan::text::RootedPath;
use crate::plan::{Action, Slot};
use crate::sys::mount;
use crate::sys::{Errno, errno, fd};

impl Supervisor<'_> {
    pub(super) fn assemble_root(
        &mut self,
        overlay: &Overlay,
        attributes: MountAttributes,
    ) -> Result<(), Cause> {
        let layers = Layers::copy(overlay, attributes, self.ids().mapping)?;
        let tree = match layers.assemble(overlay, attributes) {
            // An older kernel: with the layers attached, where only init could see them.
            Err(cause) if cause.errno == Some(Errno::EINVAL) => {
                self.enter_mounts()?;
                let top = open_path(c"/", OFlags::PATH | OFlags::DIRECTORY)?;
                let tree = layers.assemble_attached(overlay, attributes, top.as_fd());
                self.come_home()?;
                tree?
            }
            other => other?,
        };
        self.root = Some(tree);
        Ok(())
    }

    pub(super) fn shift_root(&mut self, attributes: MountAttributes) -> Result<(), Cause> {
        let parts = Parts::make(self.rootfs.as_ref().ok_or(Errno::EBADF)?.as_fd())?;
        let tree = match parts.stack(attributes) {
            // An older kernel, as above.
            Err(cause) if cause.errno == Some(Errno::EINVAL) => {
                self.enter_mounts()?;
                let top = open_path(c"/", OFlags::PATH | OFlags::DIRECTORY)?;
                let tree = parts.stack_attached(attributes, top.as_fd());
                self.come_home()?;
                tree?
            }
            other => other?,
        };
        parts.give(tree.as_fd(), attributes, &self.ids())?;
        self.root = Some(tree);
        Ok(())
    }

    pub(super) fn cover_root(&mut self) -> Result<(), Cause> {
        let root = self.root.take().ok_or(Errno::EBADF)?;
        let cover = Cover::new(root.as_fd())?;
        let tree = match cover.assemble() {
            // An older kernel, as above.
            Err(cause) if cause.errno == Some(Errno::EINVAL) => {
                self.enter_mounts()?;
                let top = open_path(c"/", OFlags::PATH | OFlags::DIRECTORY)?;
                let tree = cover.assemble_attached(top.as_fd());
                self.come_home()?;
                tree?
            }
            other => other?,
        };
        self.root = Some(tree);
        Ok(())
    }

    pub(super) fn seal(&self, at: &RootedPath) -> Result<(), Cause> {
        let place = fd::open_in_root(self.root()?, at.as_c_str(), OFlags::PATH)?;
        Ok(mount::make_read_only(place.as_fd(), false)?)
    }

    pub(super) fn build_mount(
        &mut self,
        slot: Slot,
        filesystem: &Filesystem,
        attributes: MountAttributes,
    ) -> Result<(), Cause> {
        let own = match own_mapping(filesystem) {
            Some(mapping) => Some(self.own_mapping(mapping)?),
            None => None,
        };
        let ids = Ids { own: own.as_ref().map(AsFd::as_fd), ..self.ids() };
        let mode = self.mode_for(filesystem)?;
        let root = self.root.as_ref().map(AsFd::as_fd);
        let groups = self.cgroup.as_ref().map(|cgroup| (cgroup, self.request.hierarchies));
        let surroundings = Surroundings { root, mode, notify: self.request.notify, groups };
        let built = if self.visits && filesystem.is_of_network_or_ipc() {
            let made = self.visit(|copy| {
                mounts::build(filesystem, attributes, &copy.ids(), &surroundings).map(Some)
            });
            made?.ok_or(Errno::EBADF)?
        } else {
            mounts::build(filesystem, attributes, &ids, &surroundings)?
        };
        if let Filesystem::Tmpfs { copy_up: Some(from), .. } = filesystem {
            copy_up::copy(self.root()?, from, built.as_fd())?;
        }
        self.keep(slot, built);
        Ok(())
    }

    /// The mode that a tmpfs takes over from what it covers, unless that was made for it.
    fn mode_for(&self, filesystem: &Filesystem) -> Result<Option<u32>, Cause> {
        let Filesystem::Tmpfs { mode_of: Some(at), .. } = filesystem else { return Ok(None) };
        if self.made_places.contains(at) {
            return Ok(None);
        }
        match fd::open_in_root(self.root()?, at.as_c_str(), OFlags::PATH | OFlags::DIRECTORY) {
            Ok(place) => {
                let stat = rustix::fs::fstat(&place).map_err(errno)?;
                Ok(Some(stat.st_mode & 0o7777))
            }
            Err(_) => Ok(None),
        }
    }

    /// Makes a node in the finished root, or in the image while there is none.
    pub(super) fn make_device(&mut self, node: &DeviceNode, on_disk: bool) -> Result<(), Cause> {
        let ids = self.ids();
        let host = (ids.user(node.owner.0)?, ids.group(node.owner.1)?);
        let owner = if on_disk { node.owner } else { host };
        let root = self.root.as_ref().or(self.rootfs.as_ref()).ok_or(Errno::EBADF)?;
        dev::make_anywhere(root.as_fd(), node, owner, &mut self.made)
    }

    pub(super) fn make_directory(&mut self, at: &RootedPath) -> Result<(), Cause> {
        let owner = (self.ids().user(0)?, self.ids().group(0)?);
        let root = self.root.as_ref().ok_or(Errno::EBADF)?;
        mount_point::make(root.as_fd(), at, false, Some(owner), &mut self.made)
    }

    pub(super) fn attach(
        &mut self,
        slot: Slot,
        at: &RootedPath,
        place: Place,
    ) -> Result<(), Cause> {
        let owner = (self.ids().user(0)?, self.ids().group(0)?);
        let root = self.root.as_ref().ok_or(Errno::EBADF)?.as_fd();
        let tree = self.slots.get(usize::from(slot.0)).and_then(Option::as_ref);
        let tree = tree.ok_or(Errno::EBADF)?.as_fd();
        attach::attach(root, tree, at, place, owner, &mut self.made)?;
        if at.as_str() == "/" {
            // What lies on top of the root is the root from here on.
            self.root = Some(fd::duplicate_above(self.slot(slot)?, 3)?);
        }
        Ok(())
    }

    /// Makes what mounts that are built inside need: nobody can make a user namespace there, where
    /// the container's root lies over that of the mount namespace.
    ///
    /// Reference: clone(2), `EPERM`: "the caller is in a chroot environment".
    pub(super) fn make_own_mappings(&mut self) -> Result<(), Cause> {
        if !self.own_mappings.is_empty() {
            return Ok(());
        }
        for step in &self.plan.steps {
            let Action::BuildMount { filesystem, .. } = &step.action else { continue };
            if let Filesystem::Bind { inside: Some(_), ids: Some(ids), .. } = filesystem
                && let Some(wanted) = &ids.own
            {
                let made = self.own_mapping(wanted)?;
                self.own_mappings.push((wanted, made));
            }
        }
        Ok(())
    }

    fn own_mapping(&self, wanted: &BindMapping) -> Result<OwnedFd, Cause> {
        if let Some((_, made)) = self.own_mappings.iter().find(|(of, _)| *of == wanted) {
            return Ok(fd::duplicate_above(made.as_fd(), 3)?);
        }
        let proc = open_path(c"/proc", OFlags::PATH | OFlags::DIRECTORY)?;
        mapping::make(wanted, &self.ids(), proc.as_fd())
    }

    pub(super) fn remount(
        &self,
        at: &RootedPath,
        options: &[FsOption],
        attributes: MountAttributes,
    ) -> Result<(), Cause> {
        let place = fd::open_in_root(self.root()?, at.as_c_str(), OFlags::PATH)?;
        if !is_mounted(place.as_fd())? {
            let what = "no mount is there that `remount` could change";
            return Err(Cause::with_detail(Errno::EINVAL, what.to_owned()));
        }
        mounts::change(place.as_fd(), options, attributes)
    }
}

/// The mapping of its own that a mount has, if it is one that has any.
fn own_mapping(filesystem: &Filesystem) -> Option<&BindMapping> {
    let Filesystem::Bind { ids: Some(BindIds { own, .. }), .. } = filesystem else { return None };
    own.as_ref()
}

/// Whether `place` is the root of a mount, and not a place in one.
fn is_mounted(place: BorrowedFd<'_>) -> Result<bool, Errno> {
    let found = rustix::fs::statx(place, c"", AtFlags::EMPTY_PATH, StatxFlags::empty());
    let found = found.map_err(errno)?;
    Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}
