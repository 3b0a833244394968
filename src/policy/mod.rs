//! Rules: what is refused, what is changed, and why. Pure.
