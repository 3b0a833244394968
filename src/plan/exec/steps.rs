//! The order of everything, and what becomes of each step that init took.

use oci_spec::runtime::Process;

use super::{ExecDefaults, ExecFault, ExecInputs, merge, privileges};
use crate::plan::action::{Action, CapabilitySets, Gate, IdMap, Limit, Namespace, Slot, Track};
use crate::plan::build::PlanError;
use crate::plan::cpus::CpuSet;
use crate::plan::labels::Label;
use crate::plan::mount::{Filesystem, MountAttributes};
use crate::plan::{LaunchPlan, Origin, ProgramPlan, Step, StepId, gates, labels, process, task};
use crate::policy::{Change, Refusal, judge_process};
use crate::seccomp::Program;
use crate::spec;
use crate::sys::flags::mount_attr;

/// What becomes of a step of the container's plan when another process enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is taken over as it is.
    Same,
    /// Its like is made from what this process is.
    Anew,
    /// It was done for the container: whoever enters its namespaces and groups has it.
    Done,
}

/// The security argument, step by step: a new kind of step does not compile until it is decided
/// here what holds for a process that comes later.
fn fate(action: &Action) -> Fate {
    match action {
        Action::BecomeRoot
        | Action::Label { label: Label::Keys(_) }
        | Action::NewKeyring
        | Action::SetMemoryPolicy { .. }
        | Action::SetPersonality { .. }
        | Action::WatchInit
        | Action::HandOver { .. } => Fate::Same,
        Action::OpenInit
        | Action::OpenGroup { .. }
        | Action::SetAffinity { .. }
        | Action::EnterInit { .. }
        | Action::EnterRoot
        | Action::CoverArguments
        | Action::OpenTerminal { .. }
        | Action::JoinGroups
        | Action::HandOverTerminal
        | Action::JoinResctrl(_)
        | Action::RaiseLimit { .. }
        | Action::SetOomScore { .. }
        | Action::SetScheduler { .. }
        | Action::SetIoPriority { .. }
        | Action::Await { .. }
        | Action::Open { .. }
        | Action::Spawn { .. }
        | Action::ComeHome
        | Action::JoinNamespace { .. }
        | Action::NewSession { .. }
        | Action::Label { label: Label::AppArmor(_) | Label::Selinux(_) }
        | Action::SetLimit { .. }
        | Action::SetUmask { .. }
        | Action::LimitBounding { .. }
        | Action::ApproachDirectory { .. }
        | Action::SetIds { .. }
        | Action::SetCapabilities { .. }
        | Action::ForbidNewPrivileges
        | Action::ChangeDirectory { .. }
        | Action::ResetSignals
        | Action::FindHome { .. }
        | Action::FindProgram
        | Action::CloseDescriptors
        | Action::LoadFilter { .. }
        | Action::Execute => Fate::Anew,
        Action::TakeIds
        | Action::JoinPod { .. }
        | Action::EnterPod
        | Action::ShiftClocks { .. }
        | Action::CheckIdMaps { .. }
        | Action::Remount { .. }
        | Action::MakeCgroup { .. }
        | Action::DelegateCgroup { .. }
        | Action::MakeResctrl(_)
        | Action::OpenRootfs { .. }
        | Action::MakeMountPoint { .. }
        | Action::MakeDirectory { .. }
        | Action::MoveNetDevice { .. }
        | Action::MakeDevice { .. }
        | Action::SetRootPropagation { .. }
        | Action::OpenNamespace { .. }
        | Action::CheckProgram
        | Action::WriteIdMaps { .. }
        | Action::CopyRootfs { .. }
        | Action::AssembleRootfs { .. }
        | Action::ShiftRootfs { .. }
        | Action::BuildMount { .. }
        | Action::FetchMount { .. }
        | Action::EnterMounts
        | Action::AttachRoot { .. }
        | Action::CoverRootfs
        | Action::Seal { .. }
        | Action::RunHook(_)
        | Action::Attach { .. }
        | Action::EnterNetworkAndIpc
        | Action::VisitNetworkAndIpc
        | Action::KeepSysctl
        | Action::SetNetSysctl { .. }
        | Action::MakeTerminal { .. }
        | Action::Mask { .. }
        | Action::MakeReadonly { .. }
        | Action::Pivot
        | Action::MakeMountsPrivate
        | Action::NewNamespaces { .. }
        | Action::ForbidNamespaces
        | Action::LoopbackUp
        | Action::SetIpcSysctl { .. }
        | Action::SetHostname { .. }
        | Action::SetDomainname { .. }
        | Action::AwaitStart => Fate::Done,
    }
}

