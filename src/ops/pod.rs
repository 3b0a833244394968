//! Finds the pod that a container is of: the live container whose namespaces it joins, or whose
//! sandbox it names. Changes nothing.
//!
//! A path to a namespace is not believed: it must lead to a container that the state root knows,
//! that lives, whose process is really in that user namespace, and that is related to this one
//! ([`crate::policy::pods`]).

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Spec;

use super::{Context, OpsError, RANGES, Result};
use crate::engine::PodMember;
use crate::host::boxes::{self, Inhabitants};
use crate::plan::action::{IdMapping, Namespace};
use crate::plan::facts::{FoundNamespace, KernelFacts, NamespaceFacts, PodFacts};
use crate::policy::Level;
use crate::policy::pods::{self, Asking, Claims};
use crate::spec::id::ContainerId;
use crate::store::ranges::{Owner, Range, Ranges};
use crate::store::{DEFAULT_ROOT, Phase, Record, Store};

/// A live container of the same pod, held so that it stays the one that was found.
#[derive(Debug)]
pub(super) struct Fellow {
    /// Its process.
    pub process: OwnedFd,
    /// The user namespace it is in.
    pub user_namespace: OwnedFd,
    /// The range of the registry that it has, and in whose name.
    pub range: Option<(Range, Owner)>,
}

impl Fellow {
    /// What a launch needs of it.
    pub(super) fn as_member(&self) -> PodMember<'_> {
        PodMember {
            process: self.process.as_fd(),
            user_namespace: self.user_namespace.as_fd(),
            range: self.range.as_ref(),
        }
    }
}

/// What is looked for, and where.
struct Search<'a> {
    context: &'a Context,
    store: Store,
    claims: Claims,
    level: Level,
}

/// Looks at the namespaces that the bundle joins, writes down in `facts` whose they are, and
/// gives the container whose ids are to be shared.
///
/// # Errors
/// When the state root cannot be read.
pub(super) fn look(
    context: &Context,
    doing: &str,
    level: Level,
    spec: &Spec,
    facts: &mut KernelFacts,
) -> Result<Option<Fellow>> {
    let claims = Claims::of(spec.annotations().iter().flatten());
    let boxes: Vec<_> = facts.namespaces.iter_mut().map(settle).collect();
    let pod = first_box(&facts.namespaces, &boxes);
    if pod.is_none() && (claims.sandbox.is_none() || claims.is_sandbox) {
        return Ok(None);
    }
    let store = Store::open(&context.root).map_err(|error| super::stored(doing, &error))?;
    let search = Search { context, store, claims, level };
    let Some(pod) = pod else {
        let sandbox = search.by_sandbox(None).filter(|record| search.check(record).is_ok());
        return Ok(sandbox.and_then(|record| search.share(&record, facts).ok()));
    };
    let shared = shares_ids(&facts.namespaces, &boxes, pod);
    let found = search.find(pod, facts);
    let verdict = match &found {
        Some(record) => search.check(record),
        None => Err("leads into a box of no running container of this state root".to_owned()),
    };
    let fresh = found.is_none() && is_fresh(&facts.namespaces, pod);
    for (namespace, its_box) in facts.namespaces.iter_mut().zip(&boxes) {
        namespace.found = match its_box {
            None => continue,
            Some(other) if *other != pod => FoundNamespace::Stranger(
                "leads into another box than the namespaces beside it".to_owned(),
            ),
            Some(_) if fresh => FoundNamespace::Fresh,
            Some(_) => match &verdict {
                Ok(()) => FoundNamespace::Pod,
                Err(why) => FoundNamespace::Stranger(why.clone()),
            },
        };
    }
    match (verdict, found) {
        (Ok(()), Some(record)) if shared => {
            search.share(&record, facts).map(Some).map_err(|why| OpsError::failed(doing, why))
        }
        _ => Ok(None),
    }
}

/// As [`box_of`], and looks who is in IPC and UTS namespaces that belong to the host and are pinned
/// by a mount, as CRI-O makes them for a pod: nothing inside may govern them, and nobody else is in
/// them, or a container of the pod whose ids are to be shared.
fn settle(namespace: &mut NamespaceFacts) -> Option<u64> {
    let pinned = namespace.process.is_none() && namespace.found == FoundNamespace::Foreign;
    if !pinned || !matches!(namespace.kind, Namespace::Ipc | Namespace::Uts) {
        return box_of(namespace);
    }
    match boxes::inhabitants(namespace.kind.link(), namespace.identity.1) {
        Inhabitants::OneBox(inode) => Some(inode),
        Inhabitants::Nobody => {
            namespace.found = FoundNamespace::Fresh;
            None
        }
        Inhabitants::Others => None,
    }
}

/// The inode number of the user namespace that a namespace belongs to, or that the process it is
/// named after is in: ours belong to the host where nothing inside may govern them.
fn box_of(namespace: &NamespaceFacts) -> Option<u64> {
    match &namespace.found {
        FoundNamespace::Boxed { owner } => Some(*owner),
        FoundNamespace::Foreign => namespace.process.and_then(boxes::user_namespace_of),
        FoundNamespace::Host
        | FoundNamespace::Pod
        | FoundNamespace::Fresh
        | FoundNamespace::Stranger(_)
        | FoundNamespace::Wrong(_) => None,
    }
}

/// The box that counts if they differ: that of the kind that says most.
fn first_box(namespaces: &[NamespaceFacts], boxes: &[Option<u64>]) -> Option<u64> {
    let order =
        [Namespace::User, Namespace::Ipc, Namespace::Pid, Namespace::Uts, Namespace::Network];
    order.into_iter().find_map(|kind| {
        let mut all = namespaces.iter().zip(boxes);
        all.find_map(|(namespace, its_box)| its_box.filter(|_| namespace.kind == kind))
    })
}

