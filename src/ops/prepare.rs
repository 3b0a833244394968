//! From a bundle to a plan: the part that `create`, `run` and `explain` share.
