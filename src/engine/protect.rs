//! Keeps the runtime's own file out of reach of a container that shares our user ids.
//!
//! Until it execs, init *is* this program: `/proc/PID/exe` leads to our file, and a container
//! whose root is the host's root could write through it (CVE-2019-5736). With a user namespace
//! of its own it is nobody to that file. Without one, this program continues from a read-only
//! mount of it that only the kernel knows.

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags, StatVfsMountFlags};

use crate::plan::{Action, LaunchPlan};
use crate::sys::arguments::Arguments;
use crate::sys::execute::{self, StringArray};
use crate::sys::{Errno, Result, errno, fd, mount};

/// Continues from a read-only mount if `plan` makes no user namespace. Returns at once if there
/// is no need, or if that has happened already.
///
/// # Errors
/// The kernel's: then nothing must be started.
pub fn continue_read_only(plan: &LaunchPlan, preserve: u32) -> Result<()> {
    let own_ids = |action: &Action| {
        matches!(
            action,
            Action::WriteIdMaps { .. } | Action::CheckIdMaps { .. } | Action::JoinPod { .. }
        )
    };
    if plan.steps.iter().any(|step| own_ids(&step.action)) {
        return Ok(());
    }

    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let program = rustix::fs::open(c"/proc/self/exe", flags, Mode::empty()).map_err(errno)?;
    let place = rustix::fs::fstatvfs(&program).map_err(errno)?;
    if place.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let copy = mount::copy_tree(program.as_fd(), c"", false)?;
    mount::make_read_only(copy.as_fd(), false)?;
    let text = |text: &[u8]| std::ffi::CString::new(text).map_err(|_| Errno::EINVAL);
    let arguments =
        std::env::args_os().map(|one| text(one.as_bytes())).collect::<Result<Vec<_>>>()?;
    let environment = std::env::vars_os()
        .map(|(name, value)| text(&[name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect::<Result<Vec<_>>>()?;
    let arguments = StringArray::new(arguments.iter().map(AsRef::as_ref));
    let environment = StringArray::new(environment.iter().map(AsRef::as_ref));
    for number in std::env::args_os().filter_map(|word| descriptor_named(word.as_bytes())) {
        // Where nothing is open, whoever reads it will say so.
        let _ = fd::keep_across_exec(number);
    }
    for number in (3..).take(usize::try_from(preserve).unwrap_or(0)) {
        fd::keep_across_exec(number)?;
    }
    Err(execute::program_at(copy.as_fd(), &arguments, &environment))
}

/// Overwrites this process's arguments, which neighbours in a shared pid namespace could read:
/// they hold paths of the host.
///
/// # Errors
/// The kernel's; nothing was overwritten then.
pub(super) fn hide_arguments() -> Result<()> {
    Arguments::find()?.cover().stay();
    Ok(())
}

/// The descriptor that an argument such as `/dev/fd/63` names: a shell's `<(command)`.
fn descriptor_named(word: &[u8]) -> Option<i32> {
    let number =
        [&b"/dev/fd/"[..], b"/proc/self/fd/"].iter().find_map(|dir| word.strip_prefix(*dir));
    std::str::from_utf8(number?).ok()?.parse().ok().filter(|number| *number > 2)
}
