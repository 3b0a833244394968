//! `waive` of `[seccomp]`: the policy lets something through that the baseline denies.

use crate::support::{Bundle, Runtime};

fn waiving(rules: &str) -> Runtime {
    Runtime::under(&format!("level = \"hardened\"\n[seccomp]\nwaive = [{rules}]\n"))
}

fn other_machine() -> Bundle {
    Bundle::new().shell("linux32 uname -m; true")
}

#[test]
fn a_waived_denial_does_not_stand_and_is_on_record() {
    let bundle = other_machine();
    assert_eq!(Runtime::new().run(&bundle).ok(), "");
    let runtime = waiving("\"process.personality\"");

    assert_eq!(runtime.run(&bundle).ok(), "i686\n");

    let explain = |more: &[&str]| {
        let words = ["explain", "--bundle", bundle.dir().to_str().unwrap()];
        runtime.call(words.iter().chain(more)).ok()
    };
    let text = explain(&[]);
    assert!(text.contains("from  `process.personality` of the baseline"), "{text}");
    assert!(text.contains("by    rule `seccomp.baseline`"), "{text}");
    let plan: serde_json::Value = serde_json::from_str(&explain(&["--json"])).unwrap();
    assert_eq!(plan["plan"]["waived"], serde_json::json!(["process.personality"]));
}

#[test]
fn a_waiver_of_nothing_is_an_error_of_the_policy() {
    let bundle = other_machine();

    let said = waiving("\"personality\"").run(&bundle).failed(1);
    assert!(said.contains("`waive` of [seccomp]: no rule of the baseline is called `personality`"));
    assert!(said.contains("hint: `process.personality` is one"), "{said}");
    let said = waiving("\"io-uring\"").run(&bundle).failed(1);
    assert!(said.contains("`io-uring` cannot be waived: set-id files could be made"), "{said}");
}
