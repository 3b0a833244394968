//! Sockets that systemd opened for the service: passed on to the program, as if it had been
//! started by systemd itself. Reference: sd_listen_fds(3).

use std::ffi::OsStr;

use crate::plan::text::Text;

/// What the caller's caller handed to this very process.
#[derive(Debug, Default)]
pub(super) struct Activation {
    /// How many descriptors, from 3 on.
    pub count: u32,
    /// The variables that tell the program of them.
    pub environment: Vec<Text>,
}

impl Activation {
    /// What the environment of this process says.
    pub(super) fn of_this_process() -> Self {
        let pid = std::process::id().to_string();
        read(|name| std::env::var_os(name), &pid)
    }
}

/// The variables count only for the process that they name: they are inherited by mistake.
fn read(variable: impl Fn(&str) -> Option<std::ffi::OsString>, pid: &str) -> Activation {
    if variable("LISTEN_PID").as_deref() != Some(OsStr::new(pid)) {
        return Activation::default();
    }
    let count = variable("LISTEN_FDS").and_then(|count| count.to_str()?.parse::<u32>().ok());
    let Some(count) = count.filter(|count| *count > 0) else { return Activation::default() };
    // The program is the first of its pid namespace, as engines have it.
    let mut variables = vec![format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()];
    if let Some(names) = variable("LISTEN_FDNAMES").and_then(|names| names.into_string().ok()) {
        variables.push(format!("LISTEN_FDNAMES={names}"));
    }
    let environment = variables.into_iter().filter_map(|text| Text::new(text).ok()).collect();
    Activation { count, environment }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> (u32, Vec<String>) {
        let look = |name: &str| {
            variables.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).into())
        };
        let activation = read(look, "77");
        (activation.count, activation.environment.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_was_handed_to_this_process_is_handed_on() {
        let given = [("LISTEN_PID", "77"), ("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "web:admin")];

        let (count, environment) = of(&given);

        assert_eq!(count, 2);
        assert_eq!(environment, ["LISTEN_FDS=2", "LISTEN_PID=1", "LISTEN_FDNAMES=web:admin"]);
    }

    #[test]
    fn what_was_handed_to_another_process_is_not_ours() {
        for given in [
            &[("LISTEN_PID", "78"), ("LISTEN_FDS", "2")][..],
            &[("LISTEN_FDS", "2")],
            &[("LISTEN_PID", "77")],
            &[("LISTEN_PID", "77"), ("LISTEN_FDS", "-2")],
            &[("LISTEN_PID", "77"), ("LISTEN_FDS", "0")],
        ] {
            assert_eq!(of(given), (0, Vec::new()), "{given:?}");
        }
    }
}
