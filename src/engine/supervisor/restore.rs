//! What is made from outside for CRIU, and how it is led.

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{Supervisor, open_path};
use crate::cgroup::{Cgroup, CgroupError, HomeGroups};
use crate::criu::{Kind, Notice, Seat};
use crate::engine::cause::Cause;
use crate::engine::chain;
use crate::engine::home::Home;
use crate::engine::restore::{NETWORK_KEY, Outside, Restoration, RestoreError, Restored};
use crate::plan::labels::Label;
use crate::plan::mount::Filesystem;
use crate::plan::text::Text;
use crate::plan::{Action, Namespace, Slot, Step};
use crate::sys::flags::mount_attr;
use crate::sys::mount::{self, NewFilesystem};
use crate::sys::{Errno, errno, fd, ns, process, socket};

impl<'plan> Supervisor<'plan> {
    /// Makes what the plan makes from outside, and has CRIU make the rest.
    pub(in crate::engine) fn restore(
        mut self,
        restoration: Restoration<'_>,
    ) -> Result<Restored, RestoreError> {
        let plan = self.plan;
        for (id, step) in plan.numbered().filter(|(_, step)| is_made_from_outside(&step.action)) {
            if let Err(cause) = self.perform(&step.action) {
                return Err(self.fail(id, step, cause).into());
            }
        }
        let led = self.lead(restoration);
        let home = self.come_home();
        match (led, home) {
            (Ok(pid), Ok(())) => self.restored(pid),
            (Err(error), _) => {
                self.abandon_restored();
                Err(error)
            }
            (Ok(_), Err(cause)) => {
                self.abandon_restored();
                Err(said(&cause))
            }
        }
    }

    fn abandon_restored(&mut self) {
        if let Some(cgroup) = &self.cgroup {
            let _ = cgroup.kill_all();
            let _ = cgroup.thaw();
        }
        self.undo();
    }

    fn restored(mut self, pid: i32) -> Result<Restored, RestoreError> {
        let process = Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let (Some(Ok(process)), Some(mut cgroup)) = (process, self.cgroup.take()) else {
            self.abandon_restored();
            return Err(RestoreError::Nobody);
        };
        let plan = self.plan.steps.iter().find_map(|step| {
            let Action::MakeCgroup { cgroup } = &step.action else { return None };
            Some(cgroup)
        });
        let settled = plan.map_or(Ok(()), |plan| cgroup.settle(plan, self.request.hierarchies));
        if let Err(error) = settled {
            self.cgroup = Some(cgroup);
            self.abandon_restored();
            return Err(said(&Cause::said(chain(&error))));
        }
        Ok(Restored { pid, process, cgroup, made: std::mem::take(&mut self.made) })
    }

