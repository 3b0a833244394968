//! Arbitrary bytes as an answer of systemd's, and as the value of a unit's property.

#![no_main]

use casemate::cgroup::systemd::texts_of;
use casemate::plan::cgroup::parse_property;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(texts) = texts_of(bytes) {
        // Nothing is reserved that was not there.
        assert!(texts.iter().map(String::len).sum::<usize>() <= bytes.len());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = parse_property("TimeoutStopSec", text);
        let _ = parse_property("Some", text);
    }
});
