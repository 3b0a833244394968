//! Exceptions that waive a denial of the baseline: the filter lets it through, and says so.

use crate::support::{Bundle, Runtime};

fn waiving(rule: &str, more: &str) -> Runtime {
    Runtime::under(&format!(
        "level = \"hardened\"\n[[exception]]\nid = \"wine\"\nreason = \"a test\"\n\
         waive = [\"seccomp.baseline/{rule}\"]\n{more}\n"
    ))
}

fn other_machine() -> Bundle {
    Bundle::new().shell("linux32 uname -m; true")
}

#[test]
fn a_waived_denial_does_not_stand_and_is_on_record() {
    let bundle = other_machine();
    assert_eq!(Runtime::new().run(&bundle).ok(), "");
    let runtime = waiving("process.personality", "");

    assert_eq!(runtime.run(&bundle).ok(), "i686\n");
}

#[test]
fn what_is_waived_is_explained_for_whom_it_is_waived() {
    let bundle = Bundle::new().args(["sleep", "60"]);
    let word = bundle.dir().to_str().unwrap();
    let explain = |runtime: &Runtime, words: &[&str]| {
        runtime.call(["seccomp", "explain"].iter().chain(words).chain(&["chroot"])).ok()
    };
    let mine = waiving("mount.chroot", &format!("match = {{ bundle = {word:?} }}"));
    let others = waiving("mount.chroot", "match = { bundle = \"/elsewhere\" }");
    let past = waiving("mount.chroot", "expires = 2020-01-01");

    let let_through = "allow\n      decided by  /linux/seccomp/defaultAction";
    assert!(explain(&mine, &["--bundle", word]).contains(let_through));
    for runtime in [&others, &past] {
        assert!(explain(runtime, &["--bundle", word]).contains("baseline rule `mount.chroot`"));
    }
    mine.started(&bundle);
    let text = explain(&mine, &[bundle.id()]);
    assert!(text.contains(let_through) && !text.contains("no longer makes the filter"), "{text}");
    mine.call(["delete", "--force", bundle.id()]).ok();
}

#[test]
fn a_waiver_of_nothing_is_an_error_of_the_policy() {
    let bundle = other_machine();

    let said = waiving("personality", "").run(&bundle).failed(1);
    assert!(said.contains("line 2: no rule of the baseline is called `personality`"), "{said}");
    assert!(said.contains("hint: `process.personality` is one"), "{said}");
    let said = waiving("io-uring", "").run(&bundle).failed(1);
    assert!(said.contains("`io-uring` cannot be waived: set-id files could be made"), "{said}");
}
