//! Hands a container's group over to the user that its program runs as.

use rustix::fs::{AtFlags, Uid, chownat};

use super::directory::Directory;
use super::{Cgroup, CgroupError};
use crate::sys::{Errno, errno};

/// The kernel's list of files that may be given away. Kernels before 4.15 have no list.
const LIST: &str = "/sys/kernel/cgroup";
/// What they would have in it. Reference: cgroups(7), "Delegation".
const BEFORE_THE_LIST: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

impl Cgroup {
    /// Gives the v2 group to a user of the host, who may then make groups below it: for a
    /// container that has a control group namespace and a writable mount of it. Limits stay
    /// the host's, for their files are not among those given.
    ///
    /// Spec: runtime-spec, config-linux.md, "Cgroup ownership".
    ///
    /// # Errors
    /// [`CgroupError::System`].
    pub fn delegate(&self, uid: u32) -> Result<(), CgroupError> {
        let what = || CgroupError::system("delegate", self.path.as_str());
        let list = Directory::open_root(std::path::Path::new(LIST));
        let list = match list.and_then(|directory| directory.read("delegate")) {
            Err(Errno::ENOENT) => BEFORE_THE_LIST.to_owned(),
            other => other.map_err(what())?,
        };
        let owner = Some(Uid::from_raw(uid));
        for file in std::iter::once("").chain(list.lines()) {
            let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
            match chownat(self.leaf.as_fd(), file, owner, None, flags).map_err(errno) {
                // The list is of all files that any kernel's configuration could have.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(error) => return Err(what()(error)),
            }
        }
        Ok(())
    }
}
