//! `[host]` in a policy file: what of the host's own a bundle may take. Nothing, by default.

use serde::Deserialize;

/// What a bundle may take of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostTable {
    /// Whether a container may run before everyone else: real-time scheduling and real-time input
    /// and output, and a nice value below zero.
    pub realtime: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_given_by_default_and_an_unknown_key_is_an_error() {
        assert_eq!(HostTable::default(), toml::from_str("").unwrap());
        assert!(toml::from_str::<HostTable>("disks = true").is_err());
    }
}
