//! What this kernel is able to do, where tests need more than the oldest one has.

use std::ffi::CStr;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};

use casemate::sys::Errno;
use casemate::sys::flags::mount_attr;
use casemate::sys::mount::{Attributes, NewFilesystem, set_attributes};
use rustix::fs::{Mode, OFlags};

/// Whether this is Linux `major.minor` or later.
pub(crate) fn is_linux(major: u32, minor: u32) -> bool {
    let release = rustix::system::uname().release().to_str().unwrap().to_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    (next(), next()) >= (major, minor)
}

/// Whether overlays can be given their layers one by one: from Linux 6.7 on.
pub(crate) fn has_layers_one_by_one() -> bool {
    can_stack(&[(c"lowerdir+", c"/usr"), (c"lowerdir+", c"/etc")], (6, 7))
}

/// Whether overlays can have layers of data alone: from Linux 6.5 on.
pub(crate) fn has_layers_of_data() -> bool {
    can_stack(&[(c"lowerdir", c"/usr:/etc::/var"), (c"metacopy", c"on")], (6, 5))
}

/// Mounts an overlay nowhere. That `EINVAL` is for what is asked can be told from the version.
fn can_stack(options: &[(&CStr, &CStr)], since: (u32, u32)) -> bool {
    let overlay = NewFilesystem::open(c"overlay").unwrap();
    let set = options.iter().try_for_each(|(key, value)| overlay.set(key, value));
    can(set.and_then(|()| overlay.mount(mount_attr::RDONLY).map(drop)), since)
}

/// Whether ids can be translated on a tmpfs: from Linux 6.3 on.
pub(crate) fn has_translated_tmpfs() -> bool {
    let memory = NewFilesystem::open(c"tmpfs").unwrap().mount(0).unwrap();
    let other = other_user_namespace();
    let mapping = Some(other.as_fd());
    let change = Attributes { set: mount_attr::IDMAP, mapping, ..Attributes::default() };
    can(set_attributes(memory.as_fd(), false, &change), (6, 3))
}

fn can(made: Result<(), Errno>, since: (u32, u32)) -> bool {
    let is_refused = made == Err(Errno::EINVAL) && !is_linux(since.0, since.1);
    assert!(made.is_ok() || is_refused, "{made:?} on a kernel that is as new as {since:?}");
    made.is_ok()
}

fn other_user_namespace() -> OwnedFd {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut cat = command.spawn().unwrap();
    let (mut input, mut output) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
    // What comes back was read in the new namespace.
    input.write_all(b"?").unwrap();
    output.read_exact(&mut [0]).unwrap();
    let path = format!("/proc/{}/ns/user", cat.id());
    let namespace = rustix::fs::open(path, OFlags::RDONLY, Mode::empty()).unwrap();
    drop(input);
    cat.wait().unwrap();
    namespace
}
