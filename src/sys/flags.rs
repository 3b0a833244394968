//! Flag and constant types only: the part of `sys` that pure modules may import.
