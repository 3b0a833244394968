//! A trace to a profile. Pure.
//!
//! The profile permits the core set and what was seen, with the arguments that matter; where a
//! call was refused so that programs fall back on another, it is refused in the same way. Each
//! rule has a comment that says why it is there.

use std::fmt::Write;

use serde::Serialize;

use super::narrow::{Class, Part};
use super::trace::{Breadth, Key, Permitted, Trace};
use crate::seccomp::{Abi, core_commands, core_set, identify};

/// `ENOSYS`: what programs take for "not in this kernel".
const ENOSYS: u16 = 38;

/// Columns of a line.
const WIDTH: usize = 96;

const CORE_COMMENT: &str = "the core set: calls that every program makes. They were let through \
     unseen, so which of them this one needs is not known";

/// One rule, as the runtime specification has it, and why it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The calls.
    pub names: Vec<&'static str>,
    /// `SCMP_ACT_*`.
    pub action: &'static str,
    /// What a refused call fails with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u16>,
    /// What the arguments must be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
    /// Why.
    pub comment: String,
}

/// One condition: some bits of an argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Argument {
    /// Which.
    pub index: u8,
    /// The bits.
    pub value: u32,
    /// What they must be.
    pub value_two: u32,
    /// `SCMP_CMP_MASKED_EQ`.
    pub op: &'static str,
}

/// A profile: `/linux/seccomp` of config.json, and a file for `--security-opt seccomp=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// For everything else.
    pub default_action: &'static str,
    /// The ABIs whose calls were seen, the kernel's own first.
    pub architectures: Vec<&'static str>,
    /// The rules.
    pub syscalls: Vec<Rule>,
}

/// Makes a profile of what was seen on a kernel whose own ABI is `native`.
#[must_use]
pub fn generate(trace: &Trace, native: Abi) -> Profile {
    let seen = trace.permitted();
    let also = |abi: &&Abi| **abi == native || seen.iter().any(|(key, ..)| key.abi == **abi);
    let abis: Vec<Abi> = native.family().iter().filter(also).copied().collect();
    let core = |name: &&&str| abis.iter().any(|abi| abi.has(name));
    let mut rules = vec![Rule {
        names: core_set().iter().filter(core).copied().collect(),
        action: "SCMP_ACT_ALLOW",
        errno_ret: None,
        args: Vec::new(),
        comment: CORE_COMMENT.to_owned(),
    }];
    for (command, name) in core_commands() {
        let part = Part { arg: 1, mask: u32::MAX, value: *command };
        rules.push(Rule {
            names: vec!["ioctl"],
            action: "SCMP_ACT_ALLOW",
            errno_ret: None,
            args: arguments(&[Some(part), None, None]),
            comment: format!("{name}, of the core set"),
        });
    }
    for (key, seen, breadth) in &seen {
        add(&mut rules, key, seen, *breadth);
    }
    rules.extend(fallbacks(trace, &rules));
    Profile {
        default_action: "SCMP_ACT_ERRNO",
        architectures: abis.iter().map(|abi| abi.oci_name()).collect(),
        syscalls: rules,
    }
}

/// Adds a rule, unless another ABI's calls have made the same one.
fn add(rules: &mut Vec<Rule>, key: &Key, seen: &Permitted, breadth: Breadth) {
    if core_set().contains(&key.name) {
        return;
    }
    let args = arguments(&key.class);
    let known = rules.iter().any(|rule| rule.names == [key.name] && rule.args == args);
    if known {
        return;
    }
    let often = times(seen.count);
    let mut comment = format!("{often}, first by {}", seen.first);
    if breadth == Breadth::Any {
        comment.push_str("; with so many different arguments that they are not told apart");
    }
    let names = vec![key.name];
    rules.push(Rule { names, action: "SCMP_ACT_ALLOW", errno_ret: None, args, comment });
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn arguments(class: &Class) -> Vec<Argument> {
    let parts = class.iter().flatten();
    let args = parts.map(|part| Argument {
        index: part.arg,
        value: part.mask,
        value_two: part.value,
        op: "SCMP_CMP_MASKED_EQ",
    });
    args.collect()
}

/// Rules for the calls that were refused as if the kernel did not have them, whatever their
/// arguments: with any other error, programs would not fall back.
fn fallbacks(trace: &Trace, permitted: &[Rule]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for (key, seen) in trace.refused() {
        let (_, Some(name)) = identify(key.arch, key.nr) else { continue };
        let said = |rule: &Rule| rule.names.contains(&name);
        if key.errno != ENOSYS || permitted.iter().any(said) || rules.iter().any(said) {
            continue;
        }
        let comment = format!(
            "refused in the same way while this was recorded, {} to {}; programs fall back on it",
            times(seen.count),
            key.program
        );
        rules.push(Rule {
            names: vec![name],
            action: "SCMP_ACT_ERRNO",
            errno_ret: Some(key.errno),
            args: Vec::new(),
            comment,
        });
    }
    rules
}

impl Profile {
    /// The file: JSON, in lines that can be reviewed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::with_capacity(16 << 10);
        let _ = writeln!(out, "{{\n  \"defaultAction\": {},", json(&self.default_action));
        let _ = writeln!(out, "  \"architectures\": {},", json(&self.architectures));
        out.push_str("  \"syscalls\": [\n");
        for (place, rule) in self.syscalls.iter().enumerate() {
            let comma = if place + 1 == self.syscalls.len() { "" } else { "," };
            write_rule(&mut out, rule);
            let _ = writeln!(out, "    }}{comma}");
        }
        out.push_str("  ]\n}\n");
        out
    }
}

fn write_rule(out: &mut String, rule: &Rule) {
    let _ = writeln!(out, "    {{\n      \"comment\": {},", json(&rule.comment));
    out.push_str("      \"names\": [");
    let mut column = 16;
    for (place, name) in rule.names.iter().enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        if column + comma.len() + name.len() + 2 > WIDTH {
            out.push_str(",\n        \"");
            column = 8;
        } else {
            let _ = write!(out, "{comma}\"");
        }
        let _ = write!(out, "{name}\"");
        column += comma.len() + name.len() + 2;
    }
    out.push_str("],\n");
    if !rule.args.is_empty() {
        let args: Vec<String> = rule.args.iter().map(json).collect();
        let _ = writeln!(out, "      \"args\": [{}],", args.join(",\n        "));
    }
    if let Some(number) = rule.errno_ret {
        let _ = writeln!(out, "      \"errnoRet\": {number},");
    }
    let _ = writeln!(out, "      \"action\": {}", json(&rule.action));
}

/// A value as JSON, which for these types cannot fail.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
