//! Whose credentials the outer ones are: those of root, or of a user who is root of a user
//! namespace only, as rootless engines make one.
//!
//! Reference: user_namespaces(7).

use rustix::fs::stat;

use super::boxes::read_map_of;
use crate::plan::facts::CallerFacts;
use crate::sys::{Result, errno};

/// `PROC_USER_INIT_INO` of `linux/proc_ns.h`, since Linux 6.18 `USER_NS_INIT_INO` of
/// `linux/nsfs.h`: the inode of the initial user namespace, fixed since Linux 3.8.
const INITIAL_USER_NAMESPACE: u64 = 0xefff_fffd;

/// Whether this process is in the initial user namespace. Not by the id map: a child of that may
/// map every id to itself.
///
/// # Errors
/// Without `/proc`.
pub fn is_initial_user_namespace() -> Result<bool> {
    stat(c"/proc/self/ns/user").map(|own| own.st_ino == INITIAL_USER_NAMESPACE).map_err(errno)
}

/// The user who calls as root of a user namespace; `None` for root of the host. Where root of the
/// namespace is root outside, what is made belongs to that: it counts as root of the host.
///
/// # Errors
/// Without `/proc`.
pub fn caller() -> Result<Option<CallerFacts>> {
    if is_initial_user_namespace()? {
        return Ok(None);
    }
    let (users, groups) = (read_map_of("self", "uid_map")?, read_map_of("self", "gid_map")?);
    let caller = CallerFacts { uids: users, gids: groups };
    Ok(Some(caller).filter(|caller| caller.uid() != Some(0)))
}

/// Whether the caller is such a user. Without `/proc`, nobody is.
#[must_use]
pub fn is_user() -> bool {
    caller().is_ok_and(|caller| caller.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::action::IdMapping;

    #[test]
    fn root_of_the_host_is_no_user_of_a_namespace() {
        let is_initial = is_initial_user_namespace().unwrap();

        assert!(caller().unwrap().is_none() || !is_initial);
        let line = |inside, outside| IdMapping { inside, outside, size: 1 };
        let uids = vec![line(1, 200_000), line(0, 1000)];
        assert_eq!(CallerFacts { uids, gids: Vec::new() }.uid(), Some(1000));
        assert_eq!(CallerFacts::default().uid(), None);
    }
}
