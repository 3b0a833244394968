//! Where things stand in the file that the user gave: the compiler speaks of a `config.json`.

/// How the compiler begins its addresses.
const COMPILERS: &str = "/linux/seccomp";

/// The list of rules below it.
const RULES: &str = "/syscalls/";

/// The user's own addresses.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses {
    /// Whether the profile stands in a whole `config.json`.
    pub(super) in_config: bool,
    /// Of each rule that was compiled, its place in the file, if some were left out.
    pub(super) places: Option<Vec<usize>>,
}

impl Addresses {
    /// A sentence of the compiler's with the addresses of the user's file.
    pub(super) fn relocate(&self, sentence: &str) -> String {
        let mut out = String::with_capacity(sentence.len());
        let mut rest = sentence;
        while let Some((before, after)) = rest.split_once(COMPILERS) {
            out.push_str(before);
            let (index, tail) = rule(after);
            rest = tail;
            match index {
                Some(index) => {
                    out.push_str(self.root());
                    out.push_str(RULES);
                    out.push_str(&self.place(index).to_string());
                }
                None if rest.starts_with('/') || self.in_config => out.push_str(self.root()),
                None => out.push_str("the profile"),
            }
        }
        out.push_str(rest);
        out
    }

    fn root(&self) -> &'static str {
        if self.in_config { COMPILERS } else { "" }
    }

    fn place(&self, index: usize) -> usize {
        match &self.places {
            Some(places) => places.get(index).copied().unwrap_or(index),
            None => index,
        }
    }
}

/// The number of a rule, if one comes next, and what follows.
fn rule(text: &str) -> (Option<usize>, &str) {
    let Some(digits) = text.strip_prefix(RULES) else { return (None, text) };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (number, tail) = digits.split_at(end);
    match number.parse() {
        Ok(number) => (Some(number), tail),
        Err(_) => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_users_file() {
        let bare = Addresses { in_config: false, places: Some(vec![0, 4, 9]) };
        let config = Addresses { in_config: true, places: None };
        let said =
            "/linux/seccomp/syscalls/2/names/1: decides nothing, /linux/seccomp/syscalls/1 does";

        assert_eq!(bare.relocate(said), "/syscalls/9/names/1: decides nothing, /syscalls/4 does");
        assert_eq!(config.relocate(said), said);
        assert_eq!(bare.relocate("/linux/seccomp/flags/0: no"), "/flags/0: no");
        assert_eq!(bare.relocate("/linux/seccomp: too long"), "the profile: too long");
        assert_eq!(bare.relocate("nothing here"), "nothing here");
    }
}