    fn lead(&mut self, mut restoration: Restoration<'_>) -> Result<i32, RestoreError> {
        let room = self.furnish(&restoration).map_err(|cause| said(&cause))?;
        let options = &mut restoration.options;
        options.root = room.path("root");
        options.flags.sibling = true;
        let mut kept = Vec::new();
        self.tell_outside(restoration.outside, &room, options, &mut kept)
            .map_err(|cause| said(&cause))?;
        self.leave_keys().map_err(|cause| said(&cause))?;
        let cgroup = self.cgroup.as_ref().ok_or(RestoreError::Nobody)?;
        let home = HomeGroups::find(self.request.hierarchies)
            .map_err(|error| said(&Cause::said(chain(&error))))?;
        let own = self.enter_group_namespace(cgroup, &home).map_err(|cause| said(&cause))?;
        let criu = Cell::new(0);
        let init = Cell::new(0);
        let mut settle = |pid: i32| {
            criu.set(pid);
            if let Some(own) = &own {
                // CRIU was born in the container's: this process goes back.
                let back = ns::enter(own.as_fd(), Namespace::Cgroup.flag());
                back.map_err(|errno| format!("leave the cgroup namespace: {errno:?}"))?;
            }
            cgroup.enter(pid).map_err(|error| chain(&error))?;
            // The caller may be tied to a few processors. The container is not: its group says.
            process::reset_affinity_of(pid).map_err(|errno| format!("free it: {errno:?}"))
        };
        let mut notice = |notice: Notice<'_>| {
            init.set(notice.pid.unwrap_or(init.get()));
            let leave = || cgroup.leave_v2(criu.get(), &home);
            self.at(&notice, cgroup, &leave, init.get())
        };
        let mut seat =
            Seat { keeps_stdio: true, settle: Some(&mut settle), notice: Some(&mut notice) };
        let outcome = restoration.criu.ask(Kind::Restore, Some(options), &mut seat)?;
        outcome.pid.ok_or(RestoreError::Nobody)
    }

    /// Leaves the caller's keys behind: what is born by CRIU has the keyring of CRIU.
    fn leave_keys(&self) -> Result<(), Cause> {
        for step in &self.plan.steps {
            if let Action::Label { label: Label::Keys(label) } = &step.action {
                std::fs::write("/proc/self/attr/keycreate", label.as_str()).map_err(|error| {
                    Cause::with_detail(
                        Errno::from_raw(error.raw_os_error().unwrap_or(0)),
                        "label keys".to_owned(),
                    )
                })?;
            } else if step.action == Action::NewKeyring {
                process::new_keyring()?;
            }
        }
        Ok(())
    }

    /// Makes a cgroup namespace whose root is the container's group, where the plan has one, and
    /// enters it: what is born by CRIU has the namespaces of CRIU. Gives the way back.
    fn enter_group_namespace(
        &self,
        cgroup: &Cgroup,
        home: &HomeGroups,
    ) -> Result<Option<OwnedFd>, Cause> {
        let is_made = |step: &Step| {
            let (Action::Spawn { namespaces: kinds } | Action::NewNamespaces { kinds }) =
                &step.action
            else {
                return false;
            };
            kinds.contains(&Namespace::Cgroup)
        };
        if !self.plan.steps.iter().any(is_made) {
            return Ok(None);
        }
        let kind = Namespace::Cgroup.flag();
        let own = open_path(c"/proc/self/ns/cgroup", OFlags::RDONLY)?;
        // The root is the group that this process is in when the namespace is made. Groups are
        // changed from the own namespace: hosts may forbid to leave another one's.
        cgroup.enter(0).map_err(|error| Cause::said(chain(&error)))?;
        let made = ns::leave(kind).and_then(|()| {
            let made = open_path(c"/proc/self/ns/cgroup", OFlags::RDONLY)?;
            ns::enter(own.as_fd(), kind)?;
            Ok(made)
        });
        cgroup.leave(0, home).map_err(|error| Cause::said(chain(&error)))?;
        ns::enter(made?.as_fd(), kind)?;
        Ok(Some(own))
    }

    /// What is done at the points at which CRIU waits.
    fn at(
        &self,
        notice: &Notice<'_>,
        cgroup: &Cgroup,
        leave: &dyn Fn() -> Result<(), CgroupError>,
        init: i32,
    ) -> Result<(), String> {
        match (notice.point, &notice.descriptor) {
            ("orphan-pts-master", Some(master)) => {
                let console = self.request.console.ok_or(
                    "the container has a terminal, and there is no --console-socket for it",
                )?;
                socket::send_fd(console, b"/dev/ptmx", master.as_fd())
                    .map_err(|errno| format!("hand on the terminal: {errno:?}"))
            }
            // All is there, and every process stands still for the last time.
            ("pre-resume", _) => {
                self.set_sysctls(init).map_err(|cause| clause(&cause))?;
                // CRIU itself must not stand still.
                leave().map_err(|error| chain(&error))?;
                cgroup.freeze().map_err(|error| chain(&error))
            }
            _ => Ok(()),
        }
    }

    /// Kernel parameters of the container's namespaces, which CRIU does not keep all of.
    fn set_sysctls(&self, init: i32) -> Result<(), Cause> {
        let wanted: Vec<(&Text, String)> = self
            .plan
            .steps
            .iter()
            .filter_map(|step| {
                let (Action::SetNetSysctl { name, value } | Action::SetIpcSysctl { name, value }) =
                    &step.action
                else {
                    return None;
                };
                Some((name, value.as_str().to_owned()))
            })
            .collect();
        let Some(home) = self.home.as_ref().filter(|_| !wanted.is_empty()) else { return Ok(()) };
        let pid = Pid::from_raw(init).ok_or(Errno::ESRCH)?;
        let target = pidfd_open(pid, PidfdFlags::empty()).map_err(errno)?;
        let way = Home::remember(&[Namespace::Network, Namespace::Ipc])?;
        ns::enter(target.as_fd(), Namespace::Network.flag() | Namespace::Ipc.flag())?;
        let set = wanted.iter().try_for_each(|(name, value)| {
            let path = CString::new(format!("sys/{}", name.as_str())).map_err(|_| Errno::EINVAL)?;
            super::write_file(home.proc.as_fd(), &path, value.as_bytes())
        });
        way.come()?;
        set
    }

    /// A mount namespace of this process, with everything in it that CRIU looks for by its path.
    fn furnish(&mut self, restoration: &Restoration<'_>) -> Result<Room, Cause> {
        let kinds = [Namespace::Mount, Namespace::Network, Namespace::Ipc, Namespace::Cgroup];
        self.home = Some(Home::remember(&kinds)?);
        let (directory, path) = restoration.directory;
        ns::leave(Namespace::Mount.flag())?;
        mount::make_all_private()?;
        let room = Room::new(directory, path)?;
        room.place("root", self.root()?)?;
        let mask = NewFilesystem::open(c"tmpfs")?;
        mask.set(c"source", c"mask")?;
        mask.set(c"mode", c"0555")?;
        // Three files, and room for their labels.
        mask.set(c"nr_inodes", c"6")?;
        let label = self.plan.steps.iter().find_map(|step| {
            let Action::Mask { label, .. } = &step.action else { return None };
            label.as_ref()
        });
        if let Some((key, Some(value))) = label {
            mask.set(key.as_c_str(), value.as_c_str())?;
        }
        let mask = mask.mount(mount_attr::NOSUID | mount_attr::NODEV | mount_attr::NOEXEC)?;
        make(mask.as_fd(), c"d", true)?;
        make(mask.as_fd(), c"f", false)?;
        mount::make_read_only(mask.as_fd(), false)?;
        room.place("mask", mask.as_fd())?;
        for (number, slot) in self.bound() {
            room.place(&format!("bound-{number}"), self.slot(slot)?)?;
        }
        Ok(room)
    }

    /// Each mount of the plan that shows something of the host: its number and where it is kept.
    fn bound(&self) -> Vec<(usize, Slot)> {
        let slots = self.plan.steps.iter().filter_map(|step| {
            let Action::BuildMount { slot, .. } = &step.action else { return None };
            is_bind(&step.action).then_some(*slot)
        });
        slots.enumerate().collect()
    }

    /// Tells CRIU what takes the place of what lay outside.
    fn tell_outside(
        &self,
        outside: &Outside,
        room: &Room,
        options: &mut crate::criu::Options,
        kept: &mut Vec<OwnedFd>,
    ) -> Result<(), Cause> {
        for masked in &outside.masked {
            let source = if masked.directory { "mask/d" } else { "mask/f" };
            options.external.push(format!("mnt[{}]:{}", masked.at, room.path(source)));
        }
        for (number, slot) in self.bound() {
            let at = self.plan.steps.iter().find_map(|step| {
                let Action::Attach { slot: attached, at, .. } = &step.action else { return None };
                (*attached == slot).then_some(at)
            });
            if let Some(at) = at {
                let source = room.path(&format!("bound-{number}"));
                options.external.push(format!("mnt[{at}]:{source}"));
            }
        }
        let mut keys: Vec<&String> = Vec::new();
        for (number, key) in (0..).zip(&outside.descriptors) {
            if let Some(key) = key
                && !keys.contains(&key)
            {
                keys.push(key);
                options.inherited.push((key.clone(), number));
            }
        }
        if outside.network {
            let found = self.namespaces.iter().find(|(kind, _)| *kind == Namespace::Network);
            let (_, network) = found.ok_or(Errno::ENOENT)?;
            let network = fd::duplicate_above(network.as_fd(), 3)?;
            fd::keep_across_exec(network.as_raw_fd())?;
            options.inherited.push((NETWORK_KEY.to_owned(), network.as_raw_fd()));
            kept.push(network);
        }
        Ok(())
    }
}

