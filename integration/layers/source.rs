//! Rust source as words: enough of the language to find paths, modules, tests and `unsafe`.

/// A word of the source, and the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// An identifier, `::`, or a single sign. Comments and literals are gone.
    pub(super) text: String,
    /// Counted from 1.
    pub(super) line: usize,
}

/// A path with all its parts, groups spelled out: `use a::{b, c}` is `a::b` and `a::c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundPath {
    /// From the root of the crate, or from the name of another crate.
    pub(super) parts: Vec<String>,
    /// The line it begins on.
    pub(super) line: usize,
}

/// Splits source into words.
pub(super) fn words(source: &str) -> Vec<Word> {
    let text: Vec<char> = source.chars().collect();
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < text.len() {
        let end = word_end(&text, at);
        let word: String = text[at..end].iter().collect();
        let first = text[at];
        let sign = end == at + 1 && !first.is_whitespace() && !first.is_ascii_digit();
        if word == "::" || sign || is_name(&word) {
            found.push(Word { text: word.clone(), line });
        }
        line += word.matches('\n').count();
        at = end;
    }
    found
}

/// Where the word, comment or literal that begins at `at` ends.
fn word_end(text: &[char], at: usize) -> usize {
    let next = text.get(at + 1).copied();
    match text[at] {
        '/' if next == Some('/') => position(text, at, |rest| rest[0] == '\n'),
        '/' if next == Some('*') => block_comment_end(text, at),
        '"' => string_end(text, at),
        '\'' => quote_end(text, at),
        ':' if next == Some(':') => at + 2,
        first if first.is_alphanumeric() || first == '_' => {
            let end = position(text, at, |rest| !rest[0].is_alphanumeric() && rest[0] != '_');
            literal_after(text, at, end)
        }
        _ => at + 1,
    }
}

fn position(text: &[char], from: usize, is_end: impl Fn(&[char]) -> bool) -> usize {
    (from..text.len()).find(|&at| is_end(&text[at..])).unwrap_or(text.len())
}

