//! A process of its own that watches a container for as long as it lives.
//!
//! It outlives the command that started the container, so it lets go of everything that is an
//! engine's: its session, its directory, its descriptors, the container's standard ones above
//! all. It keeps two capabilities, one to see which program makes a call and one to write where
//! it was told to. When it ends before the container does, the kernel lets every call that it
//! would have answered fail with ENOSYS.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::fs::{CWD, Mode, OFlags};

use super::generate::generate;
use super::output::Output;
use super::report::report;
use super::watcher::Watcher;
use crate::seccomp::Abi;
use crate::sys::clone::{self, Copied, Descriptors};
use crate::sys::{Errno, Result, caps, errno, fd, process, socket};

/// Written in the end.
#[derive(Debug, Default)]
pub struct Results {
    /// The profile.
    pub profile: Option<Output>,
    /// The report, as JSON.
    pub report: Option<Output>,
}

/// An agent that was started.
#[derive(Debug)]
pub struct Agent {
    /// Its process id.
    pub pid: i32,
    /// Refers to it even after its id is used again; readable once it has ended.
    pub process: OwnedFd,
    confirm: OwnedFd,
}

impl Agent {
    /// Tells it that the container's program has started: only then there will be results.
    pub fn confirm(&self) {
        // If it is gone, the container's calls fail, and whoever looks sees that.
        let _ = socket::send(self.confirm.as_fd(), b"k");
    }
}

/// `CAP_DAC_OVERRIDE`: results are written where they were asked for, whosever directory it is.
const DAC_OVERRIDE: u64 = 1 << 1;
/// `CAP_SYS_PTRACE`: to see the file of a program that is another user's.
const SYS_PTRACE: u64 = 1 << 19;

/// How long whoever makes a container may take to say that it runs, once nobody can make calls.
const PATIENCE: Duration = Duration::from_secs(1);

/// Starts an agent. Returns in the caller only.
///
/// # Errors
/// What clone3(2) says.
pub fn spawn(watcher: Watcher, results: Results) -> Result<Agent> {
    let (ours, theirs) = socket::pair()?;
    match clone::copy(Descriptors::Own)? {
        Copied::Original { pid, process } => Ok(Agent { pid, process, confirm: ours }),
        Copied::Copy => {
            drop(ours);
            let status = i32::from(run(watcher, &results, &theirs).is_err());
            process::end(status)
        }
    }
}

fn run(mut watcher: Watcher, results: &Results, confirm: &OwnedFd) -> Result<()> {
    process::set_name(c"casemate-watch");
    let told_to_end = let_go(&watcher, results, confirm)?;
    let mut confirmed = Confirmed::NotYet;
    loop {
        let mut others = vec![told_to_end.as_fd()];
        others.extend((confirmed == Confirmed::NotYet).then_some(confirm.as_fd()));
        let waited = watcher.wait(&others, None)?;
        if waited.ready.get(1) == Some(&true) {
            confirmed = hear(confirm);
        }
        if !waited.lives || waited.ready.first() == Some(&true) {
            break;
        }
    }
    if confirmed == Confirmed::NotYet {
        confirmed = await_word(confirm);
    }
    watcher.write_log();
    // What never became the program has nothing to teach; but whoever was killed before it
    // could say so does not make a program of hours nothing.
    let trace = watcher.trace();
    let permitted = trace.permitted();
    let did = permitted.iter().any(|(_, seen, _)| !seen.first.is_own())
        || trace.refused().keys().any(|key| !key.program.is_own());
    let ran = did || confirmed == Confirmed::Yes;
    if ran { write(&watcher, results) } else { Ok(()) }
}

/// Whether the container's program has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Confirmed {
    NotYet,
    Yes,
    Never,
}

fn hear(confirm: &OwnedFd) -> Confirmed {
    let mut byte = [0; 1];
    match socket::receive(confirm.as_fd(), &mut byte) {
        Ok(1) => Confirmed::Yes,
        Ok(_) | Err(_) => Confirmed::Never,
    }
}

