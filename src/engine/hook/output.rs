//! What a hook says: the end of it, for the error. It is read as it comes, so that a hook that
//! says much is not held up, and never waited for, since a hook may leave others behind that
//! hold it open.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::PipeFlags;

use crate::sys::Result;
use crate::sys::errno;

/// How much of it is kept.
const KEPT_BYTES: usize = 1024;

/// The reading end, and what was said last.
#[derive(Debug)]
pub(in crate::engine) struct Output {
    pipe: Option<OwnedFd>,
    kept: Vec<u8>,
}

impl Output {
    /// A pipe: this end, and the one for the hook.
    pub(super) fn new() -> Result<(Self, OwnedFd)> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(errno)?;
        Ok((Self::of(read)?, write))
    }

    /// The reading end of a pipe that another process made.
    pub(in crate::engine) fn of(read: OwnedFd) -> Result<Self> {
        rustix::io::ioctl_fionbio(&read, true).map_err(errno)?;
        Ok(Self { pipe: Some(read), kept: Vec::new() })
    }

    /// What to wait at for more; nothing once all was said.
    pub(in crate::engine) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Takes what is there.
    pub(in crate::engine) fn take(&mut self) {
        let mut buffer = [0_u8; 4096];
        while let Some(pipe) = &self.pipe {
            match rustix::io::read(pipe, &mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(got) => self.keep(buffer.get(..got).unwrap_or_default()),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => self.pipe = None,
            }
        }
    }

    fn keep(&mut self, more: &[u8]) {
        self.kept.extend_from_slice(more);
        let surplus = self.kept.len().saturating_sub(KEPT_BYTES);
        self.kept.drain(..surplus);
    }

    /// It, in one line.
    pub(in crate::engine) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_who_still_holds_it_open_is_not_waited_for() {
        let (mut output, write) = Output::new().unwrap();

        rustix::io::write(&write, &[b'x'; 4000]).unwrap();
        rustix::io::write(&write, b"\n  one\n\n two\n").unwrap();
        output.take();

        let text = output.text();
        assert!(text.len() <= KEPT_BYTES && text.ends_with("x; one; two"), "{text}");
        assert!(output.as_fd().is_some());
        drop(write);
        output.take();
        assert!(output.as_fd().is_none());
    }
}
