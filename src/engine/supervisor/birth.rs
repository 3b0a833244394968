//! What the supervisor does up to the birth of init, and to give it its ids.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};

use super::{Child, Supervisor, open_path, write_file};
use crate::cgroup::{Cgroup, Claimant, Hierarchies};
use crate::engine::cause::Cause;
use crate::engine::prepare::{self, Conversation, InitPlan, StartGate};
use crate::engine::steps::{mount_point, rootfs};
use crate::engine::wire::{self, Message};
use crate::engine::{chain, spawn};
use crate::host::boxes;
use crate::plan::action::{ClockOffsets, IdMapping, MountPoint};
use crate::plan::cgroup::CgroupPlan;
use crate::plan::hooks::Stage;
use crate::plan::text::{HostPath, RootedPath};
use crate::plan::{Action, Gate, IdMap, Namespace, Slot};
use crate::policy::Level;
use crate::store::ranges::Range;
use crate::sys::{Errno, errno, fd, ns, process};

impl Supervisor<'_> {
    pub(super) fn take_ids(&mut self) -> Result<(), Cause> {
        let ranges = self.request.ranges.ok_or(Errno::EBADF)?;
        let range = ranges.take(&self.request.owner).map_err(|error| Cause::said(chain(&error)))?;
        self.range = Some(range);
        Ok(())
    }

    /// Counts this container among those who have the pod's ids, and keeps its user namespace
    /// for init and for mounts.
    pub(super) fn join_pod(&mut self) -> Result<(), Cause> {
        let pod = self.request.pod.ok_or(Errno::EBADF)?;
        if let Some((range, fellow)) = pod.range {
            let ranges = self.request.ranges.ok_or(Errno::EBADF)?;
            ranges
                .join(*range, &self.request.owner, fellow)
                .map_err(|error| Cause::said(chain(&error)))?;
            self.range = Some(*range);
        }
        let floor = prepare::floor(self.plan, self.request.preserve);
        let placed = fd::duplicate_above(pod.user_namespace, floor)?;
        self.namespaces.push((Namespace::User, placed));
        self.mapping = Some(fd::duplicate_above(pod.user_namespace, 3)?);
        Ok(())
    }

    /// An engine made the user namespace that init has joined; what it maps must be what was
    /// judged.
    pub(super) fn check_id_maps(&mut self, ids: &IdMap) -> Result<(), Cause> {
        let IdMap::Given { uids, gids } = ids else { return Err(Errno::EINVAL.into()) };
        let child = self.child()?;
        let found = boxes::maps_of(child.pid)?;
        if found != (uids.clone(), gids.clone()) {
            let detail = "the user namespace maps other ids than the bundle says".to_owned();
            return Err(Cause::with_detail(Errno::EINVAL, detail));
        }
        self.mapping = Some(open_user_namespace(&child.proc)?);
        Ok(())
    }

    pub(super) fn make_cgroup(&mut self, plan: &CgroupPlan) -> Result<(), Cause> {
        let hierarchies: &Hierarchies = self.request.hierarchies;
        let (id, root) = (self.request.id.to_owned(), self.request.owner.root.clone());
        let claimant = Claimant { id, root };
        let made = Cgroup::create(plan, claimant, hierarchies)
            .map_err(|error| Cause::said(chain(&error)))?;
        self.cgroup = Some(made);
        Ok(())
    }

    pub(super) fn delegate_cgroup(&mut self, uid: u32) -> Result<(), Cause> {
        let owner = self.ids().user(uid)?;
        let cgroup = self.cgroup.as_ref().ok_or(Errno::EBADF)?;
        cgroup.delegate(owner).map_err(|error| Cause::said(chain(&error)))
    }

    pub(super) fn make_mount_point(
        &mut self,
        at: &RootedPath,
        kind: &MountPoint,
        within: Option<&HostPath>,
    ) -> Result<(), Cause> {
        let bound = within.map(rootfs::open_source).transpose()?;
        let root = bound.as_ref().or(self.rootfs.as_ref()).ok_or(Errno::EBADF)?;
        let file = match kind {
            MountPoint::Directory => false,
            MountPoint::AsSource { source } => {
                let stat = rustix::fs::stat(source.as_c_str())
                    .map_err(|error| no_source(source, error))?;
                FileType::from_raw_mode(stat.st_mode) != FileType::Directory
            }
        };
        let before = self.made.len();
        mount_point::make(root.as_fd(), at, file, None, &mut self.made).map_err(|mut cause| {
            let kernel = ["/proc", "/sys", "/dev"].contains(&at.as_str());
            if kernel && cause.errno == Some(Errno::ELOOP) {
                let what = "the image has a symbolic link there; it must be mounted on ordinary \
                            directory";
                cause.detail = Some(what.to_owned());
            }
            cause
        })?;
        if self.made.len() > before && within.is_none() {
            self.made_places.push(at.clone());
        }
        Ok(())
    }

    pub(super) fn open_namespace(&mut self, kind: Namespace, path: &HostPath) -> Result<(), Cause> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path.as_c_str(), flags, Mode::empty()).map_err(errno)?;
        if ns::kind(opened.as_fd())? != kind.flag() {
            let detail = format!("{path} is not a {} namespace", kind.word());
            return Err(Cause::with_detail(Errno::EINVAL, detail));
        }
        let judged = self.request.joined.iter().find(|(of, _)| *of == kind);
        if judged.is_some_and(|(_, identity)| !is_same(opened.as_fd(), *identity)) {
            let detail = format!("{path} has become another one since it was looked at");
            return Err(Cause::with_detail(Errno::ESTALE, detail));
        }
        // The host's own may be what was judged, where an exception waives the rule against it.
        let matters = judged.is_none()
            && kind != Namespace::Time
            && self.plan.level == Level::Hardened.as_str();
        if matters && is_own(opened.as_fd(), kind)? {
            let detail = format!("{path} has become the host's since it was looked at");
            return Err(Cause::with_detail(Errno::ESTALE, detail));
        }
        // Init finds it above all numbers that it uses itself.
        let floor = prepare::floor(self.plan, self.request.preserve);
        let placed = fd::duplicate_above(opened.as_fd(), floor)?;
        self.namespaces.push((kind, placed));
        Ok(())
    }

    /// Makes a time namespace for the next child. Its clocks can be shifted as long as nobody is
    /// in it, and a clone would enter one of its own at once.
    pub(super) fn shift_clocks(&mut self, offsets: &ClockOffsets) -> Result<(), Cause> {
        let time = Namespace::Time.flag();
        self.own_time = Some(open_path(c"/proc/self/ns/time", OFlags::RDONLY)?);
        ns::leave(time)?;
        let lines: Vec<String> = [("monotonic", offsets.monotonic), ("boottime", offsets.boottime)]
            .into_iter()
            .filter_map(|(clock, offset)| {
                offset.map(|offset| format!("{clock} {} {}\n", offset.secs, offset.nanosecs))
            })
            .collect();
        if lines.is_empty() {
            return Ok(());
        }
        let own = open_path(c"/proc/self", OFlags::PATH | OFlags::DIRECTORY)?;
        write_file(own.as_fd(), c"timens_offsets", lines.concat().as_bytes())
    }

    pub(super) fn spawn(&mut self, kinds: &[Namespace]) -> Result<(), Cause> {
        let floor = prepare::floor(self.plan, self.request.preserve);
        let Conversation { ours, theirs } = Conversation::new(floor)?;
        let listener = match self.request.listener {
            Some(listener) => Some(fd::duplicate_above(listener, floor)?),
            None => None,
        };
        let start = listener
            .as_ref()
            .map_or(StartGate::Supervisor, |socket| StartGate::Listener(socket.as_fd()));
        let home = self.lead_children()?;
        let mut plan =
            InitPlan::new(self.plan, theirs.as_fd(), start, &self.namespaces, self.request.into());
        plan.umask = self.umask;
        plan.add_environment(self.request.environment);
        if !plan.hooks.is_empty() {
            plan.hook_state = self.request.state.around_pid(Stage::StartContainer.status());
        }
        let leaf = self.cgroup.as_ref().map(Cgroup::leaf_fd);
        let flags = kinds.iter().fold(0, |flags, kind| flags | kind.flag());
        let spawned = spawn::init(&plan, &ours, flags, leaf);
        if let Some(home) = home {
            // What this process starts later, such as a hook, is none of the container's.
            ns::come_back(home.as_fd(), Namespace::Pid.flag())?;
        }
        let (pid, process) = spawned?;
        if let Some(own) = self.own_time.take() {
            // Only init gets the new one; its end is noticed like any other's.
            ns::come_back(own.as_fd(), Namespace::Time.flag())?;
        }
        let proc = match open_proc(self.home.as_ref().map(|home| home.proc.as_fd()), pid) {
            Ok(proc) => proc,
            Err(error) => {
                // Killed first: it waits for a word that will not come.
                let _ = process::signal(process.as_fd(), libc::SIGKILL);
                let _ = process::wait_for(pid);
                return Err(error.into());
            }
        };
        // Recorded before anything else can fail: undo must know of the process.
        self.child = Some(Child { pid, process, proc, socket: ours });
        let plan = self.plan.steps.iter().find_map(|step| {
            let Action::MakeCgroup { cgroup } = &step.action else { return None };
            Some(cgroup)
        });
        if let (Some(cgroup), Some(plan)) = (&mut self.cgroup, plan) {
            cgroup
                .join_v1(pid)
                .and_then(|()| cgroup.settle(plan, self.request.hierarchies))
                .map_err(|error| Cause::said(chain(&error)))?;
        }
        // The caller may be tied to a few processors. The container is not: its group says.
        Ok(process::reset_affinity_of(pid)?)
    }

    /// Has the next child born in the pid namespace that the bundle joins, if it does; gives the
    /// way back. This process stays where it is.
    fn lead_children(&self) -> Result<Option<OwnedFd>, Cause> {
        let joined = self.namespaces.iter().find(|(kind, _)| *kind == Namespace::Pid);
        let Some((_, namespace)) = joined else { return Ok(None) };
        let proc = self.home.as_ref().map_or(rustix::fs::CWD, |home| home.proc.as_fd());
        let path = if self.home.is_some() { c"self/ns/pid" } else { c"/proc/self/ns/pid" };
        let home = rustix::fs::openat(proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(errno)?;
        ns::enter(namespace.as_fd(), Namespace::Pid.flag())?;
        Ok(Some(home))
    }

    pub(super) fn await_gate(&mut self, gate: Gate) -> Result<(), Cause> {
        match wire::hear(self.child()?.socket.as_fd())? {
            Message::Opened(opened) if opened == gate => {}
            Message::Opened(_) | Message::HookEnded(..) | Message::Output => {
                return Err(Errno::EPROTO.into());
            }
            Message::Failed(failure) => {
                self.reported = Some(failure);
                return Err(failure.errno.into());
            }
            Message::Gone => {
                return Err(Cause::with_detail(
                    Errno::ECHILD,
                    "the new process ended without a word".to_owned(),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn write_id_maps(&mut self, ids: &IdMap) -> Result<(), Cause> {
        let base = self.range.map_or(0, Range::base);
        let child = self.child()?;
        let (users, groups) = match ids {
            IdMap::OwnRange => {
                let line = format!("0 {base} {}", Range::LENGTH);
                (line.clone(), line)
            }
            IdMap::Given { uids, gids } => (lines(uids), lines(gids)),
        };
        write_file(child.proc.as_fd(), c"gid_map", groups.as_bytes())?;
        write_file(child.proc.as_fd(), c"uid_map", users.as_bytes())?;
        self.mapping = Some(open_user_namespace(&child.proc)?);
        Ok(())
    }

    /// The number at which init leaves what it built.
    pub(super) fn slot_number(&self, slot: Slot) -> Result<i32, Errno> {
        let number = self.request.preserve.saturating_add(5).saturating_add(u32::from(slot.0));
        i32::try_from(number).map_err(|_| Errno::EBADF)
    }

    pub(super) fn fetch(&mut self, slot: Slot) -> Result<(), Cause> {
        let number = self.slot_number(slot)?;
        let built = fd::take_from(self.child()?.process.as_fd(), number)?;
        self.keep(slot, built);
        Ok(())
    }
}

/// The user namespace of the process whose directory in procfs this is.
fn open_user_namespace(proc: &OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(proc, c"ns/user", flags, Mode::empty()).map_err(errno)
}

/// Whether a namespace is the one with this device and inode number.
fn is_same(namespace: BorrowedFd<'_>, identity: (u64, u64)) -> bool {
    rustix::fs::fstat(namespace).is_ok_and(|found| (found.st_dev, found.st_ino) == identity)
}

/// Whether a namespace is this process's own.
fn is_own(namespace: BorrowedFd<'_>, kind: Namespace) -> Result<bool, Errno> {
    let own = rustix::fs::stat(format!("/proc/self/ns/{}", kind.link())).map_err(errno)?;
    let found = rustix::fs::fstat(namespace).map_err(errno)?;
    Ok((own.st_dev, own.st_ino) == (found.st_dev, found.st_ino))
}

fn lines(map: &[IdMapping]) -> String {
    let line = |m: &IdMapping| format!("{} {} {}\n", m.inside, m.outside, m.size);
    map.iter().map(line).collect()
}

/// The directory of process `pid` in the host's procfs, which must be one.
fn open_proc(proc: Option<BorrowedFd<'_>>, pid: i32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = match proc {
        Some(proc) => rustix::fs::openat(proc, pid.to_string(), flags, Mode::empty()),
        None => rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty()),
    };
    let opened = opened.map_err(errno)?;
    let kind = rustix::fs::fstatfs(&opened).map_err(errno)?.f_type;
    if kind == rustix::fs::PROC_SUPER_MAGIC { Ok(opened) } else { Err(Errno::ENODEV) }
}

/// Not the mount point is at fault, but what shall be mounted there.
fn no_source(source: &HostPath, error: rustix::io::Errno) -> Cause {
    let error = errno(error);
    let words = error.desc().to_lowercase();
    Cause::with_detail(error, format!("the source {source} cannot be looked at: {words}"))
}
