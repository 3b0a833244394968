//! `linux.resources.unified`: files of cgroup v2 by name.

use std::collections::HashMap;

use super::{CORE, Conversion, IfAbsent, Write};

const AT: &str = "/linux/resources/unified";

/// Files of the core that limit something. The others move, freeze or kill processes, or
/// change who is a domain: those are the runtime's own business.
const CORE_LIMITS: [&str; 3] = ["cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure"];

/// Sorted by key, so that the same bundle always gives the same plan.
pub(super) fn convert(keys: &HashMap<String, String>, out: &mut Conversion) {
    let mut keys: Vec<_> = keys.iter().collect();
    keys.sort();
    for (key, value) in keys {
        let pointer = format!("{AT}/{}", key.replace('~', "~0").replace('/', "~1"));
        match controller(key) {
            Err(why) => out.refuse(pointer, why),
            Ok(controller) => {
                // The kernel reads one line per write.
                for line in value.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    let write = Write {
                        controller: controller.to_owned().into(),
                        file: key.clone().into(),
                        value: line.to_owned(),
                        if_absent: IfAbsent::Fail,
                    };
                    out.set(pointer.as_str(), Some(write), None);
                }
                if value.trim().is_empty() {
                    out.refuse(pointer, "has an empty value");
                }
            }
        }
    }
}

/// The controller that a file belongs to, or what is wrong with the name.
fn controller(key: &str) -> Result<&str, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !key.chars().all(plain) {
        return Err("is not the name of a file in a control group".to_owned());
    }
    match key.split_once('.') {
        None => Err("is not of the form controller.file".to_owned()),
        Some(("", _) | (_, "")) => Err("is not of the form controller.file".to_owned()),
        Some((CORE, _)) if !CORE_LIMITS.contains(&key) => {
            Err("is no limit: the runtime itself governs this file".to_owned())
        }
        Some((controller, _)) => Ok(controller),
    }
}
