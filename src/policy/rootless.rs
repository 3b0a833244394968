//! `[rootless]` of a policy file: whether containers are made for users without root whose own id
//! comes with them.

use serde::Deserialize;

/// The table `[rootless]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RootlessPolicy {
    /// What is done where the caller's own id would be one of the container's.
    pub caller: CallerInside,
}

/// What is done where the caller's own id would be one of the container's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallerInside {
    /// The container is made, and what is lowered is said each time. The default.
    #[default]
    Say,
    /// The container is made; whoever wrote the policy knows it. `state`, `explain` and the record
    /// of events still tell.
    Accept,
    /// The container is refused.
    Refuse,
}