/// A program that has ended at once may have been faster than the word that it started.
fn await_word(confirm: &OwnedFd) -> Confirmed {
    let timeout = rustix::event::Timespec::try_from(PATIENCE).ok();
    let mut events = [rustix::event::PollFd::new(confirm, rustix::event::PollFlags::IN)];
    match rustix::event::poll(&mut events, timeout.as_ref()) {
        Ok(ready) if ready > 0 => hear(confirm),
        Ok(_) | Err(_) => Confirmed::NotYet,
    }
}

fn write(watcher: &Watcher, results: &Results) -> Result<()> {
    let native = Abi::native().ok_or(Errno::EOPNOTSUPP)?;
    let mut written = true;
    if let Some(profile) = &results.profile {
        let text = generate(watcher.trace(), native).to_text();
        written &= profile.write(text.as_bytes()).is_ok();
    }
    if let Some(file) = &results.report {
        written &= file.write(&report(watcher.of(), watcher.trace()).to_json()).is_ok();
    }
    if written { Ok(()) } else { Err(Errno::EIO) }
}

/// Lets go of everything that this process does not need; returns what tells it to end.
fn let_go(watcher: &Watcher, results: &Results, confirm: &OwnedFd) -> Result<SignalFd> {
    process::new_session()?;

    rustix::process::chdir("/").map_err(errno)?;
    let nothing =
        rustix::fs::openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(errno)?;
    for number in 0..=2 {
        fd::install_at(&nothing, number)?;
    }
    // Before its number is closed below.
    drop(nothing);
    SigSet::all().thread_set_mask()?;
    let end: SigSet = [Signal::SIGTERM].into_iter().collect();
    let told_to_end = SignalFd::with_flags(&end, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let outputs = [&results.profile, &results.report];
    let kept = outputs.into_iter().flatten().map(Output::dir);
    let kept = kept.chain(watcher.descriptors());
    close_all_but(kept.chain([confirm.as_fd(), told_to_end.as_fd()]))?;
    let writes = if outputs.iter().any(|output| output.is_some()) { DAC_OVERRIDE } else { 0 };
    // Without root there are none to begin with.
    let keep = writes | SYS_PTRACE;
    let _ = caps::set(&caps::Sets { effective: keep, permitted: keep, inheritable: 0 });
    process::forbid_new_privileges()?;
    Ok(told_to_end)
}

fn close_all_but<'fd>(kept: impl Iterator<Item = BorrowedFd<'fd>>) -> Result<()> {
    let mut kept: Vec<u32> =
        kept.filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok()).filter(|n| *n > 2).collect();
    kept.sort_unstable();
    let mut from = 3;
    for number in kept {
        if number > from {
            fd::close_range(from, number - 1)?;
        }
        from = number.saturating_add(1).max(from);
    }
    fd::close_range(from, u32::MAX)
}

/// Waits until an agent has ended, so that its results are there; says whether it has. One that
/// does not end is first told to, then killed.
pub fn see_off(agent: BorrowedFd<'_>) -> bool {
    for (patience, signal) in [
        (Duration::from_secs(5), libc::SIGTERM),
        (Duration::from_secs(2), libc::SIGKILL),
        (Duration::from_secs(2), 0),
    ] {
        if has_ended(agent, Instant::now() + patience) {
            return true;
        }
        let _ = process::signal(agent, signal);
    }
    false
}

/// Waits until an agent whose container has ended has noted all it saw; says whether it has.
pub fn await_end(agent: BorrowedFd<'_>) -> bool {
    has_ended(agent, Instant::now() + Duration::from_secs(10))
}

fn has_ended(agent: BorrowedFd<'_>, deadline: Instant) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        let mut events = [PollFd::from_borrowed_fd(agent, PollFlags::IN)];
        match poll(&mut events, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) | Err(_) => return false,
            Ok(_) => return true,
        }
    }
}
