//! Every word of the specification, with the meaning that mount(8) gives it.

use super::{Bind, Idmap, PropagationMode, SuperblockFlag};
use crate::sys::flags::mount_attr as attr;

#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Set(u64),
    Clear(u64),
    /// Takes the access time mode with these bits.
    Atime(u64),
    /// Leaves the mode with these bits, for the kernel's default, if it was taken before.
    NotAtime(u64),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Meaning {
    Nothing,
    Bind(Bind),
    Remount,
    ReadOnly(bool),
    Mount(Change),
    Recursive(Change),
    Superblock(SuperblockFlag, bool),
    Propagate(PropagationMode, bool),
    CopyUp,
    Idmap(Idmap),
}

use Meaning::{Mount, Propagate, Recursive, Superblock};

/// Every word, in the order of the alphabet, which is also how `features` lists them.
#[rustfmt::skip]
pub(super) const WORDS: &[(&str, Meaning)] = &[
    ("async", Superblock(SuperblockFlag::Synchronous, false)),
    ("atime", Mount(Change::NotAtime(attr::NOATIME))),
    ("bind", Meaning::Bind(Bind::Tree)),
    ("defaults", Meaning::Nothing),
    ("dev", Mount(Change::Clear(attr::NODEV))),
    ("diratime", Mount(Change::Clear(attr::NODIRATIME))),
    ("dirsync", Superblock(SuperblockFlag::DirSync, true)),
    ("exec", Mount(Change::Clear(attr::NOEXEC))),
    ("idmap", Meaning::Idmap(Idmap::Mount)),
    ("iversion", Superblock(SuperblockFlag::InodeVersion, true)),
    ("lazytime", Superblock(SuperblockFlag::LazyTime, true)),
    ("loud", Superblock(SuperblockFlag::Silent, false)),
    ("mand", Superblock(SuperblockFlag::Mandatory, true)),
    ("noatime", Mount(Change::Atime(attr::NOATIME))),
    ("nodev", Mount(Change::Set(attr::NODEV))),
    ("nodiratime", Mount(Change::Set(attr::NODIRATIME))),
    ("noexec", Mount(Change::Set(attr::NOEXEC))),
    ("noiversion", Superblock(SuperblockFlag::InodeVersion, false)),
    ("nolazytime", Superblock(SuperblockFlag::LazyTime, false)),
    ("nomand", Superblock(SuperblockFlag::Mandatory, false)),
    // Relative times are the kernel's default: not asking for them is asking for the default.
    ("norelatime", Mount(Change::NotAtime(attr::RELATIME))),
    ("nostrictatime", Mount(Change::NotAtime(attr::STRICTATIME))),
    ("nosuid", Mount(Change::Set(attr::NOSUID))),
    ("nosymfollow", Mount(Change::Set(attr::NOSYMFOLLOW))),
    ("private", Propagate(PropagationMode::Private, false)),
    ("ratime", Recursive(Change::NotAtime(attr::NOATIME))),
    ("rbind", Meaning::Bind(Bind::Recursive)),
    ("rdev", Recursive(Change::Clear(attr::NODEV))),
    ("rdiratime", Recursive(Change::Clear(attr::NODIRATIME))),
    ("relatime", Mount(Change::Atime(attr::RELATIME))),
    ("remount", Meaning::Remount),
    ("rexec", Recursive(Change::Clear(attr::NOEXEC))),
    ("ridmap", Meaning::Idmap(Idmap::Recursive)),
    ("rnoatime", Recursive(Change::Atime(attr::NOATIME))),
    ("rnodev", Recursive(Change::Set(attr::NODEV))),
    ("rnodiratime", Recursive(Change::Set(attr::NODIRATIME))),
    ("rnoexec", Recursive(Change::Set(attr::NOEXEC))),
    ("rnorelatime", Recursive(Change::NotAtime(attr::RELATIME))),
    ("rnostrictatime", Recursive(Change::NotAtime(attr::STRICTATIME))),
    ("rnosuid", Recursive(Change::Set(attr::NOSUID))),
    ("rnosymfollow", Recursive(Change::Set(attr::NOSYMFOLLOW))),
    ("ro", Meaning::ReadOnly(true)),
    ("rprivate", Propagate(PropagationMode::Private, true)),
    ("rrelatime", Recursive(Change::Atime(attr::RELATIME))),
    ("rro", Recursive(Change::Set(attr::RDONLY))),
    ("rrw", Recursive(Change::Clear(attr::RDONLY))),
    ("rshared", Propagate(PropagationMode::Shared, true)),
    ("rslave", Propagate(PropagationMode::Slave, true)),
    ("rstrictatime", Recursive(Change::Atime(attr::STRICTATIME))),
    ("rsuid", Recursive(Change::Clear(attr::NOSUID))),
    ("rsymfollow", Recursive(Change::Clear(attr::NOSYMFOLLOW))),
    ("runbindable", Propagate(PropagationMode::Unbindable, true)),
    ("rw", Meaning::ReadOnly(false)),
    ("shared", Propagate(PropagationMode::Shared, false)),
    ("silent", Superblock(SuperblockFlag::Silent, true)),
    ("slave", Propagate(PropagationMode::Slave, false)),
    ("strictatime", Mount(Change::Atime(attr::STRICTATIME))),
    ("suid", Mount(Change::Clear(attr::NOSUID))),
    ("symfollow", Mount(Change::Clear(attr::NOSYMFOLLOW))),
    ("sync", Superblock(SuperblockFlag::Synchronous, true)),
    ("tmpcopyup", Meaning::CopyUp),
    ("unbindable", Propagate(PropagationMode::Unbindable, false)),
];