/// Whether an engine made the user namespace beforehand, and kept it by a mount.
fn is_fresh(namespaces: &[NamespaceFacts], pod: u64) -> bool {
    let pinned = |namespace: &NamespaceFacts| {
        namespace.kind == Namespace::User
            && namespace.process.is_none()
            && box_of(namespace) == Some(pod)
    };
    namespaces.iter().any(pinned) && boxes::inhabitants("user", pod) == Inhabitants::Nobody
}

/// A network that belongs to the host can be shared by containers that share no ids; whatever
/// else they have in common asks who is who.
fn shares_ids(namespaces: &[NamespaceFacts], boxes: &[Option<u64>], pod: u64) -> bool {
    namespaces.iter().zip(boxes).any(|(namespace, its_box)| {
        *its_box == Some(pod)
            && (namespace.kind != Namespace::Network || namespace.found != FoundNamespace::Foreign)
    })
}

impl Search<'_> {
    /// A container of this state root that lives in the user namespace `pod`.
    fn find(&self, pod: u64, facts: &KernelFacts) -> Option<Record> {
        self.by_sandbox(Some(pod))
            .or_else(|| self.by_range(pod, facts))
            .or_else(|| self.by_all(pod))
    }

    /// The sandbox that the annotations name; with `pod`, only if it is in there.
    fn by_sandbox(&self, pod: Option<u64>) -> Option<Record> {
        let id = ContainerId::parse(self.claims.sandbox.as_ref()?).ok()?;
        self.alive(&id, pod)
    }

    /// By the ids that a process has which a path names.
    fn by_range(&self, pod: u64, facts: &KernelFacts) -> Option<Record> {
        let pid = facts.namespaces.iter().find_map(|namespace| {
            namespace.process.filter(|pid| boxes::user_namespace_of(*pid) == Some(pod))
        })?;
        let (users, _) = boxes::maps_of(pid).ok()?;
        let range = Range::from_base(users.first()?.outside)?;
        let root = std::fs::canonicalize(&self.context.root).ok()?;
        let owners = Ranges::open(Path::new(RANGES)).ok()?.owners(range);
        let here = owners.iter().filter(|owner| Path::new(&owner.root) == root);
        here.map(|owner| self.alive(&owner.id, Some(pod))).find_map(|found| found)
    }

    /// By asking all: for ids that an engine gave.
    fn by_all(&self, pod: u64) -> Option<Record> {
        let all = self.store.list().ok()?;
        all.into_iter().find_map(|(id, _)| self.alive(&id, Some(pod)))
    }

    /// The record of a container that is complete, lives, and is in a box: in `pod`, if given.
    fn alive(&self, id: &ContainerId, pod: Option<u64>) -> Option<Record> {
        let record = self.store.read(id).ok()?.record?;
        let process = record.process.filter(|_| record.phase == Phase::Created)?;
        let found = boxes::user_namespace_of(process.pid())?;
        (pod.is_none_or(|pod| pod == found) && process.is_alive().ok()?).then_some(record)
    }

    /// Whether this container may share what that one has.
    fn check(&self, record: &Record) -> std::result::Result<(), String> {
        let root = std::fs::canonicalize(&self.context.root);
        let root = root.unwrap_or_else(|_| self.context.root.clone());
        let caller = caller();
        let asking = Asking { at_default_root: root == Path::new(DEFAULT_ROOT), caller: &caller };
        let theirs = Claims::of(record.annotations.iter());
        pods::check_related(asking, &self.claims, record.id.as_str(), &theirs)?;
        if record.level == self.level.as_str() {
            return Ok(());
        }
        Err(format!("leads to container `{}`, which runs under `{}`", record.id, record.level))
    }

    /// Holds the container, and writes down how its ids are mapped.
    fn share(
        &self,
        record: &Record,
        facts: &mut KernelFacts,
    ) -> std::result::Result<Fellow, String> {
        let id = &record.id;
        let gone = || format!("container `{id}`, whose ids are to be shared, has ended");
        let known = record.process.ok_or_else(gone)?;
        let process = known.open().ok().flatten().ok_or_else(gone)?;
        let inode = boxes::user_namespace_of(known.pid()).ok_or_else(gone)?;
        let user_namespace = boxes::open_user_namespace(known.pid(), inode).map_err(|_| gone())?;
        let (uids, gids) = boxes::maps_of(known.pid()).map_err(|_| gone())?;
        // Only now: what was read by number was of the process that the record means.
        if !known.is_alive().unwrap_or(false) {
            return Err(gone());
        }
        let range = match record.range {
            Some(range) if is_of(range, &uids) && is_of(range, &gids) => {
                let root = std::fs::canonicalize(&self.context.root);
                let root = root.ok().and_then(|root| root.to_str().map(str::to_owned));
                Some((range, Owner { root: root.ok_or_else(gone)?, id: id.clone() }))
            }
            Some(_) => return Err(format!("container `{id}` has other ids than its record says")),
            None => None,
        };
        facts.pod = Some(PodFacts { of: id.to_string(), own_range: range.is_some(), uids, gids });
        Ok(Fellow { process, user_namespace, range })
    }
}

fn is_of(range: Range, map: &[IdMapping]) -> bool {
    *map == [IdMapping { inside: 0, outside: range.base(), size: Range::LENGTH }]
}

/// The name of the program that called this one.
fn caller() -> String {
    let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    let program = std::fs::read_link(format!("/proc/{parent}/exe")).unwrap_or_default();
    program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
