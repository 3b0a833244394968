//! `regex-lite` under the name by which `oci-spec` asks for `regex`.
pub use regex_lite::*;
