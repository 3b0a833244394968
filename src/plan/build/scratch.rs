//! Memory for programs that expect to write, where the root is read-only.

use super::supervise::Attached;
use super::{Builder, plain};
use crate::plan::action::{Action, MountPoint, Place, Track};
use crate::plan::mount::Filesystem;
use crate::plan::mounts::Wanted;
use crate::plan::text::RootedPath;
use crate::sys::flags::mount_attr;

impl Builder<'_> {
    /// An image may lack a place for scratch, but not where the bundle mounts something in it.
    pub(super) fn scratch_places(&mut self) {
        for place in self.inputs.judged.scratch.clone() {
            let below = |mount: &&Wanted| mount.at.is_within(&place);
            let Some(pointer) = self.mounts.iter().find(below).map(|mount| mount.pointer.clone())
            else {
                continue;
            };
            let Ok(at) = RootedPath::new(&place) else { continue };
            let action = Action::MakeMountPoint { at, kind: MountPoint::Directory, within: None };
            self.asked(Track::Prepare, action, &pointer);
        }
    }

    /// Memory where programs expect to write.
    pub(super) fn scratch(&mut self) -> Vec<Attached> {
        let mut attached = Vec::new();
        for place in self.inputs.judged.scratch.clone() {
            let Ok(at) = RootedPath::new(&place) else { continue };
            let slot = self.slot();
            let filesystem = Filesystem::Tmpfs {
                source: c"tmpfs".into(),
                options: self.label.clone().into_iter().collect(),
                owner: (0, 0),
                copy_up: Some(at.clone()),
                mode_of: Some(at.clone()),
            };
            let attributes = plain(mount_attr::NOSUID | mount_attr::NODEV);
            let action = Action::BuildMount { slot, filesystem, attributes };
            let origin = Self::rule("rootfs.scratch");
            self.push(Track::Supervisor, action, origin.clone());
            let place = Place::Optional;
            let slot = Some(slot);
            attached.push(Attached { slot, at, place, origin, build: None, late: false });
        }
        attached
    }
}
