//! What the file of one block says: who has it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::process::ProcessId;
use crate::spec::id::ContainerId;
use crate::sys::{Errno, Result};

const VERSION: u32 = 1;

/// A container, told from all others of the host: see [`crate::store::Entry::owner`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// The state root, absolute and without links.
    pub root: String,
    /// The id below it.
    pub id: ContainerId,
}

/// The owners of one block.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Block {
    version: u32,
    /// One container, or those of a pod.
    owners: Vec<Owner>,
    /// The command that took it. Until it ends, it may be about to map the block.
    taker: ProcessId,
    /// The pid namespace in which that number, and the search for who maps the block, hold.
    pid_namespace: u64,
}

/// What a block's file tells.
#[derive(Debug)]
pub(super) enum BlockState {
    /// There is no file.
    Free,
    Held(Block),
    /// Empty or cut: whoever wrote it was killed.
    Torn,
    /// Complete, but not as we write it, perhaps by another casemate.
    Unknown,
}

impl Block {
    /// # Errors
    /// What reading `/proc` gave.
    pub(super) fn new(owner: &Owner) -> Result<Self> {
        Ok(Self {
            version: VERSION,
            owners: vec![owner.clone()],
            taker: ProcessId::observe_self()?,
            pid_namespace: pid_namespace()?,
        })
    }

    pub(super) fn parse(bytes: &[u8]) -> BlockState {
        match serde_json::from_slice::<Self>(bytes) {
            Ok(block) if block.version == VERSION => BlockState::Held(block),
            Ok(_) => BlockState::Unknown,
            // What is JSON to its end was written to its end.
            Err(error) if error.is_data() => BlockState::Unknown,
            Err(_) => BlockState::Torn,
        }
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|_| Errno::EINVAL)
    }

    /// A block is looked for by the name of who took it.
    pub(super) fn hash_key(&self) -> Vec<u8> {
        let name = |owner: &Owner| format!("{}/{}", owner.root, owner.id).into_bytes();
        self.owners.first().map(name).unwrap_or_default()
    }

    pub(super) fn into_owners(self) -> Vec<Owner> {
        self.owners
    }

    pub(super) fn has(&self, owner: &Owner) -> bool {
        self.owners.contains(owner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    pub(super) fn add(&mut self, owner: &Owner) {
        if !self.has(owner) {
            self.owners.push(owner.clone());
        }
    }

    pub(super) fn remove(&mut self, owner: &Owner) {
        self.owners.retain(|other| other != owner);
    }

    /// Whether no owner is left, as far as state directories tell; what is mapped is another
    /// question.
    ///
    /// `asking` holds its own state directory locked and has no range yet, so an entry in its
    /// name is from an earlier life. The taker may be `asking` itself.
    pub(super) fn is_deserted(&self, asking: Option<&Owner>) -> bool {
        let gone = |owner: &Owner| {
            let path = Path::new(&owner.root).join(owner.id.as_str());
            Some(owner) == asking || matches!(path.try_exists(), Ok(false))
        };
        self.owners.iter().all(gone)
            && pid_namespace().is_ok_and(|ours| ours == self.pid_namespace)
            && self.taker_is_gone(asking)
    }

    fn taker_is_gone(&self, asking: Option<&Owner>) -> bool {
        let of_asking = self.owners.iter().all(|owner| Some(owner) == asking);
        let is_self = || ProcessId::observe_self().is_ok_and(|this| this == self.taker);
        matches!(self.taker.is_alive(), Ok(false)) || (of_asking && is_self())
    }
}

fn pid_namespace() -> Result<u64> {
    let stat = rustix::fs::stat("/proc/self/ns/pid");
    stat.map(|stat| stat.st_ino).map_err(crate::sys::errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(root: &str) -> Owner {
        Owner { root: root.to_owned(), id: ContainerId::parse("x").unwrap() }
    }

    #[test]
    fn a_cut_file_is_torn_and_a_strange_one_is_not() {
        let whole = Block::new(&owner("/r")).unwrap().to_json().unwrap();

        for length in 0..whole.len() {
            assert!(matches!(Block::parse(&whole[..length]), BlockState::Torn), "{length}");
        }
        assert!(matches!(Block::parse(&whole), BlockState::Held(_)));
        assert!(matches!(Block::parse(br#"{"version":2}"#), BlockState::Unknown));
        assert!(matches!(Block::parse(br#"{"version":1,"new":0}"#), BlockState::Unknown));
    }

    #[test]
    fn a_block_is_deserted_only_without_directory_and_taker() {
        let dir = tempfile::tempdir().unwrap();
        let here = owner(dir.path().to_str().unwrap());
        let mut block = Block::new(&here).unwrap();

        assert!(!block.is_deserted(None), "its taker lives");
        block.taker =
            serde_json::from_str(r#"{"pid":1,"start_time":18446744073709551615}"#).unwrap();
        assert!(block.is_deserted(None));
        std::fs::create_dir(dir.path().join("x")).unwrap();
        assert!(!block.is_deserted(None), "its state directory exists");
        assert!(block.is_deserted(Some(&here)), "the owner itself asks");
        assert!(!block.is_deserted(Some(&owner("/elsewhere"))));
        block.pid_namespace += 1;
        assert!(!block.is_deserted(Some(&here)), "its processes may be out of sight");
    }
}
