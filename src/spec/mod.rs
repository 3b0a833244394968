//! `config.json` as written, and what the specification demands of it. Pure.

pub mod id;
