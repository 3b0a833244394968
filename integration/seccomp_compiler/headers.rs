//! The tables beside the headers of this machine.

use casemate::seccomp::{Abi, Meant, meant};

/// The lines `#define __NR_name number` of a header; `bit` is what its numbers begin with.
fn calls(header: &str, bit: &str) -> Vec<(String, u32)> {
    let path = format!("/usr/include/x86_64-linux-gnu/asm/{header}");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped, because there is no {path}");
        return Vec::new();
    };
    let define = |line: &str| {
        let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
        let number = number.trim().trim_start_matches(bit).trim_end_matches(')');
        Some((name.to_owned(), number.trim().parse().ok()?))
    };
    text.lines().filter_map(define).collect()
}

#[test]
fn the_tables_have_every_call_of_the_headers_under_its_number() {
    for (abi, header, bit) in [
        (Abi::X86_64, "unistd_64.h", ""),
        (Abi::X86, "unistd_32.h", ""),
        (Abi::X32, "unistd_x32.h", "(__X32_SYSCALL_BIT + "),
    ] {
        let calls = calls(header, bit);
        assert!(calls.is_empty() || calls.len() > 300, "{header}: {}", calls.len());
        for (name, number) in calls {
            let known = meant(&number.to_string(), abi);
            // The table may be older than the headers, but never wrong.
            assert!(
                matches!(known, Meant::Call(known) if known == name)
                    || matches!(known, Meant::FreeNumber(..)) && number > 471,
                "{header} has {name} under {number}, where the table has {known:?}"
            );
        }
    }
}
