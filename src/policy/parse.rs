//! A policy file to a policy: the level, and a table for each area that leaves a choice.

use serde::Deserialize;
use toml::Spanned;

use super::exec::{self, ExecPolicy};
use super::{
    CheckpointPolicy, Exception, HooksTable, HostTable, Level, Policy, RootlessPolicy,
    SeccompPolicy, SystemdPolicy,
};

/// Why a policy file is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// It is not TOML, or says something that is not known.
    #[error("policy {file}, line {line}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong, as a clause.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    level: Level,
    #[serde(default)]
    host: HostTable,
    #[serde(default)]
    seccomp: SeccompPolicy,
    exec: Option<Spanned<exec::Table>>,
    #[serde(default)]
    hooks: HooksTable,
    #[serde(default)]
    systemd: SystemdPolicy,
    #[serde(default)]
    checkpoint: CheckpointPolicy,
    #[serde(default)]
    rootless: RootlessPolicy,
    #[serde(default)]
    exception: Vec<Spanned<Exception>>,
}

/// The line of a byte, counted from 1.
fn line(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count().saturating_add(1)
}

/// Reads the text of the policy file `file`.
///
/// # Errors
/// The line, and what is wrong with it. A key that this version does not know is an error: a
/// policy that is not understood does not hold.
pub fn parse(file: &str, text: &str) -> Result<Policy, PolicyError> {
    let wrong = |at: usize, message: String| PolicyError::Syntax {
        file: file.to_owned(),
        line: line(text, at),
        message,
    };
    let document = toml::from_str::<Document>(text).map_err(|error| {
        let message = error.message().lines().next().unwrap_or_default().to_owned();
        wrong(error.span().map_or(0, |span| span.start), message)
    })?;
    let mut exceptions: Vec<Exception> = Vec::with_capacity(document.exception.len());
    for spanned in document.exception {
        let at = spanned.span().start;
        let mut exception = spanned.into_inner();
        if let Some(fault) = exception.fault() {
            return Err(wrong(at, fault));
        }
        if exceptions.iter().any(|other| other.id == exception.id) {
            return Err(wrong(at, format!("there are two exceptions `{}`", exception.id)));
        }
        exception.line = line(text, at);
        exceptions.push(exception);
    }
    let exec = document.exec.map_or_else(ExecPolicy::default, |table| {
        let at = format!("{file}:{}", line(text, table.span().start));
        table.into_inner().into_policy(at)
    });
    Ok(Policy {
        level: document.level,
        source: file.to_owned(),
        host: document.host,
        seccomp: document.seccomp,
        hooks: document.hooks,
        systemd: document.systemd,
        checkpoint: document.checkpoint,
        rootless: document.rootless,
        exceptions,
        exec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_chosen_by_name() {
        let policy = parse("/etc/casemate/policy.toml", "level = \"audit\"\n").unwrap();

        assert_eq!(policy.level, Level::Audit);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = parse("p.toml", "level = \"audit\"\n\nrules = 3\n").unwrap_err();

        assert!(error.to_string().starts_with("policy p.toml, line 3: unknown field `rules`"));
    }

    #[test]
    fn a_table_says_which_commands_may_be_started() {
        let policy = parse("p.toml", "level = \"hardened\"\n\n[exec]\nallow = false\n").unwrap();

        assert_eq!(policy.exec.allow, crate::policy::Allow::None);
        assert_eq!(policy.exec.at, "p.toml:3");
        let error = parse("p.toml", "level = \"hardened\"\n[exec]\nallow = 1\n").unwrap_err();
        assert!(error.to_string().starts_with("policy p.toml, line 3: "), "{error}");
    }

    #[test]
    fn an_unknown_level_is_refused() {
        let error = parse("p.toml", "level = \"open\"").unwrap_err();

        assert!(error.to_string().contains("unknown variant `open`"), "{error}");
    }
}
