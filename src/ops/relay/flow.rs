//! Bytes on their way from one descriptor to another, as many as fit into one buffer.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// What fits; a pipe or a terminal that can be written to at all takes that much.
const BUFFER_BYTES: usize = 4096;

/// What came of moving bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// Some were moved, or none can be moved now.
    Goes,
    /// There is nothing more on this side, or nobody.
    Ended,
}

/// One direction: what was read and is not written yet.
#[derive(Debug)]
pub(super) struct Flow {
    buffer: Box<[u8]>,
    held: std::ops::Range<usize>,
}

impl Flow {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES].into_boxed_slice(), held: 0..0 }
    }

    /// Whether there is nothing to write. Only then is more read.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The byte that would be written last.
    pub(super) fn last(&self) -> Option<u8> {
        self.buffer.get(self.held.clone()).and_then(<[u8]>::last).copied()
    }

    /// Takes what is there to be read. Terminals that nobody has open any more, and those that
    /// are not ours to read, have an end too.
    pub(super) fn fill(&mut self, from: BorrowedFd<'_>) -> Moved {
        match rustix::io::read(from, &mut *self.buffer) {
            Ok(0) => Moved::Ended,
            Ok(got) => {
                self.held = 0..got;
                Moved::Goes
            }
            Err(Errno::INTR | Errno::AGAIN) => Moved::Goes,
            Err(_) => Moved::Ended,
        }
    }

    /// Puts `bytes` in, which must fit.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if let Some(place) = self.buffer.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
            self.held = 0..bytes.len();
        }
    }

    /// Writes what is held, or as much of it as is taken now.
    pub(super) fn drain(&mut self, to: BorrowedFd<'_>) -> Moved {
        let bytes = self.buffer.get(self.held.clone()).unwrap_or_default();
        match rustix::io::write(to, bytes) {
            Ok(put) => {
                self.held.start = self.held.start.saturating_add(put);
                Moved::Goes
            }
            Err(Errno::INTR | Errno::AGAIN) => Moved::Goes,
            Err(_) => Moved::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_was_read_is_written_and_then_there_is_an_end() {
        let (mut into, from) = std::os::unix::net::UnixStream::pair().unwrap();
        let (to, mut out) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut flow = Flow::new();
        into.write_all(b"words").unwrap();
        drop(into);

        assert_eq!(flow.fill(from.as_fd()), Moved::Goes);
        assert_eq!(flow.last(), Some(b's'));
        assert_eq!(flow.drain(to.as_fd()), Moved::Goes);
        assert!(flow.is_empty());
        assert_eq!(flow.fill(from.as_fd()), Moved::Ended);

        drop(to);
        let mut said = String::new();
        out.read_to_string(&mut said).unwrap();
        assert_eq!(said, "words");
    }

    #[test]
    fn a_reader_that_is_gone_is_an_end() {
        let (to, out) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut flow = Flow::new();
        flow.put(b"\x04");
        drop(out);

        assert_eq!(flow.drain(to.as_fd()), Moved::Ended);
    }
}