fn block_comment_end(text: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at < text.len() {
        match text[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string_end(text: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// A character literal, or the tick of a lifetime.
fn quote_end(text: &[char], from: usize) -> usize {
    match text[from..] {
        [_, '\\', _, ..] => (position(text, from + 3, |rest| rest[0] == '\'') + 1).min(text.len()),
        [_, _, '\'', ..] => from + 3,
        _ => from + 1,
    }
}

/// A word that is the prefix of a literal, as in `b"x"`, `c"x"` and `r#"x"#`, ends with it.
fn literal_after(text: &[char], from: usize, end: usize) -> usize {
    let prefix: String = text[from..end].iter().collect();
    if !["b", "c", "r", "br", "cr"].contains(&prefix.as_str()) {
        return end;
    }
    let open = position(text, end, |rest| rest[0] != '#');
    let hashes = open - end;
    match text.get(open) {
        Some('"') if prefix.ends_with('r') => {
            let close = |rest: &[char]| {
                rest[0] == '"'
                    && rest.iter().skip(1).take_while(|sign| **sign == '#').count() >= hashes
            };
            (position(text, open + 1, close) + 1 + hashes).min(text.len())
        }
        Some('"') if hashes == 0 => string_end(text, open),
        Some('\'') if hashes == 0 && prefix == "b" => quote_end(text, open),
        _ => end,
    }
}

fn is(words: &[Word], at: usize, wanted: &[&str]) -> bool {
    wanted
        .iter()
        .enumerate()
        .all(|(index, want)| words.get(at + index).is_some_and(|word| word.text == *want))
}

/// Takes out everything under `#[cfg(test)]`; gives the rest, and the names of the modules whose
/// files are tests.
pub(super) fn without_tests(words: &[Word]) -> (Vec<Word>, Vec<String>) {
    let (mut kept, mut modules, mut at) = (Vec::new(), Vec::new(), 0);
    while at < words.len() {
        if is(words, at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            let end = item_end(words, at + 7);
            let item = &words[at + 7..end];
            if let Some(name) = item.iter().position(|word| word.text == "mod")
                && is(item, name + 2, &[";"])
            {
                modules.push(item[name + 1].text.clone());
            }
            at = end;
        } else {
            kept.push(words[at].clone());
            at += 1;
        }
    }
    (kept, modules)
}

/// Where the item that begins at `at` ends: after its body, or after its semicolon.
fn item_end(words: &[Word], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, word) in words.iter().enumerate().skip(from) {
        match word.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        let body_ends = word.text == "}" && !is(words, at + 1, &[";"]);
        if depth == 0 && (body_ends || word.text == ";") {
            return at + 1;
        }
    }
    words.len()
}

/// The modules that the source declares, with or without a body.
pub(super) fn declared_modules(words: &[Word]) -> Vec<(String, usize)> {
    let declared = |at: usize| {
        let named =
            words[at].text == "mod" && (is(words, at + 2, &[";"]) || is(words, at + 2, &["{"]));
        named.then(|| (words[at + 1].text.clone(), words[at].line))
    };
    (0..words.len()).filter_map(declared).collect()
}

/// Every path that begins with `crate`, `super` or the name of a crate, as seen from `module`.
pub(super) fn paths(words: &[Word], module: &[String]) -> Vec<FoundPath> {
    let mut found = Vec::new();
    let mut inner: Vec<(usize, String)> = Vec::new();
    let (mut depth, mut at) = (0_usize, 0);
    while at < words.len() {
        let mut next = at + 1;
        match words[at].text.as_str() {
            "{" => {
                depth += 1;
                if at >= 2 && words[at - 2].text == "mod" {
                    inner.push((depth, words[at - 1].text.clone()));
                }
            }
            "}" => {
                inner.retain(|(open, _)| *open < depth);
                depth = depth.saturating_sub(1);
            }
            _ if begins_path(words, at) => {
                let mut here = module.to_vec();
                here.extend(inner.iter().map(|(_, name)| name.clone()));
                let mut tree = Vec::new();
                next = next.max(spell_out(words, at, &[], &mut tree));
                let line = words[at].line;
                let rooted = tree.into_iter().map(|parts| rooted(parts, &here));
                found.extend(rooted.map(|parts| FoundPath { parts, line }));
            }
            _ => {}
        }
        at = next;
    }
    found
}

/// Words that may stand before a path that begins with `::`.
const KEYWORDS: &[&str] = &[
    "as", "break", "dyn", "else", "for", "if", "impl", "in", "match", "mut", "return", "use",
    "where", "while",
];

fn begins_path(words: &[Word], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map_or("", |at| words[at].text.as_str());
    let word = words[at].text.as_str();
    let leading = before(1) == "::" && (KEYWORDS.contains(&before(2)) || !is_name(before(2)));
    let after_use = before(1) == "use" || (leading && before(2) == "use");
    let begins = before(1) != "::" || leading;
    let name = is_name(word) && !KEYWORDS.contains(&word);
    name && begins && (after_use || is(words, at + 1, &["::"]))
}

fn is_name(word: &str) -> bool {
    let of_name = |sign: char| sign.is_alphanumeric() || sign == '_';
    word.chars().all(of_name) && !word.starts_with(|first: char| first.is_ascii_digit())
}

/// Spells out the groups of the path at `at`; gives where it ends.
fn spell_out(words: &[Word], at: usize, before: &[String], out: &mut Vec<Vec<String>>) -> usize {
    let mut parts = before.to_vec();
    let mut at = at;
    loop {
        match words.get(at).map(|word| word.text.as_str()) {
            Some("{") => {
                at += 1;
                while at < words.len() && !is(words, at, &["}"]) {
                    at = (at + 1).max(spell_out(words, at, &parts, out));
                    while is(words, at, &[","]) {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Some(word) if is_name(word) || word == "*" => parts.push(word.to_owned()),
            _ => {
                out.push(parts);
                return at;
            }
        }
        at += 1;
        if is(words, at, &["as"]) {
            at += 2;
        }
        if !is(words, at, &["::"]) {
            out.push(parts);
            return at;
        }
        at += 1;
    }
}

/// Replaces `crate`, `casemate`, `self` and `super` by where they lead; our own paths begin with
/// `crate`.
fn rooted(parts: Vec<String>, here: &[String]) -> Vec<String> {
    let ours = || std::iter::once("crate".to_owned());
    match parts.first().map(String::as_str) {
        Some("crate" | "casemate") => ours().chain(parts.into_iter().skip(1)).collect(),
        Some("self" | "super") => {
            let ups = parts.iter().filter(|part| *part == "super").count();
            let kept = here.len().saturating_sub(ups);
            let rest = parts.into_iter().filter(|part| part != "super" && part != "self");
            ours().chain(here[..kept].iter().cloned()).chain(rest).collect()
        }
        _ => parts,
    }
}
