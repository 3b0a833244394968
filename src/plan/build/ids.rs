//! Whose ids the container has, and where its user namespace comes from.

use super::Builder;
use crate::plan::action::{IdMap, IdMapping, Namespace};
use crate::plan::facts::PodFacts;
use crate::policy::Ids;

/// Where the container's user namespace comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UserNamespace {
    /// There is none: the host's.
    None,
    /// Init makes it.
    New,
    /// Init joins one that is empty, as early as it would make one.
    Given,
    /// Init joins one that others live in, as late as it can: they may stop and limit whoever is
    /// in there, and their processes may see it.
    OfPod,
}

impl Builder<'_> {
    pub(super) fn user_namespace(&self) -> UserNamespace {
        match self.inputs.judged.ids {
            Ids::OfPod => UserNamespace::OfPod,
            Ids::OwnRange => UserNamespace::New,
            Ids::AsWritten if self.joined.contains(&Namespace::User) => UserNamespace::Given,
            Ids::AsWritten if self.has_new(Namespace::User) => UserNamespace::New,
            Ids::AsWritten => UserNamespace::None,
        }
    }

    pub(super) fn id_map(&mut self) -> Option<IdMap> {
        let pod = self.inputs.facts.pod.as_ref();
        match (self.inputs.judged.ids, self.user) {
            (Ids::OwnRange, _) => Some(IdMap::OwnRange),
            (Ids::OfPod, _) => pod.map(PodFacts::ids),
            (Ids::AsWritten, UserNamespace::None) => None,
            (Ids::AsWritten, _) => self.given_map(),
        }
    }

    fn given_map(&mut self) -> Option<IdMap> {
        let lines = |given: &Option<Vec<oci_spec::runtime::LinuxIdMapping>>| {
            let convert = |line: &oci_spec::runtime::LinuxIdMapping| IdMapping {
                inside: line.container_id(),
                outside: line.host_id(),
                size: line.size(),
            };
            given.iter().flatten().map(convert).collect::<Vec<_>>()
        };
        let linux = self.spec.linux().as_ref()?;
        let (uids, gids) = (lines(linux.uid_mappings()), lines(linux.gid_mappings()));
        if uids.is_empty() || gids.is_empty() {
            if let (UserNamespace::Given, Some(pod)) = (self.user, &self.inputs.facts.pod) {
                return Some(IdMap::Given { uids: pod.uids.clone(), gids: pod.gids.clone() });
            }
            self.fault("/linux/uidMappings", "a user namespace without mappings has no ids");
        }
        Some(IdMap::Given { uids, gids })
    }

    /// An engine that gives a mapping, or joins a user namespace whose mapping it once gave, has
    /// prepared the root file system for it. Without root nothing can be given to other ids.
    pub(super) fn is_mapped(&self) -> bool {
        let linux = self.spec.linux().as_ref();
        let gives = linux.is_some_and(|linux| {
            let lines = [linux.uid_mappings(), linux.gid_mappings()];
            lines.into_iter().flatten().any(|lines| !lines.is_empty())
        });
        let joins = self.joined.contains(&Namespace::User);
        match self.inputs.judged.ids {
            _ if self.inputs.facts.caller.is_some() => false,
            Ids::AsWritten => false,
            Ids::OwnRange => true,
            Ids::OfPod => !gives && (!joins || self.ids == Some(IdMap::OwnRange)),
        }
    }
}
