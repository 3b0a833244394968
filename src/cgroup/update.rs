//! Changes the limits of a container that runs.

use std::collections::BTreeSet;

use super::before::Before;
use super::{Cgroup, CgroupError, Hierarchies};
use crate::plan::cgroup::CgroupPlan;
use crate::sys::Errno;

impl Cgroup {
    /// Changes limits of a container that runs. Processes join the v1 hierarchies that are new to
    /// the group.
    ///
    /// # Errors
    /// [`CgroupError::BelowUse`] if the plan says to check; nothing was changed then. Any other
    /// [`CgroupError`]: what was written before it is set back, as far as the kernel takes it.
    /// The group may have come to new v1 hierarchies all the same, so save it again.
    pub fn update(
        &mut self,
        plan: &CgroupPlan,
        hierarchies: &Hierarchies,
    ) -> Result<(), CgroupError> {
        if plan.check_memory_before_update {
            self.check_memory(plan, hierarchies)?;
        }
        let before = Before::note(self, plan, hierarchies);
        let joined = self.v1.len();
        let changed = self
            .write_limits(plan.settings.iter(), hierarchies)
            .and_then(|()| if self.v1.len() > joined { self.bring_in_all() } else { Ok(()) });
        // systemd writes what it knows once more, rounded: after it, the exact limits again.
        let changed = changed.and_then(|()| match &self.unit {
            Some(_) => {
                self.tell_unit(plan, hierarchies)?;
                self.write_limits(plan.settings.iter(), hierarchies)
            }
            None => Ok(()),
        });
        if changed.is_err() {
            before.set_back(self);
        }
        changed
    }

    /// Moves every process into the v1 hierarchies. A child is born where its parent is, so
    /// the list is read again until nobody is new in it.
    fn bring_in_all(&self) -> Result<(), CgroupError> {
        let mut moved = BTreeSet::new();
        loop {
            let new: Vec<_> = self.pids()?.into_iter().filter(|pid| moved.insert(*pid)).collect();
            if new.is_empty() {
                return Ok(());
            }
            for pid in new {
                match self.join_v1(pid) {
                    // It has ended meanwhile.
                    Err(CgroupError::System { source: Errno::ESRCH, .. }) => {}
                    other => other?,
                }
            }
        }
    }

    /// `memory.checkBeforeUpdate`: a limit below the present use would call the OOM killer.
    fn check_memory(
        &self,
        plan: &CgroupPlan,
        hierarchies: &Hierarchies,
    ) -> Result<(), CgroupError> {
        let used_bytes = self.stats(hierarchies)?.memory.usage.usage;
        // The v1 forms hold the numbers as the specification counts them.
        for (what, file) in
            [("memory+swap", "memory.memsw.limit_in_bytes"), ("memory", "memory.limit_in_bytes")]
        {
            for setting in &plan.settings {
                let limit = setting.v1.as_ref().filter(|write| write.file == file);
                let limit = limit.and_then(|write| write.value.parse::<u64>().ok());
                if let Some(limit_bytes) = limit.filter(|limit| *limit <= used_bytes) {
                    let at = setting.origin.at().to_owned();
                    return Err(CgroupError::BelowUse { at, what, limit_bytes, used_bytes });
                }
            }
        }
        Ok(())
    }
}
