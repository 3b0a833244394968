//! Walks what is below a control group.
//!
//! A workload that may make groups may make them as deep as it likes: neither the stack nor the
//! descriptors of this process grow with the depth, only a list of names.

use super::directory::Directory;
use crate::sys::{Errno, Result};

/// One level of the way down: how it is called, and what is left to see there.
struct Level {
    name: String,
    left: Vec<String>,
}

/// Visits a group and every group below it: `enter` on the way down, with the path from the first
/// one; `leave` on the way up, with the group above and the name. What vanishes meanwhile is
/// passed over.
pub(super) fn walk(
    group: &Directory,
    enter: &mut dyn FnMut(&Directory, &str) -> Result<()>,
    leave: &mut dyn FnMut(&Directory, &str) -> Result<()>,
) -> Result<()> {
    enter(group, "")?;
    let mut path = String::new();
    let mut here = group.open("")?;
    let mut way = vec![Level { name: String::new(), left: children(group)? }];
    while let Some(level) = way.last_mut() {
        if let Some(name) = level.left.pop() {
            match here.open(&name) {
                Err(Errno::ENOENT | Errno::ENODEV) => {}
                Err(error) => return Err(error),
                Ok(below) => {
                    path.push('/');
                    path.push_str(&name);
                    enter(&below, &path)?;
                    way.push(Level { name, left: children(&below)? });
                    here = below;
                }
            }
            continue;
        }
        let Some(done) = way.pop() else { break };
        if !way.is_empty() {
            here = here.above()?;
            path.truncate(path.len().saturating_sub(done.name.len().saturating_add(1)));
            leave(&here, &done.name)?;
        }
    }
    Ok(())
}

fn children(group: &Directory) -> Result<Vec<String>> {
    match group.children() {
        Err(Errno::ENOENT | Errno::ENODEV) => Ok(Vec::new()),
        other => other,
    }
}
