//! Makes ready, before the clone, all that the new process needs: afterwards it allocates
//! nothing.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use super::Request;
use crate::plan::listener::Listener;
use crate::plan::mount::Filesystem;
use crate::plan::text::Text;
use crate::plan::{Action, LaunchPlan, Namespace, Slot, StepId, Track};
use crate::seccomp::{self, Abi};
use crate::sys::execute::StringArray;
use crate::sys::seccomp::Instruction;
use crate::sys::{Result, fd, socket};

/// Where init hears that it may start.
#[derive(Debug, Clone, Copy)]
pub(super) enum StartGate<'fd> {
    /// From the process that cloned it.
    Supervisor,
    /// From a command that connects to this socket.
    Listener(BorrowedFd<'fd>),
}

/// What of the caller's the new process keeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    /// Descriptors above 2.
    pub preserve: u32,
    /// The session keyring.
    pub keyring: bool,
}

impl From<&Request<'_>> for Kept {
    fn from(request: &Request<'_>) -> Self {
        Self { preserve: request.preserve, keyring: request.keep_keyring }
    }
}

/// The plan of init, in the form that needs no allocation.
#[derive(Debug)]
pub(super) struct InitPlan<'plan> {
    /// Its steps.
    pub steps: Vec<(StepId, &'plan Action)>,
    /// Its end of the conversation with the supervisor.
    pub socket: BorrowedFd<'plan>,
    /// Where it hears of `start`.
    pub start: StartGate<'plan>,
    /// The namespaces it will join.
    pub namespaces: &'plan [(Namespace, OwnedFd)],
    /// The arguments of the program.
    pub arguments: StringArray<'plan>,
    /// Its environment.
    pub environment: StringArray<'plan>,
    /// The environment as the plan has it.
    texts: &'plan [Text],
    /// Whether a step finds the user's home.
    homeless: bool,
    /// Where it may be.
    pub candidates: &'plan [Text],
    /// The seccomp filter.
    pub filter: Vec<Instruction>,
    /// The filter of the image's hooks, whom nobody answers: where calls are held up for a
    /// watcher, the one that decides.
    pub hook_filter: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub filter_flags: u32,
    /// Descriptors above 2 that the program inherits.
    pub preserve: u32,
    /// The mask of permission bits that the program has, unless a step sets another.
    pub umask: u32,
    /// The image's hooks.
    pub hooks: Vec<InnerHook<'plan>>,
    /// What they are told, around init's process id.
    pub hook_state: (Vec<u8>, Vec<u8>),
    /// Whether a step finds its own files of procfs.
    labelled: bool,
    /// How many slots the plan has.
    slots: u32,
}

/// A hook of the image, in the form that needs no allocation.
#[derive(Debug)]
pub(super) struct InnerHook<'plan> {
    /// Its step.
    pub id: StepId,
    /// Where it is, inside.
    pub path: &'plan CStr,
    /// Its arguments.
    pub arguments: StringArray<'plan>,
    /// How long it may take, in seconds.
    pub timeout_sec: Option<u32>,
    environment: Option<StringArray<'plan>>,
}

impl InnerHook<'_> {
    /// Its environment: that of the program, unless it has its own.
    pub(super) fn environment<'a>(&'a self, plan: &'a InitPlan<'_>) -> &'a StringArray<'a> {
        self.environment.as_ref().unwrap_or(&plan.environment)
    }
}

/// The image's hooks among `steps`.
fn inner_hooks<'plan>(steps: &[(StepId, &'plan Action)]) -> Vec<InnerHook<'plan>> {
    let texts = |texts: &'plan [Text]| StringArray::new(texts.iter().map(Text::as_c_str));
    let hooks = steps.iter().filter_map(|(id, action)| {
        let Action::RunHook(hook) = action else { return None };
        Some(InnerHook {
            id: *id,
            path: hook.path.as_c_str(),
            arguments: texts(&hook.arguments),
            timeout_sec: hook.timeout_sec,
            environment: hook.environment.as_deref().map(texts),
        })
    });
    hooks.collect()
}

