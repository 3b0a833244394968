//! Runs a command of the host's under a watched filter, as any user: no container is made, and
//! no privilege is needed but that of giving privileges up.
//!
//! The new process shares its descriptors with this one until it becomes the command. So its
//! listener is ours as soon as it exists, and nobody needs the right to trace anybody.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::watcher::Watcher;
use crate::seccomp::Program as Filter;
use crate::sys::clone::{self, Copied, Descriptors};
use crate::sys::execute::{self, StringArray};
use crate::sys::process::{self, Ended};
use crate::sys::{Errno, fd, seccomp, socket};

/// Why a command was not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// A program of that name is not there, or may not be executed.
    #[error("execute `{name}`: {errno:?}")]
    Execute {
        /// As it was given.
        name: String,
        /// The kernel's number.
        errno: Errno,
    },
    /// The filter was not loaded.
    #[error("load the filter: {0:?}")]
    Filter(Errno),
    /// Something else failed.
    #[error("{what}: {errno:?}")]
    Io {
        /// What.
        what: &'static str,
        /// The kernel's number.
        errno: Errno,
    },
}

fn failed(what: &'static str) -> impl Fn(Errno) -> CommandError {
    move |errno| CommandError::Io { what, errno }
}

/// A command, and the filter it runs under.
#[derive(Debug)]
pub struct Command<'a> {
    /// The program, as it is looked for, and its arguments.
    pub arguments: &'a [CString],
    /// Its filter, which asks for a listener.
    pub filter: &'a Filter,
    /// How many descriptors from 3 on it inherits.
    pub preserve: u32,
}

/// Runs a command under its filter, whose listener `watcher` gets; returns when everything that was started has ended, or when a signal came and the
/// command itself has.
///
/// # Errors
/// [`CommandError`]. The command has not run.
pub fn run(command: &Command<'_>, watcher: &mut Watcher) -> Result<Ended, CommandError> {
    let Command { arguments, filter, preserve } = *command;
    let name = arguments.first().map(CString::as_c_str).unwrap_or_default();
    let program = find(name)?;
    let environment = environment();
    let start = Start {
        program: &program,
        arguments: StringArray::new(arguments.iter().map(AsRef::as_ref)),
        environment: StringArray::new(environment.iter().map(AsRef::as_ref)),
        filter: filter.instructions.iter().map(instruction).collect(),
        flags: filter.flags,
        preserve,
        signals: SigSet::thread_get_mask().map_err(failed("read the signal mask"))?,
    };
    let signals = take_signals().map_err(failed("take signals"))?;
    let (ours, theirs) = socket::pair().map_err(failed("make a socket"))?;
    let copied = clone::copy(Descriptors::Shared).map_err(failed("start a process"))?;
    let Copied::Original { pid, process } = copied else { start.become_it(&theirs) };
    match hear(&ours).map_err(failed("talk to the new process"))? {
        Word::Listener(number) => {
            watcher.add(fd::inherited(number).map_err(failed("take the listener"))?);
        }
        Word::NoFilter(errno) => {
            let _ = process::wait_for(pid);
            return Err(CommandError::Filter(errno));
        }
        Word::NoProgram(errno) => return Err(execute_failed(name, errno)),
    }
    let ended = attend(watcher, &ours, pid, process.as_fd(), &signals)?;
    ended.map_err(|errno| execute_failed(name, errno))
}

fn execute_failed(name: &CStr, errno: Errno) -> CommandError {
    CommandError::Execute { name: name.to_string_lossy().into_owned(), errno }
}

fn instruction(from: &crate::seccomp::Instruction) -> seccomp::Instruction {
    seccomp::Instruction { code: from.code, jt: from.jt, jf: from.jf, k: from.k }
}

/// All that the new process needs.
struct Start<'a> {
    program: &'a CStr,
    arguments: StringArray<'a>,
    environment: StringArray<'a>,
    filter: Vec<seccomp::Instruction>,
    flags: u32,
    preserve: u32,
    /// As this process had them from its caller.
    signals: SigSet,
}

impl Start<'_> {
    /// In the new process. After the filter only write(2) and execve(2): the first is let through,
    /// and the second waits until it is answered.
    fn become_it(&self, socket: &OwnedFd) -> ! {
        let _ = self.signals.thread_set_mask();
        for number in (3..).take(usize::try_from(self.preserve).unwrap_or(0)) {
            let _ = fd::keep_across_exec(number);
        }
        let loaded = process::forbid_new_privileges()
            .and_then(|()| seccomp::install(&self.filter, self.flags));
        match loaded {
            Ok(number) => say(socket, LISTENER, number),
            Err(errno) => {
                say(socket, NO_FILTER, number_of(errno));
                process::end(1)
            }
        }
        let errno = execute::program(self.program, &self.arguments, &self.environment);
        say(socket, NO_PROGRAM, number_of(errno));
        process::end(127)
    }
}

