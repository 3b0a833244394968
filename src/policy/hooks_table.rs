//! `[hooks]` in a policy file: which programs of the host a bundle may have run.

use serde::Deserialize;

/// Which hooks are run, beside the image's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HooksTable {
    /// The programs, by their real paths, each with the arguments it must have, if any are
    /// written; a last `*` stands for any more. Without the list, every program that only root
    /// can change.
    pub allow: Option<Vec<String>>,
    /// Where there is a list: names of variables that a bundle may set for them beside it. A last
    /// `*` stands for anything.
    pub variables: Vec<String>,
}

/// Where a hook that is listed looks for programs.
pub(super) const SEARCH_PATH: &str =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl HooksTable {
    /// Whether a program may be run with these arguments, the first of which is its name.
    #[must_use]
    pub fn allows(&self, program: &str, arguments: &[String]) -> bool {
        let Some(allowed) = &self.allow else { return true };
        allowed.iter().any(|line| fits(line, program, arguments))
    }

    /// What is left of a hook's variables. Where only some programs may be run, what makes others
    /// of them does not reach them: `BASH_ENV`, a search path, what an interpreter loads.
    #[must_use]
    pub fn keep(&self, variables: &[String]) -> Vec<String> {
        if self.allow.is_none() {
            return variables.to_vec();
        }
        let named = |variable: &&String| {
            let name = variable.split('=').next().unwrap_or_default();
            self.variables.iter().any(|allowed| match allowed.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == allowed,
            })
        };
        let mut kept: Vec<_> = variables.iter().filter(named).cloned().collect();
        if !kept.iter().any(|variable| variable.starts_with("PATH=")) {
            kept.push(SEARCH_PATH.to_owned());
        }
        kept
    }
}

fn fits(line: &str, program: &str, arguments: &[String]) -> bool {
    let mut words = line.split_whitespace();
    if words.next() != Some(program) {
        return false;
    }
    let words: Vec<_> = words.collect();
    match words.split_last() {
        None => true,
        Some((&"*", first)) => {
            first.len() <= arguments.len() && first.iter().zip(arguments).all(|(a, b)| a == b)
        }
        Some(_) => {
            words.len() == arguments.len() && words.iter().zip(arguments).all(|(a, b)| a == b)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> HooksTable {
        toml::from_str(text).unwrap()
    }

    fn allows(table: &HooksTable, program: &str, arguments: &[&str]) -> bool {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        table.allows(program, &arguments)
    }

    #[test]
    fn without_a_list_every_program_may_be_run_and_with_an_empty_one_none() {
        assert!(allows(&table(""), "/bin/x", &["x"]));
        assert!(!allows(&table("allow = []"), "/bin/x", &["x"]));
    }

    #[test]
    fn a_line_names_a_program_and_may_name_its_arguments() {
        let table = table(r#"allow = ["/bin/a", "/bin/d setkey *", "/bin/e one two"]"#);

        assert!(allows(&table, "/bin/a", &["a", "anything"]));
        assert!(!allows(&table, "/usr/bin/a", &["a"]));
        assert!(allows(&table, "/bin/d", &["setkey", "x", "y"]));
        assert!(allows(&table, "/bin/d", &["setkey"]));
        assert!(!allows(&table, "/bin/d", &["d"]));
        assert!(allows(&table, "/bin/e", &["one", "two"]));
        assert!(!allows(&table, "/bin/e", &["one", "two", "three"]));
    }

    #[test]
    fn a_listed_program_gets_the_variables_that_are_listed() {
        let given = ["A=1", "BASH_ENV=./x", "PATH=/tmp", "NV_A=2"].map(str::to_owned);

        assert_eq!(table("").keep(&given), given);
        assert_eq!(table("allow = []").keep(&given), [SEARCH_PATH]);
        let some = table("allow = []\nvariables = [\"A\", \"NV_*\", \"B\"]");
        assert_eq!(some.keep(&given), ["A=1", "NV_A=2", SEARCH_PATH]);
        let path = table("allow = []\nvariables = [\"PATH\"]");
        assert_eq!(path.keep(&given), ["PATH=/tmp"]);
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        assert!(toml::from_str::<HooksTable>("deny = []").is_err());
    }
}
