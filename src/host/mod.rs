//! Reads the host: bundles, mount tables, kernel features. Changes nothing.

pub mod bundle;
pub mod policy_file;