const LISTENER: i32 = 1;
const NO_FILTER: i32 = 2;
const NO_PROGRAM: i32 = 3;

/// What the new process says.
enum Word {
    /// Its filter's listener is this descriptor.
    Listener(i32),
    NoFilter(Errno),
    NoProgram(Errno),
}

#[expect(clippy::as_conversions, reason = "a field-less enum has no other way to its number")]
fn number_of(errno: Errno) -> i32 {
    errno as i32
}

fn say(socket: &OwnedFd, what: i32, number: i32) {
    let [a, b, c, d] = what.to_ne_bytes();
    let [e, f, g, h] = number.to_ne_bytes();
    let _ = rustix::io::write(socket, &[a, b, c, d, e, f, g, h]);
}

fn hear(socket: &OwnedFd) -> Result<Word, Errno> {
    let mut message = [0; 8];
    if socket::receive(socket.as_fd(), &mut message)? != message.len() {
        return Err(Errno::EPROTO);
    }
    let [a, b, c, d, e, f, g, h] = message;
    let number = i32::from_ne_bytes([e, f, g, h]);
    match i32::from_ne_bytes([a, b, c, d]) {
        LISTENER => Ok(Word::Listener(number)),
        NO_FILTER => Ok(Word::NoFilter(Errno::from_raw(number))),
        NO_PROGRAM => Ok(Word::NoProgram(Errno::from_raw(number))),
        _ => Err(Errno::EPROTO),
    }
}

/// Answers until all have ended.
fn attend(
    watcher: &mut Watcher,
    socket: &OwnedFd,
    pid: i32,
    process: BorrowedFd<'_>,
    signals: &SignalFd,
) -> Result<Result<Ended, Errno>, CommandError> {
    let mut ended = None;
    loop {
        let mut others = vec![signals.as_fd(), socket.as_fd()];
        others.extend(ended.is_none().then_some(process));
        let waited = watcher.wait(&others, None).map_err(failed("wait"))?;
        if waited.ready.get(1) == Some(&true)
            && let Ok(Word::NoProgram(errno)) = hear(socket)
        {
            let _ = process::wait_for(pid);
            return Ok(Err(errno));
        }
        if waited.ready.get(2) == Some(&true) {
            ended = Some(process::wait_for(pid).map_err(failed("wait for the command"))?);
        }
        let signalled = waited.ready.first() == Some(&true) && forward(signals, process);
        match ended {
            Some(ended) if !waited.lives || signalled => return Ok(Ok(ended)),
            Some(_) | None => {}
        }
    }
}

/// Signals that end a process, unless it is asked not to.
const PASSED_ON: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP];

fn take_signals() -> Result<SignalFd, Errno> {
    let held: SigSet = PASSED_ON.into_iter().collect();
    held.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    SignalFd::with_flags(&held, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Passes signals on; says whether there were any. What a terminal sends reaches the command
/// without us.
fn forward(signals: &SignalFd, process: BorrowedFd<'_>) -> bool {
    let mut any = false;
    while let Ok(Some(signal)) = signals.read_signal() {
        any = true;
        let Ok(number) = i32::try_from(signal.ssi_signo) else { continue };
        if signal.ssi_code != libc::SI_KERNEL {
            let _ = process::signal(process, number);
        }
    }
    any
}

fn environment() -> Vec<CString> {
    let pair = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        CString::new([name.into_vec(), vec![b'='], value.into_vec()].concat()).ok()
    };
    std::env::vars_os().filter_map(pair).collect()
}

/// The file of a program, as execvp(3) would find it.
fn find(name: &CStr) -> Result<CString, CommandError> {
    if name.to_bytes().contains(&b'/') {
        return Ok(name.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut best = Errno::ENOENT;
    for dir in std::env::split_paths(&path) {
        let file = dir.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
        let Ok(file) = CString::new(file.into_os_string().into_vec()) else { continue };
        match process::may_execute(&file) {
            Ok(()) => return Ok(file),
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(error) => best = error,
        }
    }
    Err(execute_failed(name, best))
}
