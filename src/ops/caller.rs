//! Who calls: containers are made by root of the host alone, in this version.

use std::fs;

use super::{OpsError, Result};

/// Refuses a caller that could not make a container, before something else is blamed.
///
/// # Errors
/// Without root, or as root of a user namespace that is not root outside.
pub(super) fn check(doing: &str) -> Result<()> {
    let user = rustix::process::geteuid();
    if !user.is_root() {
        let message = format!("it is called by the user {}, and needs root", user.as_raw());
        return Err(OpsError::failed(doing, message).hint(HINT));
    }
    // Where it cannot be read there is no /proc, which the probe of the kernel says better.
    match fs::read_to_string("/proc/self/uid_map").ok().and_then(|map| root_outside(&map)) {
        Some(outside) if outside != 0 => {
            let message = format!(
                "it is called in a user namespace whose root is the user {outside} outside; ids and \
                 mounts that would keep the container's root from being that user are root's to give"
            );
            Err(OpsError::failed(doing, message).hint(HINT))
        }
        _ => Ok(()),
    }
}

const HINT: &str = "call the engine as root, as in `sudo podman`; without root, use another runtime \
                    (`podman --runtime crun`)";

/// The host's id of root, from the text of a map.
fn root_outside(map: &str) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (inside, outside) = (words.next()?, words.next()?);
        (inside == "0").then(|| outside.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::root_outside;

    #[test]
    fn the_line_of_root_is_the_one_that_counts() {
        for (map, outside) in [
            ("         0          0 4294967295\n", Some(0)),
            ("0 1000 1\n1 200000 65536\n", Some(1000)),
            ("1 200000 65536\n0 1000 1\n", Some(1000)),
            ("1 200000 65536\n", None),
            ("", None),
        ] {
            assert_eq!(root_outside(map), outside, "{map}");
        }
    }
}
