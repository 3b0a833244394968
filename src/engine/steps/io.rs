//! Steps of init around its descriptors, its directory and its program. Nothing here allocates.

use std::os::fd::{AsFd, BorrowedFd};

use crate::engine::init::Init;
use crate::engine::prepare::InitPlan;
use crate::plan::text::Text;
use crate::sys::{Errno, Result, execute, fd, process, socket, terminal};

/// Occupies every number that init uses under a known meaning, so that nothing it opens in
/// passing lands there. What the supervisor had open at these numbers is not init's to use.
pub(in crate::engine) fn reserve_numbers(plan: &InitPlan<'_>) -> Result<()> {
    (plan.first_number()..plan.end_number())
        .filter_map(|number| i32::try_from(number).ok())
        .try_for_each(|number| fd::place_at(plan.socket, number))
}

/// Closes everything but standard input, output and error, what the caller preserves,
/// `listener`, which it returns under its new number, the user namespace that is joined after
/// `start`, and the procfs that labels are set in: a created container holds no descriptor that
/// it does not need.
pub(in crate::engine) fn keep_only<'any>(
    plan: &InitPlan<'_>,
    listener: BorrowedFd<'_>,
) -> Result<BorrowedFd<'any>> {
    fd::place_at(listener, plan.listener_number())?;
    fd::close_range(plan.first_number(), plan.first_number())?;
    let mut rest = plan.first_slot_number();
    if let Some(user) = plan.joined_late() {
        fd::place_at(user, plan.pod_number())?;
        rest = rest.saturating_add(1);
    }
    match plan.proc_number().and_then(|number| u32::try_from(number).ok()) {
        Some(kept) => {
            if rest < kept {
                fd::close_range(rest, kept.saturating_sub(1))?;
            }
            fd::close_range(kept.saturating_add(1), u32::MAX)?;
        }
        None => fd::close_range(rest, u32::MAX)?,
    }
    Ok(fd::borrowed(plan.listener_number()))
}

/// Starts a session; with a terminal, receives it, and makes it standard input, output and
/// error.
pub(in crate::engine) fn new_session(init: &Init<'_>, has_terminal: bool) -> Result<()> {
    // The caller may have made this process a group leader's child of its own; a session that
    // exists already is as good.
    match process::new_session() {
        Ok(()) | Err(Errno::EPERM) => {}
        Err(error) => return Err(error),
    }
    if !has_terminal {
        return Ok(());
    }
    let mut byte = [0; 1];
    let slave = socket::receive_fd(init.peer.socket(), &mut byte)?;
    terminal::make_controlling(slave.as_fd())?;
    for number in 0..=2 {
        fd::install_at(&slave, number)?;
    }
    Ok(())
}

/// Changes into the working directory with the capabilities of the container's root; says
/// whether that was possible.
pub(in crate::engine) fn approach_directory(to: &Text) -> bool {
    rustix::process::chdir(to.as_c_str()).is_ok()
}

/// Changes into the working directory and checks that the kernel can name it from the root:
/// a directory outside has no such name (CVE-2024-21626).
///
/// Where the user may not enter it, what `approach_directory` came to stands.
pub(in crate::engine) fn change_directory(to: &Text, approached: bool) -> Result<()> {
    match rustix::process::chdir(to.as_c_str()) {
        Ok(()) => {}
        Err(rustix::io::Errno::ACCESS) if approached => {}
        Err(error) => return Err(Errno::from_raw(error.raw_os_error())),
    }
    let mut buffer = [0_u8; 4096];
    match process::current_directory(&mut buffer)? {
        Some(b'/') => Ok(()),
        _ => Err(Errno::ENOENT),
    }
}

/// Finds the first candidate that this user may execute.
///
/// A candidate that exists but may not be executed is a better answer than the absence of a
/// later one.
pub(in crate::engine) fn find_program(init: &mut Init<'_>) -> Result<()> {
    let mut best = Errno::ENOENT;
    for (index, candidate) in init.plan.candidates.iter().enumerate() {
        match process::may_execute(candidate.as_c_str()) {
            Ok(()) => {
                init.program = Some(index);
                return Ok(());
            }
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(error) => best = error,
        }
    }
    Err(best)
}

/// Marks everything above the standard three and the preserved ones close-on-exec.
pub(in crate::engine) fn close_descriptors(preserve: u32) -> Result<()> {
    for number in (3..).take(usize::try_from(preserve).unwrap_or(0)) {
        match fd::keep_across_exec(number) {
            Ok(()) | Err(Errno::EBADF) => {}
            Err(error) => return Err(error),
        }
    }
    fd::cloexec_from(preserve.saturating_add(3))
}

/// Becomes the program. The only system call after the filter is loaded, but for a wait that the
/// filter allows.
pub(in crate::engine) fn execute(init: &Init<'_>) -> Result<()> {
    let index = init.program.unwrap_or(0);
    let Some(program) = init.plan.candidates.get(index) else { return Err(Errno::ENOENT) };
    Err(execute::program(program.as_c_str(), &init.plan.arguments, &init.plan.environment))
}
