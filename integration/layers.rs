//! Who may import whom, and how large a file may be. Reads the sources; runs nothing.
//!
//! What is found in `src`: an import against the table below, a module that the table does not
//! know, the world outside in a pure module, `unsafe` where none is allowed, a file that is too
//! long. Tests beside the code may import what they like.

mod source;
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use source::{FoundPath, Word};

/// Modules, lowest layer first, and what each may import beside itself. `"sys::flags"` is that
/// module and nothing else of `sys`.
const TABLE: &[(&str, &[&str])] = &[
    ("sys", &[]),
    ("spec", &["sys::flags"]),
    ("policy", &["spec"]),
    ("seccomp", &["spec"]),
    ("plan", &["policy", "seccomp", "spec", "sys::flags"]),
    ("host", BELOW_THE_SHELL),
    ("cgroup", BELOW_THE_SHELL),
    ("store", BELOW_THE_SHELL),
    ("audit", BELOW_THE_SHELL),
    ("criu", BELOW_THE_SHELL),
    ("engine", BELOW_THE_ENGINE),
    ("record", BELOW_THE_ENGINE),
    ("doctor", BELOW_THE_ENGINE),
    ("verify", BELOW_THE_ENGINE),
    ("selftest", BELOW_THE_ENGINE),
    ("ops", BELOW_THE_OPERATIONS),
    ("cli", CLI),
];

const BELOW_THE_SHELL: &[&str] = &["plan", "policy", "seccomp", "spec", "sys"];

const BELOW_THE_ENGINE: &[&str] =
    &["audit", "cgroup", "criu", "host", "plan", "policy", "seccomp", "spec", "store", "sys"];

const BELOW_THE_OPERATIONS: &[&str] = &[
    "audit", "cgroup", "criu", "doctor", "engine", "host", "plan", "policy", "record", "seccomp",
    "selftest", "spec", "store", "sys", "verify",
];

/// Operations, and what they give and take: plans, reports and verdicts of filters are shown,
/// documents of the specification printed; `sys` for errors and for the caller's descriptors.
const CLI: &[&str] =
    &["doctor", "ops", "plan", "seccomp", "selftest", "spec", "store::rfc3339", "sys"];

/// The program itself: the command line, and the allocators that only a program can choose.
const MAIN: &[&str] = &["cli", "sys::alloc_guard", "sys::arena"];

/// Modules that decide and never do.
const PURE: &[&str] = &["spec", "policy", "seccomp", "plan"];

/// Files of other modules that are pure.
const PURE_FILES: &[&[&str]] =
    &[&["record", "generate"], &["record", "narrow"], &["record", "report"]];

/// What a pure module has no part in.
const OUTSIDE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time",
    "libc",
    "nix",
    "rustix",
];

/// Where `unsafe` may stand: a directory with all below it, or a file.
const UNSAFE: &[&str] = &["sys/", "engine/spawn.rs"];

/// Lines of a file. Tables are generated, and nobody reads them from top to bottom.
const LINES_MAX: usize = 400;

/// One file of `src`.
struct Source {
    /// Below `src`, with `/`.
    name: String,
    /// Everything in it.
    words: Vec<Word>,
    lines: usize,
}

impl Source {
    fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), words: source::words(text), lines: text.lines().count() }
    }

    /// Its path in the tree of modules: `plan/mod.rs` is `plan`, `plan/build.rs` `plan::build`.
    fn module(&self) -> Vec<String> {
        let path = self.name.trim_end_matches(".rs");
        let mut parts: Vec<_> = path.split('/').map(str::to_owned).collect();
        if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
            parts.pop();
        }
        parts
    }
}

/// Everything that is wrong, each as a sentence that names file, line and rule.
fn breaches(sources: &[Source]) -> Vec<String> {
    let mut tests: Vec<Vec<String>> = Vec::new();
    for source in sources {
        for name in source::without_tests(&source.words).1 {
            let mut module = source.module();
            module.push(name);
            tests.push(module);
        }
    }
    let is_test = |source: &Source| {
        let module = source.module();
        tests.iter().any(|test| module.starts_with(test))
    };
    let mut found = Vec::new();
    for source in sources {
        found.extend(too_long(source));
        found.extend(misplaced_unsafe(source));
        if !is_test(source) {
            found.extend(unknown_modules(source));
            found.extend(forbidden_paths(source));
        }
    }
    found
}

