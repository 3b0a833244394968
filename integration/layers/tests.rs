//! The rules, on the sources and on made-up ones.

use super::*;

fn said(name: &str, text: &str) -> Vec<String> {
    breaches(&[Source::new(name, text)])
}

#[test]
fn the_house_keeps_its_rules() {
    let sources = sources();

    let found = breaches(&sources);

    assert!(sources.len() > 100, "only {} files were read", sources.len());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// A sign taken for the beginning of a literal would hide the rest of a file.
#[test]
fn every_file_is_read_to_its_end() {
    for source in sources() {
        let count = |sign: &str| source.words.iter().filter(|w| w.text == sign).count();
        let last = source.words.last().map_or("", |word| word.text.as_str());

        for (open, close) in [("{", "}"), ("(", ")"), ("[", "]")] {
            assert_eq!(count(open), count(close), "src/{}: `{open}`", source.name);
        }
        assert!(matches!(last, "}" | ";" | ""), "src/{} ends with `{last}`", source.name);
    }
}

#[test]
fn every_module_of_the_table_exists() {
    let sources = sources();

    for (name, _) in TABLE {
        let there = sources.iter().any(|source| source.module() == [*name]);
        assert!(there, "`{name}` is in the table, but not in src");
    }
}

#[test]
fn an_import_upwards_is_named() {
    let found = said("spec/made_up.rs", "//! x\nuse crate::policy::Level;\n");

    assert_eq!(
        found,
        ["src/spec/made_up.rs:2: `spec` may not import `policy` (`crate::policy::Level`)"]
    );
}

#[test]
fn modules_of_one_layer_do_not_import_each_other() {
    let found = said("store/a.rs", "fn a() { crate::cgroup::remove() }");

    assert_eq!(
        found,
        ["src/store/a.rs:1: `store` may not import `cgroup` (`crate::cgroup::remove`)"]
    );
}

#[test]
fn an_import_in_a_group_is_named() {
    let text = "use crate::{\n    spec::{id, Spec as S},\n    ops,\n};";

    let found = said("plan/a.rs", text);

    assert_eq!(found, ["src/plan/a.rs:1: `plan` may not import `ops` (`crate::ops`)"]);
}

#[test]
fn an_import_by_way_of_the_parents_is_named() {
    let file = said("spec/check/linux.rs", "use super::super::{id, super::store};");
    let inner = said("spec/mod.rs", "mod a { mod b { use super::super::super::engine; } }");
    let own = said("spec/check/linux.rs", "use super::super::{id, walk}; use super::mounts;");

    assert_eq!(file, ["src/spec/check/linux.rs:1: `spec` may not import `store` (`crate::store`)"]);
    assert_eq!(inner, ["src/spec/mod.rs:1: `spec` may not import `engine` (`crate::engine`)"]);
    assert_eq!(own, Vec::<String>::new());
}

#[test]
fn of_sys_a_pure_module_gets_the_flags_only() {
    assert!(said("plan/a.rs", "use crate::sys::flags::mount_attr;").is_empty());
    let found = said("plan/a.rs", "use crate::sys::mount;");
    assert_eq!(found, ["src/plan/a.rs:1: `plan` may not import `sys` (`crate::sys::mount`)"]);
}

#[test]
fn a_pure_module_does_not_touch_the_world() {
    for (text, name) in [
        ("fn a() { let _ = std::fs::read(\"x\"); }", "std::fs"),
        ("use std::{fmt, time::Instant};", "std::time"),
        ("use ::libc;", "libc"),
        ("fn a() -> i32 { ::nix::unistd::getpid() }", "nix"),
        ("use std as s;", "std"),
    ] {
        let found = said("policy/a.rs", text);

        let wanted = format!("`policy` is pure, and may not use `{name}`");
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains(&wanted), "{found:?}");
    }
    assert!(said("host/a.rs", "use std::fs;").is_empty());
}

#[test]
fn an_unknown_module_is_named() {
    let found = said("lib.rs", "pub mod spec;\npub mod helpers;\n");

    assert_eq!(found, ["src/lib.rs:2: module `helpers` is not in the table of layers"]);
    let found = said("helpers/mod.rs", "");
    assert_eq!(found, ["src/helpers/mod.rs:1: module `helpers` is not in the table of layers"]);
}

#[test]
fn the_program_calls_the_command_line_and_nothing_else() {
    assert!(said("main.rs", "fn main() { casemate::cli::main() }").is_empty());
    let found = said("main.rs", "fn main() { casemate::ops::run() }");
    assert_eq!(found, ["src/main.rs:1: `main` may not import `ops` (`crate::ops::run`)"]);
}

#[test]
fn unsafe_has_its_places() {
    let text = "fn a() { unsafe { b() } }";

    let found = said("ops/a.rs", text);

    assert_eq!(found, ["src/ops/a.rs:1: `unsafe` outside `sys`"]);
    assert!(said("sys/attempt/a.rs", text).is_empty());
}

#[test]
fn a_long_file_is_named_unless_it_is_a_table() {
    let text = "// x\n".repeat(LINES_MAX + 1);

    assert_eq!(said("plan/a.rs", &text), ["src/plan/a.rs: 401 lines, 400 at most"]);
    assert!(said("seccomp/table/data.rs", &text).is_empty());
}

#[test]
fn comments_literals_and_tests_are_not_imports() {
    let text = r##"
        // use crate::ops;
        /* crate::ops::run /* crate::cli */ */
        const A: &str = "use crate::ops \" unsafe";
        const B: &str = r#"crate::ops::"run""#;
        const C: (char, &[u8]) = ('"', b"crate::ops");
        #[cfg(test)]
        mod tests { use crate::ops; fn a() { std::fs::read("x") } }
        #[cfg(test)]
        use crate::{cli};
        fn a<'a>(b: &'a str) -> crate::spec::Spec<'a> { b }
    "##;

    assert_eq!(said("policy/a.rs", text), Vec::<String>::new());
}

#[test]
fn a_file_of_tests_may_import_what_it_likes() {
    let parent = Source::new("spec/mod.rs", "#[cfg(test)]\nmod tests;\n");
    let child = Source::new("spec/tests/a.rs", "use crate::ops;");

    assert_eq!(breaches(&[parent, child]), Vec::<String>::new());
}