impl<'plan> InitPlan<'plan> {
    /// Collects what init needs from `plan`.
    pub(super) fn new(
        plan: &'plan LaunchPlan,
        socket: BorrowedFd<'plan>,
        start: StartGate<'plan>,
        namespaces: &'plan [(Namespace, OwnedFd)],
        kept: Kept,
    ) -> Self {
        let steps = plan.track(Track::Init).map(|(id, step)| (id, &step.action));
        let steps = steps.filter(|(_, action)| !(kept.keyring && **action == Action::NewKeyring));
        #[cfg(feature = "fault")]
        let steps = steps.filter(|(_, action)| !super::fault::skips(action.name()));
        let steps: Vec<_> = steps.collect();
        let (filter, filter_flags) = filter(&steps);
        tracing::debug!("seccomp filter flags: {filter_flags}");
        let hooks = inner_hooks(&steps);
        let labelled = steps.iter().any(|(_, action)| matches!(action, Action::Label { .. }));
        let homeless = steps.iter().any(|(_, action)| matches!(action, Action::FindHome { .. }));
        let texts = |texts: &'plan [Text]| StringArray::new(texts.iter().map(Text::as_c_str));
        Self {
            steps,
            socket,
            start,
            namespaces,
            arguments: texts(&plan.program.arguments),
            environment: environment(plan.program.environment.iter(), homeless),
            homeless,
            texts: &plan.program.environment,
            candidates: &plan.program.candidates,
            hook_filter: if hooks.is_empty() { Vec::new() } else { hook_filter(plan, &filter) },
            filter,
            filter_flags,
            preserve: kept.preserve,
            umask: 0o022,
            hooks,
            hook_state: (Vec::new(), Vec::new()),
            labelled,
            slots: slot_count(plan),
        }
    }

    /// Has the program get these variables, too, instead of others of the same name.
    pub(super) fn add_environment(&mut self, variables: &'plan [Text]) {
        if variables.is_empty() {
            return;
        }
        let name = |text: &'plan Text| text.as_str().split('=').next();
        let replaced = |text: &Text| {
            let own = text.as_str().split('=').next();
            variables.iter().any(|other| name(other) == own)
        };
        let kept = self.texts.iter().filter(|text| !replaced(text));
        self.environment = environment(kept.chain(variables), self.homeless);
    }

    /// The lowest number that init may use for itself.
    pub(super) fn first_number(&self) -> u32 {
        self.preserve.saturating_add(3)
    }

    /// The number at which a created init keeps the socket it listens on.
    pub(super) fn listener_number(&self) -> RawFd {
        to_number(self.first_number().saturating_add(1))
    }

    /// The user namespace that is joined after `start`, if one is.
    pub(super) fn joined_late(&self) -> Option<BorrowedFd<'_>> {
        let mut late = self.steps.iter().skip_while(|(_, action)| **action != Action::AwaitStart);
        let joins = |action: &Action| *action == Action::JoinNamespace { kind: Namespace::User };
        late.any(|(_, action)| joins(action)).then_some(())?;
        let found = self.namespaces.iter().find(|(kind, _)| *kind == Namespace::User);
        found.map(|(_, namespace)| namespace.as_fd())
    }

    /// The number at which a created init keeps that user namespace.
    pub(super) fn pod_number(&self) -> RawFd {
        to_number(self.first_slot_number())
    }

    /// The number of the first slot's descriptor.
    pub(super) fn first_slot_number(&self) -> u32 {
        self.first_number().saturating_add(2)
    }

    /// The number at which init leaves what it built for the supervisor.
    pub(super) fn slot_number(&self, slot: Slot) -> RawFd {
        to_number(self.first_slot_number().saturating_add(u32::from(slot.0)))
    }

    /// The first number that init uses for nothing in particular.
    pub(super) fn end_number(&self) -> u32 {
        let end = self.first_slot_number().saturating_add(self.slots).saturating_add(1);
        end.saturating_add(u32::from(self.labelled))
    }

    /// The number at which init keeps the procfs that it finds its own files in, if it sets
    /// labels there after `start`. Nothing can be mounted over what is looked up by it.
    pub(super) fn proc_number(&self) -> Option<RawFd> {
        let number = self.first_slot_number().saturating_add(self.slots).saturating_add(1);
        self.labelled.then(|| to_number(number))
    }

    /// That procfs.
    pub(super) fn proc(&self) -> BorrowedFd<'_> {
        fd::borrowed(self.proc_number().unwrap_or(RawFd::MAX))
    }

    /// The number at which init keeps `sys` of the container's procfs. The supervisor may
    /// cover it with a read-only copy at any time; what was opened before stays as it was.
    pub(super) fn sysctl_number(&self) -> RawFd {
        to_number(self.first_slot_number().saturating_add(self.slots))
    }

    /// `sys` of the container's procfs, which init built.
    pub(super) fn sysctl(&self) -> BorrowedFd<'_> {
        fd::borrowed(self.sysctl_number())
    }
}