fn too_long(source: &Source) -> Option<String> {
    let table = source.name.contains("/table/");
    (source.lines > LINES_MAX && !table)
        .then(|| format!("src/{}: {} lines, {LINES_MAX} at most", source.name, source.lines))
}

fn misplaced_unsafe(source: &Source) -> Vec<String> {
    let allowed = |place: &str| match place.strip_suffix('/') {
        Some(_) => source.name.starts_with(place),
        None => source.name == place,
    };
    if UNSAFE.iter().any(|place| allowed(place)) {
        return Vec::new();
    }
    let uses = source.words.iter().filter(|word| word.text == "unsafe");
    uses.map(|word| format!("src/{}:{}: `unsafe` outside `sys`", source.name, word.line)).collect()
}

fn is_known(module: &str) -> bool {
    TABLE.iter().any(|(name, _)| *name == module)
}

/// Modules that have no layer: in the root of the library, or as a file.
fn unknown_modules(source: &Source) -> Vec<String> {
    let module = source.module();
    let unknown = |name: &str, line: usize| {
        format!("src/{}:{line}: module `{name}` is not in the table of layers", source.name)
    };
    match module.first().map(String::as_str) {
        None => source::declared_modules(&source::without_tests(&source.words).0)
            .into_iter()
            .filter(|(name, _)| !is_known(name))
            .map(|(name, line)| unknown(&name, line))
            .collect(),
        Some("main") => Vec::new(),
        Some(name) if is_known(name) => Vec::new(),
        Some(name) => vec![unknown(name, 1)],
    }
}

/// Paths that a module's layer has no right to.
fn forbidden_paths(source: &Source) -> Vec<String> {
    let mut module = source.module();
    let owner = match module.first().map(String::as_str) {
        None => return Vec::new(),
        Some("main") => "main".to_owned(),
        Some(name) => name.to_owned(),
    };
    let is_pure = |file: &&[&str]| module.iter().map(String::as_str).eq(file.iter().copied());
    let pure = PURE.contains(&owner.as_str()) || PURE_FILES.iter().any(is_pure);
    if owner == "main" {
        module.clear();
    }
    let words = source::without_tests(&source.words).0;
    let mut found: Vec<String> = source::paths(&words, &module)
        .iter()
        .filter_map(|path| Some((path, fault(&owner, pure, path)?)))
        .map(|(path, fault)| format!("src/{}:{}: {fault}", source.name, path.line))
        .collect();
    found.dedup();
    found
}

/// What is wrong with a path in a module, as a clause.
fn fault(owner: &str, pure: bool, path: &FoundPath) -> Option<String> {
    let written = path.parts.join("::");
    if path.parts.first().is_some_and(|first| first == "crate") {
        let Some(target) = path.parts.get(1) else {
            return Some(format!("`{owner}` imports the root of the crate itself"));
        };
        if target == owner || may_import(owner, target, path.parts.get(2)) {
            return None;
        }
        return Some(if is_known(target) {
            format!("`{owner}` may not import `{target}` (`{written}`)")
        } else {
            format!("`{owner}` imports `{written}`, which has no layer")
        });
    }
    let outside = OUTSIDE
        .iter()
        .find(|name| written == **name || written.starts_with(&format!("{name}::")))
        .or_else(|| (written == "std").then_some(&"std"));
    let outside = outside.filter(|_| pure);
    outside.map(|name| format!("`{owner}` is pure, and may not use `{name}` (`{written}`)"))
}

fn may_import(owner: &str, target: &str, part: Option<&String>) -> bool {
    let allowed = match TABLE.iter().find(|(name, _)| *name == owner) {
        Some((_, allowed)) => *allowed,
        None => MAIN,
    };
    let narrow = part.map(|part| format!("{target}::{part}"));
    allowed.contains(&target) || narrow.is_some_and(|narrow| allowed.contains(&narrow.as_str()))
}

/// All of `src`.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                found.push(Source::new(name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}
