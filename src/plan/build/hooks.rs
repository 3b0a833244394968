//! Where in the order hooks stand.

use super::Builder;
use crate::plan::action::{Action, Track};
use crate::plan::hooks::{self, Stage};

impl Builder<'_> {
    /// Whether a hook is run before the container has its root: then the root is attached where
    /// the bundle has it, and hooks find it there.
    pub(super) fn has_early_hooks(&self) -> bool {
        let early = [Stage::Prestart, Stage::CreateRuntime, Stage::CreateContainer];
        let hooks = self.spec.hooks().as_ref();
        hooks.is_some_and(|hooks| early.into_iter().any(|stage| !stage.of(hooks).is_empty()))
    }

    /// The hooks of these points, one after the other.
    pub(super) fn hooks(&mut self, track: Track, stages: &[Stage]) {
        let Some(given) = self.spec.hooks().as_ref() else { return };
        for stage in stages {
            for (hook, pointer) in hooks::of_stage(given, *stage, &mut self.errors) {
                self.asked(track, Action::RunHook { hook: Box::new(hook) }, &pointer);
            }
        }
    }
}