/// Whether an action builds a mount of what the host has: its files, or a control group.
fn is_bind(action: &Action) -> bool {
    let Action::BuildMount { filesystem, .. } = action else { return false };
    matches!(filesystem, Filesystem::Bind { .. } | Filesystem::Group { .. })
}

/// Whether an action is one of those that CRIU has no part in.
fn is_made_from_outside(action: &Action) -> bool {
    matches!(
        action,
        Action::MakeCgroup { .. }
            | Action::DelegateCgroup { .. }
            | Action::OpenRootfs { .. }
            | Action::MakeMountPoint { .. }
            | Action::OpenNamespace { .. }
            | Action::CopyRootfs { .. }
    ) || is_bind(action)
}

fn clause(cause: &Cause) -> String {
    match (&cause.errno, &cause.detail) {
        (Some(errno), Some(detail)) => format!("{errno:?}: {detail}"),
        (Some(errno), None) => format!("{errno:?}"),
        (None, detail) => detail.clone().unwrap_or_default(),
    }
}

fn said(cause: &Cause) -> RestoreError {
    let said = format!("make ready for CRIU: {}", clause(cause));
    RestoreError::Criu(crate::criu::CriuError::Stopped { said })
}

/// A directory in which mounts are laid out by name. It covers the container's state directory,
/// for this process alone.
struct Room {
    top: OwnedFd,
    path: String,
}

