//! The image's own hooks. They are what the image says they are, so each runs in a process that
//! takes the same last steps as the program: the container's ids, limits, capabilities and filter.
//! Nothing here allocates.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pipe::PipeFlags;

use super::call;
use crate::engine::init::{self, Init};
use crate::engine::prepare::InnerHook;
use crate::engine::spawn;
use crate::engine::steps::io;
use crate::engine::wire::{self, Failure};
use crate::plan::{Action, StepId};
use crate::sys::process::{self, Ended};
use crate::sys::{Errno, Result, errno, execute, seccomp};

/// Runs the hook of step `id`, and waits for its end. One that fails is the end of init.
pub(in crate::engine) fn run(init: &mut Init<'_>, id: StepId) -> Result<()> {
    let plan = init.plan;
    let hook = plan.hooks.iter().find(|hook| hook.id == id).ok_or(Errno::EBADF)?;
    let (head, tail) = &plan.hook_state;
    let mut digits = [0; 10];
    let own_id = decimal(std::process::id(), &mut digits);
    let input = call::document(&[head, own_id, tail])?;
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(errno)?;
    wire::pass_output(init.peer.socket(), read.as_fd())?;
    drop(read);
    let (pid, child) = spawn::inner_hook(init, hook, input.as_fd(), write.as_fd())?;
    drop((input, write));
    match attend(child, pid, hook.timeout_sec)? {
        Some(Ended::Exited(0)) => Ok(()),
        Some(ended) => {
            wire::say_ended(init.peer.socket(), id, ended);
            process::end(1)
        }
        None => Err(Errno::ETIMEDOUT),
    }
}

/// Waits for the end of a hook, and kills it once its time is over: `None` then.
fn attend(child: OwnedFd, pid: i32, timeout_sec: Option<u32>) -> Result<Option<Ended>> {
    let patience = timeout_sec.map(|seconds| Timespec { tv_sec: seconds.into(), tv_nsec: 0 });
    loop {
        let mut events = [PollFd::from_borrowed_fd(child.as_fd(), PollFlags::IN)];
        match rustix::event::poll(&mut events, patience.as_ref()) {
            Ok(0) => {
                call::kill(child.as_fd(), pid);
                process::wait_for(pid)?;
                return Ok(None);
            }
            Ok(_) => return process::wait_for(pid).map(Some),
            // All signals are held until the last steps.
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(errno(error)),
        }
    }
}

/// In the new process: takes the steps that init has before it, and becomes the hook instead of
/// the program.
pub(in crate::engine) fn become_hook(
    init: &mut Init<'_>,
    hook: &InnerHook<'_>,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
) -> ! {
    if let Err(errno) = call::stand_alone(input, output) {
        wire::fail(init.peer.socket(), Failure { step: hook.id, errno });
    }
    let plan = init.plan;
    let left = plan.steps.iter().skip_while(|(id, _)| *id <= hook.id);
    for (id, action) in left {
        // Gates are between init and its starter.
        let of_init = matches!(
            action,
            Action::RunHook(_) | Action::Execute | Action::Open { .. } | Action::Await { .. }
        );
        if of_init {
            continue;
        }
        let (step, done) = if **action == Action::FindProgram {
            // Its name is no word to be looked up, but its absence is known before the filter.
            (hook.id, process::may_execute(hook.path))
        } else if **action == Action::CloseDescriptors {
            (*id, io::close_descriptors(0))
        } else if matches!(action, Action::LoadFilter { .. }) {
            // Without a listener: it would be this process's own, which cannot answer itself. What
            // the filter would ask about, the kernel then refuses.
            let flags = seccomp::without_listener(plan.filter_flags);
            (*id, seccomp::install(&plan.hook_filter, flags).map(drop))
        } else {
            (*id, init::take(init, *id, action))
        };
        if let Err(errno) = done {
            wire::fail(init.peer.socket(), Failure { step, errno });
        }
    }
    let errno = execute::program(hook.path, &hook.arguments, hook.environment(plan));
    wire::fail(init.peer.socket(), Failure { step: hook.id, errno })
}

/// A number as decimal digits, at the end of `buffer`.
fn decimal(mut number: u32, buffer: &mut [u8; 10]) -> &[u8] {
    let mut at = buffer.len();
    for place in buffer.iter_mut().rev() {
        let digit = u8::try_from(number % 10).unwrap_or(0);
        *place = b'0'.saturating_add(digit);
        number /= 10;
        at = at.saturating_sub(1);
        if number == 0 {
            break;
        }
    }
    buffer.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_without_allocating() {
        for number in [0, 1, 9, 10, 4_194_304, u32::MAX] {
            assert_eq!(decimal(number, &mut [0; 10]), number.to_string().as_bytes());
        }
    }
}
