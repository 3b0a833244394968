//! Whose ids are translated on a mount, and by what: the words `idmap` and `ridmap`.
//!
//! With a value they carry a mapping, in the form that crun gave it: `uids=0-1000-10#50-60-1` and
//! `gids=...`, divided by `;`. A line is the first id of the file system, the first id of the host,
//! and how many; after `@` the second is an id inside the container instead.

use super::super::words::Quoted;

/// Whose ids are translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idmap {
    /// Those of the mount alone.
    Mount,
    /// Those of the mount and of every mount below it.
    Recursive,
}

/// A mapping that stands in the option.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnMapping {
    /// Of users.
    pub uids: Vec<OwnMappingLine>,
    /// Of groups.
    pub gids: Vec<OwnMappingLine>,
}

/// One line of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnMappingLine {
    /// First id on the file system.
    pub on_disk: u32,
    /// First id that it is seen as.
    pub seen_as: u32,
    /// How many.
    pub size: u32,
    /// Whether `seen_as` is an id inside the container, rather than one of the host.
    pub inside: bool,
}

impl OwnMapping {
    /// Reads what stands after `idmap=`.
    ///
    /// # Errors
    /// What is wrong with it, as a clause.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut mapping = Self::default();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let list = match part.split_once('=') {
                Some(("uids", lines)) => (&mut mapping.uids, lines),
                Some(("gids", lines)) => (&mut mapping.gids, lines),
                Some(_) | None => {
                    return Err(format!("{} is neither `uids=` nor `gids=`", Quoted(part)));
                }
            };
            let lines = list.1.split('#').filter(|line| !line.is_empty());
            *list.0 = lines.map(OwnMappingLine::parse).collect::<Result<_, _>>()?;
        }
        if mapping.uids.is_empty() || mapping.gids.is_empty() {
            return Err("a mapping needs both `uids=` and `gids=`".to_owned());
        }
        Ok(mapping)
    }
}

impl OwnMappingLine {
    fn parse(line: &str) -> Result<Self, String> {
        let wrong = || format!("{} is not ID-ID-COUNT", Quoted(line));
        let (inside, numbers) = match line.strip_prefix('@') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let numbers: Vec<u32> = numbers
            .split('-')
            .map(|number| number.parse().map_err(|_| wrong()))
            .collect::<Result<_, _>>()?;
        match numbers.as_slice() {
            [_, _, 0] => Err(wrong()),
            [on_disk, seen_as, size] => {
                Ok(Self { on_disk: *on_disk, seen_as: *seen_as, size: *size, inside })
            }
            _ => Err(wrong()),
        }
    }
}