impl Room {
    fn new(directory: BorrowedFd<'_>, path: &Path) -> Result<Self, Cause> {
        let place = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Errno::EINVAL)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let place = open_path(&place, flags)?;
        let (wanted, found) = (
            rustix::fs::fstat(directory).map_err(errno)?,
            rustix::fs::fstat(&place).map_err(errno)?,
        );
        if (wanted.st_dev, wanted.st_ino) != (found.st_dev, found.st_ino) {
            return Err(Errno::ESTALE.into());
        }
        // CRIU's directory is another one: a path from the root, as the kernel says it.
        let link = format!("/proc/self/fd/{}", place.as_raw_fd());
        let path = rustix::fs::readlink(link, Vec::new()).map_err(errno)?;
        let path = path.into_string().map_err(|_| Errno::EILSEQ)?;
        let top = NewFilesystem::open(c"tmpfs")?;
        top.set(c"mode", c"0700")?;
        let top = top.mount(mount_attr::NOSUID | mount_attr::NODEV | mount_attr::NOEXEC)?;
        mount::attach(top.as_fd(), place.as_fd())?;
        Ok(Self { top, path })
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// Puts a mount there, at a place made for it.
    fn place(&self, name: &str, tree: BorrowedFd<'_>) -> Result<(), Cause> {
        let stat = rustix::fs::fstat(tree).map_err(errno)?;
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        make(self.top.as_fd(), &name, directory)?;
        let place = fd::open_beneath(self.top.as_fd(), &name, OFlags::PATH)?;
        Ok(mount::attach(tree, place.as_fd())?)
    }
}

fn make(dir: BorrowedFd<'_>, name: &CStr, directory: bool) -> Result<(), Errno> {
    let made = if directory {
        rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o555))
    } else {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o444)).map(drop)
    };
    made.map_err(errno)
}
