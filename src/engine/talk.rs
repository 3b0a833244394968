//! The conversation with an init that goes on: what it says, and what the image's hooks say
//! meanwhile, which would be held up if nobody took it.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags};

use super::LaunchError;
use super::hook::Output;
use super::wire::{self, Message};
use crate::plan::LaunchPlan;
use crate::sys::{Errno, Result};

/// One conversation.
#[derive(Debug)]
pub(super) struct Talk<'fd> {
    socket: BorrowedFd<'fd>,
    /// What the hook that was begun last says.
    hook_output: Option<Output>,
}

impl<'fd> Talk<'fd> {
    /// A conversation over this socket.
    pub(super) fn new(socket: BorrowedFd<'fd>) -> Self {
        Self { socket, hook_output: None }
    }

    /// Waits for the next message.
    pub(super) fn hear(&mut self) -> Result<Message> {
        loop {
            self.take_until_it_speaks()?;
            let (message, passed) = wire::hear_with_output(self.socket)?;
            if message != Message::Output {
                return Ok(message);
            }
            self.hook_output = passed.map(Output::of).transpose()?;
        }
    }

    fn take_until_it_speaks(&mut self) -> Result<()> {
        while let Some(output) = &mut self.hook_output {
            let Some(pipe) = output.as_fd() else { return Ok(()) };
            let mut events = [
                PollFd::from_borrowed_fd(self.socket, PollFlags::IN),
                PollFd::from_borrowed_fd(pipe, PollFlags::IN),
            ];
            match rustix::event::poll(&mut events, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(Errno::from_raw(error.raw_os_error())),
            }
            let [speaks, _] = events.map(|event| !event.revents().is_empty());
            output.take();
            if speaks {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The failure that `message` is, if it is one.
    pub(super) fn failure(&mut self, plan: &LaunchPlan, message: Message) -> Option<LaunchError> {
        let said = self.hook_output.as_mut().map_or_else(String::new, |output| {
            output.take();
            output.text()
        });
        match message {
            Message::Failed(failure) => Some(LaunchError::reported(plan, failure, &said)),
            Message::HookEnded(step, ended) => {
                Some(LaunchError::hook_ended(plan, step, ended, &said))
            }
            Message::Opened(_) | Message::Output | Message::Gone => None,
        }
    }
}