/// A plan of `exec` that is being written.
pub(super) struct Builder<'a> {
    inputs: &'a ExecInputs<'a>,
    ids: Option<&'a IdMap>,
    process: Process,
    changes: Vec<Change>,
    would_refuse: Vec<Refusal>,
    steps: Vec<Step>,
    errors: Vec<PlanError>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(inputs: &'a ExecInputs<'a>) -> Result<Self, ExecFault> {
        let Some(defaults) = &inputs.plan.exec else {
            let what = "the container was made by a casemate that had no `exec`".to_owned();
            return Err(ExecFault::Faulty(vec![PlanError::new(String::new(), what)]));
        };
        let mut builder = Self {
            inputs,
            ids: super::id_map(inputs.plan),
            process: merge::merge(inputs.asked, defaults),
            changes: Vec::new(),
            would_refuse: Vec::new(),
            steps: Vec::with_capacity(40),
            errors: Vec::new(),
        };
        let violations = spec::check_process(&builder.process);
        let violation = |it: &spec::Violation| PlanError::new(it.at.to_string(), it.what.clone());
        builder.errors.extend(violations.iter().map(violation));
        builder.judge(defaults)?;
        Ok(builder)
    }

    /// Puts the process before the policies: of today, and of the container's creation.
    fn judge(&mut self, defaults: &ExecDefaults) -> Result<(), ExecFault> {
        let arguments = self.process.args().clone().unwrap_or_default();
        let init = &defaults.process;
        let policies = [&self.inputs.policy.exec, &defaults.policy];
        let mut refusals: Vec<_> =
            policies.iter().filter_map(|policy| policy.refuse(&arguments)).collect();
        refusals.dedup();
        let task = |process: &Process| (process.scheduler().clone(), *process.io_priority());
        // What init was given was judged by the policy of that time.
        if task(&self.process) != task(init) {
            refusals.extend(judge_process(self.inputs.policy, &self.process));
        }
        if !super::is_enforced(self.inputs.plan) {
            self.would_refuse = refusals;
            return Ok(());
        }
        if !refusals.is_empty() {
            return Err(ExecFault::Refused(refusals));
        }
        if policies.iter().any(|policy| policy.is_list()) {
            let withheld = merge::withhold_environment(&mut self.process, init);
            if !withheld.is_empty() {
                let (at, to) = ("/env".to_owned(), "withheld".to_owned());
                self.changes.push(privileges::change("exec.allow", at, withheld.join(" "), to));
            }
        }
        self.changes.extend(privileges::within_init(&mut self.process, init));
        Ok(())
    }

    pub(super) fn build(mut self) -> Result<LaunchPlan, ExecFault> {
        let program = match process::program(&self.process) {
            Ok(program) => program,
            Err(error) => return Err(ExecFault::Faulty(vec![of_document(error)])),
        };
        self.errors.extend(process::check_ids(&self.process, self.ids));
        let granted = privileges::capabilities(&self.process, self.inputs);
        self.changes.extend(granted.changes);
        let facts = &self.inputs.facts.limits;
        let (limits, raised) = process::limits(&self.process, facts, &mut self.errors);
        let (initial, last) = process::affinity(&self.process, &mut self.errors);
        self.errors.extend(labels::check(&self.process, None, self.inputs.facts.lsm));
        self.prepare(initial);
        self.supervise(&raised);
        self.join(last);
        self.last_steps(&program, granted.sets, limits);
        // Where the filter has a listener, it is taken as it was from init.
        self.hand_over();
        if !self.errors.is_empty() {
            return Err(ExecFault::Faulty(self.errors.into_iter().map(of_document).collect()));
        }
        if let Err(fault) = gates::simulate(&self.steps) {
            let fault = PlanError::new(String::new(), fault.to_string());
            return Err(ExecFault::Faulty(vec![fault]));
        }
        let (changes, would_change) = if super::is_enforced(self.inputs.plan) {
            (self.changes, Vec::new())
        } else {
            (Vec::new(), self.changes)
        };
        Ok(LaunchPlan {
            version: LaunchPlan::VERSION,
            level: self.inputs.plan.level.clone(),
            policy: self.inputs.plan.policy.clone(),
            steps: self.steps,
            program,
            exec: None,
            restored: false,
            changes,
            excepted: Vec::new(),
            would_refuse: self.would_refuse,
            would_change,
            notes: Vec::new(),
        })
    }

    /// Nobody creates this process: the listener is taken from it when it is let go on.
    fn hand_over(&mut self) {
        let beside = |step: &&Step| matches!(step.track, Track::Creator | Track::Starter);
        let made = Action::Open { gate: Gate::Made };
        let taken = self.inputs.plan.steps.iter().filter(beside).filter(|it| it.action != made);
        self.steps.extend(taken.map(|it| Step { track: Track::Starter, ..it.clone() }));
    }

    fn builtin(&mut self, track: Track, action: Action, why: &str) {
        self.steps.push(Step { track, action, origin: Origin::Builtin(why.to_owned()) });
    }

    fn asked(&mut self, track: Track, action: Action, pointer: &str) {
        let origin = self.origin(&action, pointer);
        self.steps.push(Step { track, action, origin });
    }

    /// What is done to this process as it was to init has init's reason.
    fn origin(&self, action: &Action, pointer: &str) -> Origin {
        let same = self.inputs.plan.steps.iter().find(|step| step.action == *action);
        // Of these, each is like the other, and the program is the caller's.
        let same = same.filter(|_| pointer != "/process/args");
        same.map_or_else(
            || Origin::Exec(pointer.trim_start_matches("/process").to_owned()),
            |step| step.origin.clone(),
        )
    }

    /// Before the process exists: all that must be found by its name on the host.
    fn prepare(&mut self, affinity: Option<CpuSet>) {
        let track = Track::Prepare;
        self.builtin(track, Action::OpenInit, "whose box is entered");
        let below = self.inputs.below.to_vec();
        if below.is_empty() {
            self.builtin(track, Action::OpenGroup { below }, "the container's limits hold");
        } else {
            self.asked(track, Action::OpenGroup { below }, "--cgroup");
        }
        if let Some(cpus) = affinity {
            self.asked(track, Action::SetAffinity { cpus }, "/execCPUAffinity/initial");
        }
    }

    fn supervise(&mut self, raised: &[Limit]) {
        let track = Track::Supervisor;
        let kinds = self.kinds(|kind| !matches!(kind, Namespace::User | Namespace::Cgroup));
        let why = "a process born inside never shows the host's mounts";
        self.builtin(track, Action::EnterInit { kinds }, why);
        let elsewhere = Action::JoinNamespace { kind: Namespace::Mount };
        if self.inputs.plan.steps.iter().any(|step| step.action == elsewhere) {
            let why = "init's mount namespace has another root";
            self.builtin(track, Action::EnterRoot, why);
        }
        let terminal = self.process.terminal() == Some(true);
        if terminal {
            let size = process::console_size(&self.process);
            let owner = process::terminal_owner(&self.process, self.ids);
            self.asked(track, Action::OpenTerminal { size, owner }, "/terminal");
        }
        let why = "everyone inside can read those of a process that is born there";
        self.builtin(track, Action::CoverArguments, why);
        let birth = Action::Spawn { namespaces: Vec::new() };
        self.builtin(track, birth, "in the container's control group from its first instruction");
        self.builtin(track, Action::ComeHome, "the rest is done outside");
        if self.inputs.facts.joins_v1 {
            self.builtin(track, Action::JoinGroups, "the container's limits hold");
        }
        let joins = |step: &&Step| matches!(step.action, Action::JoinResctrl(_));
        let resctrl = self.inputs.plan.steps.iter().find(joins).cloned();
        self.steps.extend(resctrl);
        for limit in raised {
            self.asked(track, Action::RaiseLimit { limit: *limit }, "/rlimits");
        }
        if let Some(score) = self.process.oom_score_adj() {
            self.asked(track, Action::SetOomScore { score }, "/oomScoreAdj");
        }
        if let Some(asked) = self.process.io_priority() {
            let priority = task::io_priority(asked);
            self.asked(track, Action::SetIoPriority { priority }, "/ioPriority");
        }
        if let Some(asked) = self.process.scheduler() {
            let scheduler = task::scheduler(asked);
            self.asked(track, Action::SetScheduler { scheduler }, "/scheduler");
        }
        let why = "its limits hold";
        self.builtin(track, Action::Open { gate: Gate::Cgroups }, why);
        if terminal {
            self.asked(track, Action::HandOverTerminal, "/terminal");
        }
    }

    /// The user namespace comes last: until then nothing inside can stop or trace the process.
    fn join(&mut self, affinity: Option<CpuSet>) {
        let track = Track::Init;
        self.builtin(track, Action::Await { gate: Gate::Cgroups }, "its limits hold");
        if let Some(cpus) = affinity {
            self.asked(track, Action::SetAffinity { cpus }, "/execCPUAffinity/final");
        }
        let terminal = self.process.terminal() == Some(true);
        self.asked(track, Action::NewSession { terminal }, "/terminal");
        if labels::is_labelled(&self.process, self.inputs.facts.lsm) {
            let filesystem = Filesystem::Proc { source: c"proc".into(), options: Vec::new() };
            let attributes = MountAttributes::plain(mount_attr::NOSUID | mount_attr::NOEXEC);
            let action = Action::BuildMount { slot: Slot(0), filesystem, attributes };
            self.builtin(track, action, "to set labels through; never attached");
        }
        for kind in self.kinds(|kind| matches!(kind, Namespace::User | Namespace::Cgroup)) {
            self.builtin(track, Action::JoinNamespace { kind }, "as init");
        }
        let plan = self.inputs.plan;
        let same = plan.track(Track::Init).filter(|(_, step)| fate(&step.action) == Fate::Same);
        self.steps.extend(same.map(|(_, step): (StepId, &Step)| step.clone()));
    }

    /// The kinds of namespaces that the container has to itself, made or joined, and that
    /// `wanted` wants; the user namespace last.
    fn kinds(&self, wanted: impl Fn(Namespace) -> bool) -> Vec<Namespace> {
        let mut kinds = Vec::new();
        for step in &self.inputs.plan.steps {
            let of_step = super::namespaces_of(&step.action);
            for kind in of_step.into_iter().filter(|kind| wanted(*kind)) {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
        if self.inputs.plan.restored && wanted(Namespace::Time) && !kinds.contains(&Namespace::Time)
        {
            kinds.push(Namespace::Time);
        }
        kinds.sort_by_key(|kind| *kind == Namespace::User);
        kinds
    }

    fn last_steps(&mut self, program: &ProgramPlan, sets: CapabilitySets, limits: Vec<Limit>) {
        let (filter, lsm) = (self.filter(), self.inputs.facts.lsm);
        for (action, pointer) in
            process::last_steps((&self.process, None, lsm), program, sets, limits, filter)
        {
            if pointer.is_empty() {
                let why = "nothing of the caller's is inherited";
                self.builtin(Track::Init, action, why);
            } else {
                self.asked(Track::Init, action, pointer);
            }
        }
    }

    /// Init's own program.
    fn filter(&self) -> Option<Program> {
        self.inputs.plan.steps.iter().find_map(|step| {
            let Action::LoadFilter { program } = &step.action else { return None };
            Some(program.clone())
        })
    }
}

/// A fault of the process document, whose pointers begin at the document itself.
fn of_document(error: PlanError) -> PlanError {
    let at = error.at.strip_prefix("/process").unwrap_or(&error.at).to_owned();
    PlanError::new(at, error.what)
}