/// The environment of the program, with room for a home where one has to be found.
fn environment<'plan>(
    texts: impl Iterator<Item = &'plan Text>,
    homeless: bool,
) -> StringArray<'plan> {
    let texts = texts.map(Text::as_c_str);
    if homeless { StringArray::with_room(texts, b"HOME=") } else { StringArray::new(texts) }
}

/// The slot of the container's procfs, if this is the step that builds it.
pub(super) fn proc_slot(action: &Action) -> Option<Slot> {
    let Action::BuildMount { slot, filesystem, .. } = action else { return None };
    matches!(filesystem, Filesystem::Proc { .. }).then_some(*slot)
}

fn to_number(number: u32) -> RawFd {
    RawFd::try_from(number).unwrap_or(RawFd::MAX)
}

fn hook_filter(plan: &LaunchPlan, loaded: &[Instruction]) -> Vec<Instruction> {
    let watch = plan.steps.iter().find_map(|step| {
        let Action::HandOver { to: Listener::Watch(watch) } = &step.action else { return None };
        Some(watch)
    });
    let decides = watch.zip(Abi::native()).and_then(|(watch, native)| {
        watch.basis.with_request(native, |request| seccomp::watch(request, watch.what)).ok()?
    });
    let decides = decides.map(|watched| watched.effective.instructions);
    decides.map_or_else(|| loaded.to_vec(), |decides| decides.iter().map(instruction).collect())
}

fn instruction(from: &seccomp::Instruction) -> Instruction {
    Instruction { code: from.code, jt: from.jt, jf: from.jf, k: from.k }
}

fn filter(steps: &[(StepId, &Action)]) -> (Vec<Instruction>, u32) {
    let program = steps.iter().find_map(|(_, action)| {
        let Action::LoadFilter { program } = action else { return None };
        Some(program)
    });
    program.map_or((Vec::new(), 0), |program| {
        (program.instructions.iter().map(instruction).collect(), program.flags)
    })
}

/// Descriptors that init must find again, out of the way of the numbers it uses itself.
#[derive(Debug)]
pub(super) struct Conversation {
    /// The supervisor's end.
    pub ours: OwnedFd,
    /// Init's end.
    pub theirs: OwnedFd,
}

impl Conversation {
    /// Makes the two ends; init's lies above every number that it uses.
    pub(super) fn new(floor: RawFd) -> Result<Self> {
        let (ours, theirs) = socket::pair()?;
        Ok(Self { ours, theirs: fd::duplicate_above(theirs.as_fd(), floor)? })
    }
}

/// The lowest number that no descriptor of init's own can have.
pub(super) fn floor(plan: &LaunchPlan, preserve: u32) -> RawFd {
    to_number(preserve.saturating_add(7).saturating_add(slot_count(plan)))
}

fn slot_count(plan: &LaunchPlan) -> u32 {
    let slots = plan.steps.iter().filter_map(|step| {
        let Action::BuildMount { slot, .. } = &step.action else { return None };
        Some(slot.0)
    });
    slots.max().map_or(0, |slot| u32::from(slot).saturating_add(1))
}
