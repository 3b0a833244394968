//! Writes the device rules down in v1, too, where the host has its `devices` hierarchy.
//!
//! What holds is the program of v2 ([`super::ebpf`]): v1 cannot cut a hole into a wildcard. But
//! tools of such hosts read `devices.list`, and would take an untouched one for "everything". So
//! it gets the list of what is allowed: never less than the rules allow, for then something that
//! the bundle was given would be missing.

use rustix::fs::OFlags;

use super::directory::Directory;
use crate::plan::cgroup::{Access, DeviceKind, DeviceRule, DeviceRules};
use crate::sys::{Errno, Result, errno};

/// What a group says that nobody has limited.
const EVERYTHING: &str = "a *:* rwm";

/// Writes the rules to a group of the `devices` hierarchy that nothing limits yet. One that is
/// limited already, itself or from above, is left as it is: it could not be given back what this
/// takes away.
///
/// # Errors
/// What the kernel says; the group is without limits again then.
pub(super) fn write(group: &Directory, rules: &DeviceRules) -> Result<()> {
    let lines = lines(rules);
    if rules.default_allow || group.read("devices.list")?.trim() != EVERYTHING {
        return Ok(());
    }
    let open = |file| group.open_file(file, OFlags::WRONLY);
    let (allow, deny) = (open("devices.allow")?, open("devices.deny")?);
    let put = |to: &std::os::fd::OwnedFd, line: &str| {
        rustix::io::write(to, line.as_bytes()).map(drop).map_err(errno)
    };
    let written = put(&deny, "a").and_then(|()| {
        let mut lines = lines.iter();
        lines.try_for_each(|(allowed, line)| put(if *allowed { &allow } else { &deny }, line))
    });
    match written {
        // Groups below a group that was there: it cannot be limited any more.
        Err(Errno::EINVAL | Errno::EPERM) => put(&allow, "a"),
        other => other,
    }
}

/// The rules as lines for `devices.allow` (`true`) and `devices.deny`.
fn lines(rules: &DeviceRules) -> Vec<(bool, String)> {
    rules.rules.iter().flat_map(line).collect()
}

fn line(rule: &DeviceRule) -> impl Iterator<Item = (bool, String)> {
    let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
    let (major, minor) = (number(rule.major), number(rule.minor));
    let (allow, access) = (rule.allow, letters(rule.access));
    // The letter for both kinds means everything, whatever stands behind it.
    let kinds = match rule.kind {
        Some(DeviceKind::Block) => "b",
        Some(DeviceKind::Char) => "c",
        None => "bc",
    };
    kinds.chars().map(move |kind| (allow, format!("{kind} {major}:{minor} {access}")))
}

fn letters(access: Access) -> String {
    let all = [(access.read, 'r'), (access.write, 'w'), (access.mknod, 'm')];
    all.into_iter().filter_map(|(has, letter)| has.then_some(letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_for_both_kinds_is_two_lines() {
        let rule = DeviceRule {
            allow: true,
            kind: None,
            major: Some(10),
            minor: None,
            access: Access::OPEN,
        };
        let block = DeviceRule { allow: false, kind: Some(DeviceKind::Block), ..rule };

        let said = lines(&DeviceRules { default_allow: false, rules: vec![rule, block] });

        let wanted = [(true, "b 10:* rw"), (true, "c 10:* rw"), (false, "b 10:* rw")];
        assert_eq!(said, wanted.map(|(allow, line)| (allow, line.to_owned())));
    }
}
