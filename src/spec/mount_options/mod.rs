//! The options of a mount, from words to what the kernel takes.
//!
//! Every word of the specification is known here, with the meaning that mount(8) gives it, and of
//! two words that contradict each other the later one holds. A word that is not known is data for
//! the file system: it is passed on, never dropped. Nothing here says whether a mount is allowed.
//!
//! Reference: runtime-spec, config.md, "Linux mount options"; mount(8), "FILESYSTEM-INDEPENDENT
//! MOUNT OPTIONS"; mount_setattr(2).

mod idmap;
mod words;

use super::words::Quoted;
use crate::sys::flags::mount_attr as attr;
use words::{Change, Meaning, WORDS};

pub use idmap::{Idmap, OwnMapping, OwnMappingLine};

/// What the options of one mount ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Whether an existing tree is mounted, rather than a file system.
    pub bind: Bind,
    /// Whether an existing mount is changed, rather than one made.
    pub remount: bool,
    /// Attributes of this mount.
    pub attributes: Attributes,
    /// Attributes of this mount and of every mount below it; they prevail over `attributes`.
    pub recursive: Attributes,
    /// How this mount passes mounts on and takes them: one after the other, two at most.
    pub propagation: Vec<Propagation>,
    /// Whether what the image has at the destination is copied into the new tmpfs.
    pub copy_up: bool,
    /// Whether the ids on this mount are translated.
    pub idmap: Option<Idmap>,
    /// By what they are, if the option itself says so.
    pub mapping: Option<OwnMapping>,
    /// Flags of the file system, to be set when it is made.
    pub superblock: Vec<SuperblockOption>,
    /// What is left: keys for the file system itself, each with its value.
    pub data: Vec<(String, Option<String>)>,
}

/// Whether an existing tree is mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bind {
    /// A new file system is mounted.
    #[default]
    No,
    /// The tree at the source, without the mounts in it.
    Tree,
    /// The tree at the source, with the mounts in it.
    Recursive,
}

/// Bits of [`crate::sys::flags::mount_attr`] to set and to clear.
///
/// A bit of the access time mode is only ever set together with clearing
/// [`ATIME_MASK`](crate::sys::flags::mount_attr::ATIME_MASK), as the kernel demands. A bit in
/// neither field was not asked for, and stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Bits to set; they are set after `clear` was cleared.
    pub set: u64,
    /// Bits to clear.
    pub clear: u64,
}

impl Attributes {
    /// Whether nothing was asked for.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.set == 0 && self.clear == 0
    }

    /// The bits of a mount that had `before`.
    #[must_use]
    pub const fn applied_to(self, before: u64) -> u64 {
        (before & !self.clear) | self.set
    }

    const fn take_back_atime(&mut self, mode: u64) {
        if self.clear & attr::ATIME_MASK != 0 && self.set & attr::ATIME_MASK == mode {
            self.clear &= !attr::ATIME_MASK;
            self.set &= !attr::ATIME_MASK;
        }
    }

    const fn change(&mut self, change: Change) {
        match change {
            Change::Set(bit) => {
                self.clear &= !bit;
                self.set |= bit;
            }
            Change::Clear(bit) => {
                self.set &= !bit;
                self.clear |= bit;
            }
            Change::Atime(mode) => {
                self.clear |= attr::ATIME_MASK;
                self.set = (self.set & !attr::ATIME_MASK) | mode;
            }
            Change::NotAtime(mode) => {
                self.clear |= attr::ATIME_MASK;
                if self.set & attr::ATIME_MASK == mode {
                    self.set &= !attr::ATIME_MASK;
                }
            }
        }
    }
}

/// How a mount passes mounts on and takes them. Reference: mount_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Propagation {
    /// The type of the mount.
    pub mode: PropagationMode,
    /// Whether every mount below it gets the type, too.
    pub recursive: bool,
}

/// The propagation type of a mount. Reference: mount_namespaces(7), "Mount propagation types".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropagationMode {
    /// Neither passes on nor takes.
    Private,
    /// Passes on and takes.
    Shared,
    /// Takes, and does not pass on.
    Slave,
    /// Neither, and cannot be the source of a bind mount.
    Unbindable,
}

/// One flag of a file system, on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuperblockOption {
    /// Which.
    pub flag: SuperblockFlag,
    /// On, or off.
    pub on: bool,
}

/// The flags of a file system, as opposed to those of a mount of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuperblockFlag {
    /// Nothing can be written to the file system, through whatever mount.
    ReadOnly,
    /// Every write waits for the device.
    Synchronous,
    /// Every change of a directory waits for the device.
    DirSync,
    /// Mandatory locks; the kernel has none since 5.15.
    Mandatory,
    /// Times are kept in memory for a while.
    LazyTime,
    /// Inodes count their changes.
    InodeVersion,
    /// The kernel logs less about the mount.
    Silent,
}

