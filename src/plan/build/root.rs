//! The root file system: how it is built, and where it is attached.

use super::{Builder, plain};
use crate::plan::Origin;
use crate::plan::action::{Action, Track};
use crate::plan::facts::RootfsKind;
use crate::plan::mount::MountAttributes;
use crate::plan::text::{HostPath, RootedPath};
use crate::sys::flags::mount_attr;

impl Builder<'_> {
    /// Builds the root. What is returned is to be made read-only once hooks have been run.
    pub(super) fn root_tree(&mut self) -> Option<(RootedPath, Origin)> {
        let readonly = self.spec.root().as_ref().and_then(oci_spec::runtime::Root::readonly);
        let is_sealed = readonly == Some(true) && self.have_files_made();
        let mut set = if readonly == Some(true) { mount_attr::RDONLY } else { 0 };
        if self.hardened() {
            set |= mount_attr::NOSUID | mount_attr::NODEV;
        }
        let mapped = self.mapped;
        let alters_image =
            !(mapped && matches!(self.inputs.facts.rootfs.kind, RootfsKind::Unmappable(_)));
        let is_covered = is_sealed && self.hardened() && alters_image;
        if is_sealed && !is_covered {
            set &= !mount_attr::RDONLY;
        }
        let [propagation, _] = self.root_propagation();
        let attributes = MountAttributes { propagation, mapped, ..plain(set) };
        let facts = self.inputs.facts;
        let action = match &facts.rootfs.kind {
            RootfsKind::Overlay(overlay) if mapped => {
                Action::AssembleRootfs { overlay: overlay.clone(), attributes }
            }
            RootfsKind::Unmappable(why) if mapped => {
                let note = format!(
                    "/root/path: {why}: its files are given to the container's ids one by one"
                );
                self.inputs.notes.push(note);
                Action::ShiftRootfs { attributes }
            }
            RootfsKind::Overlay(_) | RootfsKind::Unmappable(_) | RootfsKind::Mappable => {
                Action::CopyRootfs { attributes }
            }
        };
        self.asked(Track::Supervisor, action, "/root/readonly");
        if is_covered {
            let why = "hooks make what they mount onto, in memory";
            self.builtin(Track::Supervisor, Action::CoverRootfs, why);
        }
        let origin = self.origin("/root/readonly");
        RootedPath::new("/").ok().filter(|_| is_sealed).map(|at| (at, origin))
    }

    /// How the root takes and passes mounts on: while it is copied, and once it is the root. A
    /// root that is shared with its copy would take what is mounted inside to the host.
    pub(super) fn root_propagation(&self) -> [u64; 2] {
        let linux = self.spec.linux().as_ref();
        let asked = linux.and_then(|linux| linux.rootfs_propagation().as_deref());
        let (word, deep) = match asked.unwrap_or_default() {
            word @ ("rprivate" | "rslave" | "rshared" | "runbindable") => {
                (word.get(1..).unwrap_or_default(), mount_attr::MS_REC)
            }
            word => (word, 0),
        };
        match word {
            "slave" => [mount_attr::MS_SLAVE, 0],
            "shared" => [mount_attr::MS_SLAVE, mount_attr::MS_SHARED | deep],
            "unbindable" => [mount_attr::MS_PRIVATE, mount_attr::MS_UNBINDABLE | deep],
            _ => [mount_attr::MS_PRIVATE, 0],
        }
    }

    /// Over everything; or where the bundle has it, for hooks to find.
    pub(super) fn attach_root(&mut self, hooked: bool) {
        let top = HostPath::new("/").ok().filter(|_| !hooked);
        let over = top.unwrap_or_else(|| self.inputs.facts.rootfs.path.clone());
        self.builtin(Track::Supervisor, Action::AttachRoot { over }, "the new root");
    }

    /// After the pivot: the kernel refuses one onto a mount that is shared.
    pub(super) fn propagate_root(&mut self) {
        let [_, propagation] = self.root_propagation();
        if propagation != 0 {
            let action = Action::SetRootPropagation { propagation };
            self.asked(Track::Supervisor, action, "/linux/rootfsPropagation");
        }
    }
}
