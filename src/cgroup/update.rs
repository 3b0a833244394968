//! Changes the limits of a container that runs; hands its group over to its own root.

use rustix::fs::{AtFlags, Gid, Uid, chownat};

use super::directory::{Directory, errno};
use super::{Cgroup, CgroupError, Hierarchies};
use crate::plan::cgroup::{CgroupPlan, DeviceRules};
use crate::sys::{Errno, bpf};

impl Cgroup {
    /// Changes limits of a container that runs, and its device rules if `devices` says so.
    /// Processes join the v1 hierarchies that are new to the group.
    ///
    /// # Errors
    /// [`CgroupError::BelowUse`] if the plan says to check; nothing was changed then.
    /// Any other [`CgroupError`]; limits that were written before it stay as they are now.
    pub fn update(
        &mut self,
        plan: &CgroupPlan,
        devices: Option<&DeviceRules>,
        hierarchies: &Hierarchies,
    ) -> Result<(), CgroupError> {
        if plan.check_memory_before_update {
            self.check_memory(plan, hierarchies)?;
        }
        let before = self.v1.len();
        self.write_limits(plan.settings.iter(), hierarchies)?;
        if self.v1.len() > before {
            for pid in self.pids()? {
                self.join_v1(pid)?;
            }
        }
        let Some(devices) = devices else { return Ok(()) };
        let what = CgroupError::system("replace the device program of", self.path.as_str());
        let old = bpf::device_programs(self.leaf.as_fd()).map_err(what)?;
        self.attach(devices)?;
        let ours = |id: &u32| self.owns_leaf() || self.programs.contains(id);
        for id in old.into_iter().filter(ours) {
            let what = CgroupError::system("replace the device program of", self.path.as_str());
            bpf::detach_device_program(self.leaf.as_fd(), id).map_err(what)?;
        }
        Ok(())
    }

    /// `memory.checkBeforeUpdate`: a limit below the present use would call the OOM killer.
    fn check_memory(
        &self,
        plan: &CgroupPlan,
        hierarchies: &Hierarchies,
    ) -> Result<(), CgroupError> {
        let Some(used_bytes) = self.stats(hierarchies)?.memory_bytes else { return Ok(()) };
        for setting in &plan.settings {
            let limit = setting.v2.as_ref().filter(|write| write.file == "memory.max");
            let Some(limit_bytes) = limit.and_then(|write| write.value.parse::<u64>().ok()) else {
                continue;
            };
            if limit_bytes <= used_bytes {
                let at = setting.origin.at().to_owned();
                return Err(CgroupError::BelowUse { at, limit_bytes, used_bytes });
            }
        }
        Ok(())
    }

    /// Gives the v2 group to a user of the host, who may then make groups below it: for a
    /// container that has a control group namespace and a writable mount of it. Limits stay
    /// the host's, for their files are not among those given.
    ///
    /// Spec: runtime-spec, config-linux.md, "Cgroup ownership".
    ///
    /// # Errors
    /// [`CgroupError::System`].
    pub fn delegate(&self, uid: u32, gid: u32) -> Result<(), CgroupError> {
        let what = || CgroupError::system("delegate", self.path.as_str());
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        let list = Directory::open_root(std::path::Path::new("/sys/kernel/cgroup"))
            .and_then(|directory| directory.read("delegate"))
            .map_err(what())?;
        for file in std::iter::once("").chain(list.lines()) {
            let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
            match chownat(self.leaf.as_fd(), file, uid, gid, flags).map_err(errno) {
                // The list is of all files that any kernel's configuration could have.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(error) => return Err(what()(error)),
            }
        }
        Ok(())
    }
}
