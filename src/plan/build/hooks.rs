//! Where in the order hooks stand.

use oci_spec::runtime::Hook;

use super::Builder;
use crate::plan::action::{Action, Track};
use crate::plan::hooks::{self, Stage};

impl Builder<'_> {
    /// Whether a hook is run before the container has its root: then the root is attached where
    /// the bundle has it, and hooks find it there.
    pub(super) fn has_early_hooks(&self) -> bool {
        self.early_hooks().next().is_some()
    }

    /// Whether one of them may make files in the root: then it is sealed after them.
    pub(super) fn have_files_made(&self) -> bool {
        self.early_hooks().any(hooks::makes_files)
    }

    fn early_hooks(&self) -> impl Iterator<Item = &Hook> {
        let early = [Stage::Prestart, Stage::CreateRuntime, Stage::CreateContainer];
        let hooks = self.spec.hooks().as_ref();
        hooks.into_iter().flat_map(move |hooks| early.into_iter().flat_map(|it| it.of(hooks)))
    }

    /// Whether there is a hook of this point.
    pub(super) fn has_hooks(&self, stage: Stage) -> bool {
        self.spec.hooks().as_ref().is_some_and(|hooks| !stage.of(hooks).is_empty())
    }

    /// The hooks of these points, one after the other.
    pub(super) fn hooks(&mut self, track: Track, stages: &[Stage]) {
        let Some(given) = self.spec.hooks().as_ref() else { return };
        for stage in stages {
            for (hook, pointer) in hooks::of_stage(given, *stage, &mut self.errors) {
                self.asked(track, Action::RunHook(Box::new(hook)), &pointer);
            }
        }
    }
}
