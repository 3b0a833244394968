//! Which commands may be started in a container that runs: the table `[exec]` of a policy file.

use std::fmt;

use oci_spec::runtime::{Process, Spec};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::rules::{self, HostView};
use super::{Case, Policy, Refusal, RuleId};

/// The name under which a command is refused. No control of a level: the table is the control.
const ALLOW: RuleId = RuleId("exec.allow");

const BECAUSE: &str = "the policy of this host says which commands may be started in a running \
                       container";

/// What `exec` may start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecPolicy {
    /// Which commands.
    pub allow: Allow,
    /// The file and line that say so; empty for the default.
    pub at: String,
}

/// Which commands `exec` may start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allow {
    /// Any.
    #[default]
    Any,
    /// None.
    None,
    /// Those whose arguments begin with all the words of one of these lists.
    Listed(Vec<Vec<String>>),
}

/// The table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    #[serde(deserialize_with = "allow")]
    allow: Allow,
}

impl Table {
    /// The policy, which stands at this place.
    pub(super) fn into_policy(self, at: String) -> ExecPolicy {
        ExecPolicy { allow: self.allow, at }
    }
}

impl ExecPolicy {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.allow == Allow::Any
    }

    /// Whether only some commands are allowed. Then the caller chooses nothing but among these:
    /// neither the variables nor the search path that they run with.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.allow, Allow::Listed(_))
    }

    /// The refusal of a command, if it is refused.
    #[must_use]
    pub fn refuse(&self, arguments: &[String]) -> Option<Refusal> {
        let (why, hint) = match &self.allow {
            Allow::Any => return None,
            Allow::Listed(list) if list.iter().any(|words| arguments.starts_with(words)) => {
                return None;
            }
            Allow::None => (
                "asks for a command, and none may be started in a running container".to_owned(),
                "an administrator can set `allow` in the table [exec] of the policy",
            ),
            Allow::Listed(_) => (
                format!(
                    "is no command that the policy lists: {:?}",
                    arguments.first().map_or("", String::as_str)
                ),
                "an administrator can add it to `allow` in the table [exec] of the policy",
            ),
        };
        Some(Refusal {
            rule: ALLOW.0.to_owned(),
            policy: self.at.clone(),
            at: "/args".to_owned(),
            why,
            because: BECAUSE.to_owned(),
            hint: hint.to_owned(),
        })
    }
}

/// What a process asks for that no container may have, whoever enters it. Pointers begin at the
/// process.
#[must_use]
pub fn judge_process(policy: &Policy, process: &Process) -> Vec<Refusal> {
    let mut spec = Spec::default();
    spec.set_process(Some(process.clone()));
    let host = HostView::default();
    let mut case = Case::new(spec, &host, policy);
    rules::apply_to_process(&mut case);
    let mut refusals = case.refusals;
    for refusal in &mut refusals {
        if let Some(at) = refusal.at.strip_prefix("/process") {
            refusal.at = at.to_owned();
        }
    }
    refusals
}

/// `true`, `false`, or a list of commands.
fn allow<'de, D: Deserializer<'de>>(from: D) -> Result<Allow, D::Error> {
    from.deserialize_any(AllowVisitor)
}

struct AllowVisitor;

impl<'de> Visitor<'de> for AllowVisitor {
    type Value = Allow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or a list of commands")
    }

    fn visit_bool<E>(self, all: bool) -> Result<Allow, E> {
        Ok(if all { Allow::Any } else { Allow::None })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Allow, A::Error> {
        let mut commands = Vec::new();
        while let Some(CommandWords(words)) = list.next_element()? {
            commands.push(words);
        }
        Ok(Allow::Listed(commands))
    }
}

/// The words that a command begins with.
struct CommandWords(Vec<String>);

impl<'de> Deserialize<'de> for CommandWords {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CommandVisitor)
    }
}

struct CommandVisitor;

impl<'de> Visitor<'de> for CommandVisitor {
    type Value = CommandWords;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a program, or a list of words that a command begins with")
    }

    fn visit_str<E: serde::de::Error>(self, program: &str) -> Result<CommandWords, E> {
        checked(vec![program.to_owned()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<CommandWords, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = list.next_element()? {
            words.push(word);
        }
        checked(words)
    }
}

/// A relative path is whatever the working directory makes of it, and no words match all.
fn checked<E: serde::de::Error>(words: Vec<String>) -> Result<CommandWords, E> {
    let program = words.first().map_or("", String::as_str);
    if program.is_empty() {
        return Err(E::custom("a command has at least its program"));
    }
    if program.contains('/') && !program.starts_with('/') {
        return Err(E::custom(format_args!(
            "`{program}` is neither an absolute path nor a name without a slash"
        )));
    }
    Ok(CommandWords(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ExecPolicy, String> {
        toml::from_str::<Table>(text)
            .map(|table| table.into_policy("p.toml:2".to_owned()))
            .map_err(|error| error.message().to_owned())
    }

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn nothing_is_refused_unless_the_policy_says_so() {
        assert_eq!(ExecPolicy::default().refuse(&words("sh")), None);
        assert_eq!(read("allow = true").unwrap().refuse(&words("sh")), None);
    }

    #[test]
    fn a_command_is_allowed_by_all_the_words_it_begins_with() {
        let policy = read("allow = [\"/bin/ready\", [\"sh\", \"-c\", \"true\"]]").unwrap();

        for line in ["/bin/ready", "/bin/ready -v", "sh -c true", "sh -c true x"] {
            assert_eq!(policy.refuse(&words(line)), None, "{line}");
        }
        for line in ["", "ready", "/bin/ready2", "sh", "sh -c", "sh -c false", "/bin/sh -c true"] {
            assert!(policy.refuse(&words(line)).is_some(), "{line}");
        }
    }

    #[test]
    fn a_refusal_names_the_rule_and_where_it_stands() {
        let refusal = read("allow = false").unwrap().refuse(&words("sh")).unwrap();

        assert_eq!(
            refusal.to_string(),
            "refused by rule `exec.allow`: /args asks for a command, and none may be started in a \
             running container"
        );
        assert_eq!(refusal.policy, "p.toml:2");
        assert!(!refusal.because.is_empty());
    }

    #[test]
    fn what_would_match_anything_is_no_command() {
        assert!(read("allow = [[]]").unwrap_err().contains("at least its program"));
        assert!(read("allow = [\"\"]").unwrap_err().contains("at least its program"));
        assert!(read("allow = [\"./x\"]").unwrap_err().contains("absolute path"));
        assert!(read("allow = 3").unwrap_err().contains("true, false or a list"));
        assert!(read("alow = true").unwrap_err().contains("unknown field"));
    }
}
