//! Any bytes as a profile that an engine keeps on disk: settled, compiled, compared, merged and
//! reviewed or refused, never a crash, and quickly. What is merged permits what was permitted.
#![no_main]

use std::collections::BTreeSet;

use casemate::seccomp::{
    Abi, Baseline, Change, Circumstances, Listener, Part, Request, Version, compare, compile,
    explain, explain_program, merge, review, settle, survey,
};
use casemate::spec::engine_profile;
use libfuzzer_sys::fuzz_target;
use oci_spec::runtime::LinuxSeccomp;

fn request(profile: &LinuxSeccomp) -> Request<'_> {
    Request { listener: Listener::Provided, ..Request::new(Some(profile), Abi::X86_64) }
}

fn bare(profile: &LinuxSeccomp) -> Request<'_> {
    Request { baseline: Baseline::Off, ..request(profile) }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = engine_profile::parse(bytes) else { return };
    let kernel: Version = "6.1".parse().expect("a version");
    let circumstances = Circumstances {
        native: Abi::X86_64,
        capabilities: BTreeSet::from(["CAP_SYS_ADMIN".to_owned()]),
        kernel,
    };
    let Ok(settled) = settle(file.into_value(), &circumstances) else { return };
    let profile = &settled.profile;
    let Ok(Some(compiled)) = compile(&request(profile)) else { return };
    let code = &compiled.program.instructions;
    survey(&request(profile), code).expect("it compiled");
    review(&request(profile), kernel).expect("it compiled");
    for name in ["ioctl", "socket", "mount"] {
        explain(&request(profile), name).expect("it compiled");
        explain_program(code, &Request::new(None, Abi::X86_64), name).expect("the baseline is sound");
    }
    let cut = compare(&bare(profile), &request(profile)).expect("it compiled");
    assert!(cut.calls.iter().all(|call| call.change != Change::Permitted), "{cut:?}");
    let part = Part { profile, comments: &settled.comments };
    let Ok(merged) = merge(&[part, part], Abi::X86_64) else { return };
    let text = serde_json::to_string(&merged).expect("a document");
    let merged: LinuxSeccomp = serde_json::from_str(&text).expect("a profile again");
    let found = compare(&bare(profile), &bare(&merged)).expect("it compiled");
    let harmless = |change| matches!(change, Change::Answer | Change::Unknown);
    assert!(found.calls.iter().all(|call| harmless(call.change)), "{found:?}");
});
