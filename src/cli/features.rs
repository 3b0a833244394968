//! `features`.

use super::{Outcome, output};
use crate::spec::features;

pub(super) fn perform() -> Outcome {
    output::print_pretty(&features::document())
}
