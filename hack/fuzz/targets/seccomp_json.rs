//! Any bytes as `/linux/seccomp`: compiled or refused, never a crash, and quickly.
#![no_main]

use casemate::seccomp::{Abi, Request, compile};
use libfuzzer_sys::fuzz_target;
use oci_spec::runtime::LinuxSeccomp;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(profile) = serde_json::from_slice::<LinuxSeccomp>(bytes) {
        let _ = compile(&Request::new(Some(&profile), Abi::X86_64));
    }
});
