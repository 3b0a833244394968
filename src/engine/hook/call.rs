//! One call of a hook: all that its process needs, made ready before it exists. From the clone on
//! nothing is allocated.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{MemfdFlags, Mode, OFlags, SeekFrom};
use rustix::pipe::PipeFlags;

use super::directory;
use crate::engine::wire;
use crate::plan::Namespace;
use crate::plan::hooks::Hook;
use crate::plan::text::Text;
use crate::sys::execute::{self, StringArray};
use crate::sys::{Errno, Result, errno, fd, ns, process};

/// Where a hook is run.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) enum Place<'a> {
    /// In the namespaces of this process.
    Host {
        /// The bundle, where it stands.
        bundle: &'a Path,
    },
    /// In those of the container, but with the credentials of this process.
    Container {
        /// Init.
        init: BorrowedFd<'a>,
        /// The root file system, where it stands.
        root: BorrowedFd<'a>,
    },
}

/// A hook's process to be.
#[derive(Debug)]
pub(in crate::engine) struct Call<'a> {
    path: &'a CStr,
    arguments: StringArray<'a>,
    environment: StringArray<'a>,
    input: OwnedFd,
    /// What `path` is on the host: it must be the same inside.
    program: Option<Identity>,
    directory: Option<OwnedFd>,
    place: Place<'a>,
}

/// A file, by device and inode.
type Identity = (u64, u64);

impl<'a> Call<'a> {
    /// Makes a call ready.
    pub(super) fn new(
        hook: &'a Hook,
        inherited: &'a [CString],
        state: &[u8],
        place: Place<'a>,
    ) -> Result<Self> {
        let path = hook.path.as_c_str();
        let (program, directory) = match place {
            Place::Host { bundle } => (None, Some(open_directory(directory(bundle))?)),
            Place::Container { .. } => (Some(identity(path)?), None),
        };
        let environment = match &hook.environment {
            Some(given) => StringArray::new(given.iter().map(Text::as_c_str)),
            None => StringArray::new(inherited.iter().map(AsRef::as_ref)),
        };
        let arguments = StringArray::new(hook.arguments.iter().map(Text::as_c_str));
        let input = document(&[state])?;
        Ok(Self { path, arguments, environment, input, program, directory, place })
    }

    /// In the new process: becomes the hook, or says why not. Must not allocate.
    pub(in crate::engine) fn become_hook(
        &self,
        output: BorrowedFd<'_>,
        report: BorrowedFd<'_>,
    ) -> ! {
        let error = match self.prepare(output) {
            Ok(()) => execute::program(self.path, &self.arguments, &self.environment),
            Err(error) => error,
        };
        let _ = rustix::io::write(report, &wire::raw_errno(error).to_ne_bytes());
        process::end(127)
    }

    fn prepare(&self, output: BorrowedFd<'_>) -> Result<()> {
        stand_alone(self.input.as_fd(), output)?;
        process::set_umask(0o022);
        match self.place {
            Place::Host { .. } => {}
            Place::Container { init, .. } => ns::enter(init, entered())?,
        }
        let directory = match self.place {
            Place::Host { .. } => self.directory.as_ref().map(AsFd::as_fd).ok_or(Errno::EBADF)?,
            Place::Container { root, .. } => root,
        };
        rustix::process::fchdir(directory).map_err(errno)?;
        if let Some(known) = self.program
            && identity(self.path)? != known
        {
            return Err(Errno::ESTALE);
        }
        process::reset_signals()?;
        fd::cloexec_from(3)
    }
}

/// The namespaces of the container that a hook of the host enters. Not the user namespace: it
/// keeps its credentials. Its pid namespace is for children only, and this process's to choose.
fn entered() -> i32 {
    let kinds =
        [Namespace::Mount, Namespace::Network, Namespace::Ipc, Namespace::Uts, Namespace::Cgroup];
    kinds.into_iter().fold(0, |flags, kind| flags | kind.flag())
}

/// A session of its own, and standard input, output and error. Allocates nothing.
pub(super) fn stand_alone(input: BorrowedFd<'_>, output: BorrowedFd<'_>) -> Result<()> {
    let _ = process::new_session();
    fd::install_at(input, 0)?;
    fd::install_at(output, 1)?;
    fd::install_at(output, 2)
}

/// A file in memory that holds these pieces, to be read from its beginning. Allocates nothing.
pub(super) fn document(pieces: &[&[u8]]) -> Result<OwnedFd> {
    let file = rustix::fs::memfd_create(c"state", MemfdFlags::CLOEXEC).map_err(errno)?;
    for piece in pieces {
        let mut left = *piece;
        while !left.is_empty() {
            let written = rustix::io::write(&file, left).map_err(errno)?;
            left = left.get(written..).unwrap_or_default();
        }
    }
    rustix::fs::seek(&file, SeekFrom::Start(0)).map_err(errno)?;
    Ok(file)
}

/// What a hook that names no environment gets: this process's own.
pub(super) fn inherited_environment(hook: &Hook) -> Result<Vec<CString>> {
    if hook.environment.is_some() {
        return Ok(Vec::new());
    }
    std::env::vars_os()
        .map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| Errno::EINVAL)
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(errno)
}

fn identity(path: &CStr) -> Result<Identity> {
    rustix::fs::stat(path).map(|stat| (stat.st_dev, stat.st_ino)).map_err(errno)
}

/// A pipe for the number of an error; it ends without one when the hook runs.
pub(super) fn report() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(errno)
}

/// Waits until the hook runs, or gives why it does not.
pub(super) fn heard(report: OwnedFd) -> Option<Errno> {
    let mut number = [0; 4];
    loop {
        match rustix::io::read(&report, &mut number) {
            Ok(4) => return Some(Errno::from_raw(i32::from_ne_bytes(number))),
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

/// Kills a hook and all that it has started in its session's first process group.
pub(super) fn kill(child: BorrowedFd<'_>, pid: i32) {
    process::kill_group(pid);
    let _ = process::signal(child, libc::SIGKILL);
}
