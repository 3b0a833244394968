//! The host's hooks of a launch: run beside an init that has nothing left to do.

use std::os::fd::AsFd;

use rustix::fs::OFlags;

use super::{Supervisor, open_path, read_file};
use crate::engine::cause::Cause;
use crate::engine::hook::{self, Place};
use crate::plan::Namespace;
use crate::plan::hooks::{Hook, Stage};
use crate::sys::{Errno, ns};

impl Supervisor<'_> {
    pub(super) fn run_hook(&mut self, hook: &Hook) -> Result<(), Cause> {
        self.hooks_begun = true;
        let state = &self.request.state;
        if hook.stage == Stage::CreateContainer {
            return self.run_inside(hook);
        }
        let pid = self.child()?.pid;
        hook::run(hook, state, Some(pid), Place::Host { bundle: state.bundle })
    }

    /// Runs a hook of the host in the namespaces of the container: all but the user namespace,
    /// for it is the host's own code, and may need what is the host's.
    fn run_inside(&self, hook: &Hook) -> Result<(), Cause> {
        let child = self.child()?;
        let seen = self.id_inside()?;
        let place = Place::Container { init: child.process.as_fd(), root: self.root()? };
        let own = open_path(c"/proc/self/ns/pid", OFlags::RDONLY)?;
        let pids = Namespace::Pid.flag();
        ns::enter(child.process.as_fd(), pids)?;
        let ran = hook::run(hook, &self.request.state, Some(seen), place);
        ns::enter(own.as_fd(), pids)?;
        ran
    }

    /// Init's process id as the container counts: the last one that the kernel lists.
    fn id_inside(&self) -> Result<i32, Cause> {
        let status = read_file(self.child()?.proc.as_fd(), c"status")?;
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let last = ids.and_then(|ids| ids.split_whitespace().next_back());
        last.and_then(|id| id.parse().ok()).ok_or_else(|| Errno::ESRCH.into())
    }
}
