//! `[host]` in a policy file: what of the host's own a bundle may take. Nothing, by default.

use serde::Deserialize;

/// What a bundle may take of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostTable {
    /// Whether a container may run before everyone else: real-time scheduling and real-time input
    /// and output, and a nice value below zero.
    pub realtime: bool,
    /// Whether a container may have shares of processor caches and memory bandwidth.
    pub resctrl: bool,
    /// Names of network devices that a container may be given. A last `*` stands for anything.
    pub net_devices: Vec<String>,
}

impl HostTable {
    /// Whether this network device may be given away.
    #[must_use]
    pub fn gives_net_device(&self, name: &str) -> bool {
        self.net_devices.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == allowed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_given_by_its_name_or_the_beginning_of_it() {
        let table: HostTable = toml::from_str("net-devices = [\"eth1\", \"sriov*\"]").unwrap();

        let given = ["eth1", "sriov", "sriov0"].map(|name| table.gives_net_device(name));
        let kept = ["eth", "eth10", "xsriov0"].map(|name| table.gives_net_device(name));

        assert_eq!((given, kept), ([true; 3], [false; 3]));
    }

    #[test]
    fn nothing_is_given_by_default_and_an_unknown_key_is_an_error() {
        assert_eq!(HostTable::default(), toml::from_str("").unwrap());
        assert!(toml::from_str::<HostTable>("disks = true").is_err());
    }
}