impl SuperblockFlag {
    /// The word of the specification that switches the flag `on` or off.
    #[must_use]
    pub const fn word(self, on: bool) -> &'static str {
        match (self, on) {
            (Self::ReadOnly, true) => "ro",
            (Self::ReadOnly, false) => "rw",
            (Self::Synchronous, true) => "sync",
            (Self::Synchronous, false) => "async",
            (Self::DirSync, _) => "dirsync",
            (Self::Mandatory, true) => "mand",
            (Self::Mandatory, false) => "nomand",
            (Self::LazyTime, true) => "lazytime",
            (Self::LazyTime, false) => "nolazytime",
            (Self::InodeVersion, true) => "iversion",
            (Self::InodeVersion, false) => "noiversion",
            (Self::Silent, true) => "silent",
            (Self::Silent, false) => "loud",
        }
    }

    /// The key that `fsconfig(FSCONFIG_SET_FLAG)` knows the flag by, switched `on` or off. `None`
    /// if there is none: the flag is what a new file system has, or exists for mount(2) alone.
    #[must_use]
    pub const fn fsconfig_key(self, on: bool) -> Option<&'static str> {
        match (self, on) {
            (Self::ReadOnly, true) => Some("ro"),
            (Self::ReadOnly, false) => Some("rw"),
            (Self::Synchronous, true) => Some("sync"),
            (Self::Synchronous, false) => Some("async"),
            (Self::DirSync, true) => Some("dirsync"),
            (Self::Mandatory, true) => Some("mand"),
            (Self::Mandatory, false) => Some("nomand"),
            (Self::LazyTime, true) => Some("lazytime"),
            (Self::LazyTime, false) => Some("nolazytime"),
            (Self::DirSync, false) | (Self::InodeVersion | Self::Silent, _) => None,
        }
    }
}

/// An option that cannot be meant: its place in the list, from zero, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadOption {
    /// Its index; `None` if the fault lies in how options and type go together.
    pub index: Option<usize>,
    /// What is wrong.
    pub what: String,
}

/// Every word that is not data for a file system, in the order of the alphabet.
pub fn words() -> impl Iterator<Item = &'static str> {
    WORDS.iter().map(|(word, _)| *word)
}

impl MountOptions {
    /// Reads the options of a mount of the type `typ`. The type `bind` is taken for the word.
    ///
    /// # Errors
    /// Every option that cannot be meant: empty, several in one, two propagation types, the source
    /// as an option, data or a copy on a bind mount, translated ids on anything else.
    pub fn parse(typ: Option<&str>, options: &[String]) -> Result<Self, Vec<BadOption>> {
        let mut parsed = Self::default();
        let mut bad = Vec::new();
        for (index, option) in options.iter().enumerate() {
            if let Err(what) = parsed.add(option) {
                bad.push(BadOption { index: Some(index), what });
            }
        }
        if parsed.bind == Bind::No && typ == Some("bind") {
            parsed.bind = Bind::Tree;
        }
        if let Err(what) = parsed.check_together(typ) {
            bad.push(BadOption { index: None, what });
        }
        if bad.is_empty() { Ok(parsed) } else { Err(bad) }
    }

    fn add(&mut self, option: &str) -> Result<(), String> {
        let found = WORDS.binary_search_by(|(word, _)| (*word).cmp(option));
        let Some((_, meaning)) = found.ok().and_then(|i| WORDS.get(i)) else {
            return self.add_data(option);
        };
        match *meaning {
            Meaning::Nothing => {}
            // `rbind` holds against `bind`, in whatever order.
            Meaning::Bind(Bind::Recursive) => self.bind = Bind::Recursive,
            Meaning::Bind(_) if self.bind == Bind::Recursive => {}
            Meaning::Bind(bind) => self.bind = bind,
            Meaning::Remount => self.remount = true,
            Meaning::ReadOnly(on) => {
                let bit = attr::RDONLY;
                self.attributes.change(if on { Change::Set(bit) } else { Change::Clear(bit) });
                self.set_superblock(SuperblockFlag::ReadOnly, on);
            }
            // Such a word takes back another of this list; alone it asks for no mode, and
            // mount(2) leaves a mount that is bound the one it has.
            Meaning::Mount(Change::NotAtime(mode)) => self.attributes.take_back_atime(mode),
            Meaning::Mount(change) => self.attributes.change(change),
            Meaning::Recursive(change) => self.recursive.change(change),
            Meaning::Superblock(flag, on) => self.set_superblock(flag, on),
            Meaning::Propagate(mode, recursive) => {
                let new = Propagation { mode, recursive };
                if !self.propagation.contains(&new) {
                    self.propagation.push(new);
                }
                if self.propagation.len() > 2 {
                    return Err(format!("{} is the third propagation", Quoted(option)));
                }
            }
            Meaning::CopyUp => self.copy_up = true,
            Meaning::Idmap(idmap) => self.idmap = Some(idmap),
        }
        Ok(())
    }

    fn set_superblock(&mut self, flag: SuperblockFlag, on: bool) {
        self.superblock.retain(|option| option.flag != flag);
        self.superblock.push(SuperblockOption { flag, on });
    }

    fn add_data(&mut self, option: &str) -> Result<(), String> {
        let (key, value) = match option.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (option, None),
        };
        if key.is_empty() {
            return Err("an option without a name".to_owned());
        }
        if key.contains(',') {
            return Err(format!("{} is several options in one", Quoted(option)));
        }
        let idmap = match key {
            "idmap" => Some(Idmap::Mount),
            "ridmap" => Some(Idmap::Recursive),
            _ => None,
        };
        if let (Some(idmap), Some(text)) = (idmap, &value) {
            self.idmap = Some(idmap);
            self.mapping = Some(OwnMapping::parse(text)?);
            return Ok(());
        }
        if key == "source" {
            return Err("the source of a mount is no option of it".to_owned());
        }
        self.data.push((key.to_owned(), value));
        Ok(())
    }

    fn check_together(&self, typ: Option<&str>) -> Result<(), String> {
        let is_bind = self.bind != Bind::No;
        if let (true, Some((key, _))) = (is_bind, self.data.first()) {
            let key = Quoted(key);
            return Err(format!("{key} is for a file system, and a bind mount makes none"));
        }
        if self.copy_up && (is_bind || typ != Some("tmpfs")) {
            return Err("`tmpcopyup` is for a tmpfs alone".to_owned());
        }
        if self.idmap.is_some() && !is_bind {
            return Err("`idmap` and `ridmap` are for a bind mount alone".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
