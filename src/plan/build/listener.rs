//! When the filter is loaded whose calls somebody else answers, and who takes its listener.
//!
//! An agent expects the listener while the container is created, as the specification's example
//! has it (`"status": "creating"`). Then the filter stands while init waits for `start`, and what
//! the wait and the program's beginning need goes through it. That must never cost a profile a
//! permission, nor ask an agent about our own calls: so the filter is loaded early only where it
//! allows each of these calls already, whatever its arguments, and last of all otherwise.

use super::Builder;
use crate::plan::action::{Action, Gate, Track};
use crate::plan::hooks::Stage;
use crate::plan::listener::Listener;
use crate::plan::process::Asked;
use crate::seccomp::{Abi, Program, allows_always};

/// What init does between its filter and its program, if the filter is loaded before the wait:
/// it hears that it is recorded, gives up its descriptors, accepts the `start` command's
/// connection, hears that it may go on, and becomes the program, or says why not and ends, as it
/// does at a `SIGTERM`. A test loads a filter that kills for any other call.
const CALLS: [&str; 8] =
    ["recvfrom", "dup3", "close_range", "accept4", "close", "execve", "sendto", "exit_group"];

/// With fewer open files than this, init could not hear of `start` once the limit stands.
const FILES_TO_WAIT: u64 = 64;

/// `RLIMIT_NOFILE`.
const OPEN_FILES: u32 = 7;

/// Who takes a listener, and when.
pub(super) struct HandOver {
    to: Listener,
    track: Track,
}

/// Whether a filter leaves alone what init does after it.
fn lets_init_wait(program: &Program) -> bool {
    Abi::native()
        .is_some_and(|abi| CALLS.iter().all(|name| allows_always(&program.instructions, abi, name)))
}

/// Whether init can still wait after this step.
#[expect(clippy::wildcard_enum_match_arm, reason = "only these come between it and its wait")]
fn permits_waiting(action: &Action) -> bool {
    match action {
        Action::LoadFilter { program } => lets_init_wait(program),
        Action::SetLimit { limit } => limit.resource != OPEN_FILES || limit.soft >= FILES_TO_WAIT,
        _ => true,
    }
}

impl Builder<'_> {
    /// Init from the end of its preparations to its program: it waits for `start`, and what is
    /// `last` comes then; or before it, where an agent gets the listener meanwhile.
    pub(super) fn wait_and_become(&mut self, last: Vec<Asked>) -> Option<HandOver> {
        let to = self.inputs.listener.take();
        let early = matches!(to, Some(Listener::Agent { .. })) && self.may_load_early(&last);
        let wait = "created, not started";
        if early {
            let why = "its limits are set, its root is where it belongs";
            self.builtin(Track::Init, Action::Await { gate: Gate::Made }, why);
        } else {
            self.builtin(Track::Init, Action::AwaitStart, wait);
            // Before init enters a pod's user namespace: until then its neighbours cannot touch it.
            self.hooks(Track::Init, &[Stage::StartContainer]);
            self.join_pod();
        }
        for (action, pointer) in last {
            if early && action == Action::Execute {
                self.builtin(Track::Init, Action::AwaitStart, wait);
            }
            self.last(action, pointer);
        }
        let track = if early { Track::Creator } else { Track::Starter };
        to.map(|to| HandOver { to, track })
    }

    /// The image's hooks come after `start`, and so does a pod's user namespace, in which its
    /// neighbours could stop what waits.
    fn may_load_early(&self, last: &[Asked]) -> bool {
        let enters_pod = self.user == super::UserNamespace::OfPod;
        let has_hooks = self.has_hooks(Stage::StartContainer);
        !enters_pod && !has_hooks && last.iter().all(|(action, _)| permits_waiting(action))
    }

    /// A last step of init. The filter is the policy's work where the policy holds.
    fn last(&mut self, action: Action, pointer: &str) {
        if matches!(action, Action::Open { .. } | Action::Await { .. }) {
            self.builtin(Track::Init, action, "the filter has a listener, which is taken outside");
        } else if matches!(action, Action::LoadFilter { .. }) && self.hardened() {
            self.push(Track::Init, action, Self::rule("seccomp.baseline"));
        } else if pointer.is_empty() {
            self.builtin(Track::Init, action, "nothing of the caller's is inherited");
        } else {
            self.asked(Track::Init, action, pointer);
        }
    }

    /// What is done beside init by whoever lets it go on. The listener is taken from outside: the
    /// filter need not permit init anything for it.
    pub(super) fn hand_over(&mut self, HandOver { to, track }: HandOver) {
        if track == Track::Creator {
            self.builtin(track, Action::Open { gate: Gate::Made }, "nothing is left to be made");
        }
        let why = "only now, so that nothing else of it is slowed down";
        self.builtin(track, Action::Await { gate: Gate::Filter }, why);
        self.builtin(track, Action::WatchInit, "its listener is closed when it is the program");
        let why = "the filter is loaded under our eyes";
        self.builtin(track, Action::Open { gate: Gate::Watched }, why);
        self.asked(track, Action::HandOver { to }, "/linux/seccomp");
    }
}
