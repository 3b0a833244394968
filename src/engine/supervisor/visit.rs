//! Work in namespaces from which no way leads back.
//!
//! Root of a user namespace may enter what belongs to that, but not return to what belongs to the
//! host. So a copy of the supervisor goes, and leaves what it made in the descriptors that both
//! share.

use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};

use super::Supervisor;
use crate::engine::cause::Cause;
use crate::engine::wire;
use crate::plan::Namespace;
use crate::sys::clone::{self, Copied, Descriptors};
use crate::sys::{Errno, errno, fd, ns, process};

/// Longer than any cause, in bytes: less than a pipe holds.
const WORDS_MAX: usize = 3072;

impl Supervisor<'_> {
    /// Has `work` done in the network and IPC namespaces of init, and gives what it made.
    pub(super) fn visit(
        &self,
        work: impl FnOnce(&Self) -> Result<Option<OwnedFd>, Cause>,
    ) -> Result<Option<OwnedFd>, Cause> {
        let kinds = Namespace::Network.flag() | Namespace::Ipc.flag();
        let (ours, theirs) = rustix::pipe::pipe_with(
            rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK,
        )
        .map_err(errno)?;
        match clone::copy(Descriptors::Shared)? {
            Copied::Copy => {
                let target = self.child().map(|child| child.process.as_fd());
                let entered = target.and_then(|init| ns::enter(init, kinds));
                let done = entered.map_err(Cause::from).and_then(|()| work(self));
                let told = tell(theirs.as_fd(), done);
                process::end(i32::from(told.is_err()))
            }
            Copied::Original { pid, .. } => {
                process::wait_for(pid)?;
                hear(ours.as_fd())
            }
        }
    }
}

/// Leaves the descriptor open: it is the supervisor's.
fn tell(to: BorrowedFd<'_>, done: Result<Option<OwnedFd>, Cause>) -> rustix::io::Result<()> {
    let (made, errno, words): (i32, i32, String) = match done {
        Ok(made) => (made.map_or(-1, IntoRawFd::into_raw_fd), 0, String::new()),
        Err(Cause { errno, detail }) => {
            (-2, errno.map_or(0, wire::raw_errno), detail.unwrap_or_default())
        }
    };
    let mut message = [made.to_ne_bytes(), errno.to_ne_bytes()].concat();
    message.extend(words.bytes().take(WORDS_MAX));
    rustix::io::write(to, &message).map(drop)
}

fn hear(from: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Cause> {
    let silent = || Cause::with_detail(Errno::ECHILD, "a copy of this process was killed".into());
    let mut message = [0; WORDS_MAX + 8];
    let length = rustix::io::read(from, &mut message).map_err(|_| silent())?;
    let (numbers, words) =
        message.get(..length).and_then(|all| all.split_at_checked(8)).ok_or_else(silent)?;
    let number = |at: usize| {
        let bytes = numbers.get(at..at.saturating_add(4)).and_then(|four| four.try_into().ok());
        bytes.map(i32::from_ne_bytes).ok_or_else(silent)
    };
    match (number(0)?, number(4)?) {
        (-1, _) => Ok(None),
        (-2, code) => {
            let words = String::from_utf8_lossy(words).into_owned();
            let errno = Some(code).filter(|code| *code != 0).map(Errno::from_raw);
            Err(Cause { errno, detail: Some(words).filter(|words| !words.is_empty()) })
        }
        (made, _) => {
            let taken = fd::inherited(made)?;
            let made = u32::try_from(made).map_err(|_| silent())?;
            fd::close_range(made, made)?;
            Ok(Some(taken))
        }
    }
}
