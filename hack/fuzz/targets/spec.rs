//! Arbitrary bytes as a config.json, and as the process file of `exec`.

#![no_main]

use casemate::spec::{check, check_process, parse, parse_process};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = parse(bytes) {
        let _ = check(config.spec()).iter().map(ToString::to_string).count();
        // What a type can hold, it can say again, and that is read as the same.
        let again = serde_json::to_vec(config.spec()).unwrap();
        let spec: oci_spec::runtime::Spec = serde_json::from_slice(&again).unwrap();
        assert_eq!(&spec, config.spec());
    }
    if let Ok(process) = parse_process(bytes) {
        let _ = check_process(process.value());
    }
});
