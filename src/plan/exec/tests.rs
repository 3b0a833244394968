//! Plans of `exec`, from a stored plan that has one of everything.

use serde_json::{Value, json};

use super::*;
use crate::plan::action::{CapabilitySets, Gate, Track};
use crate::plan::text::Text;
use crate::plan::{Origin, ProgramPlan, Step};
use crate::seccomp::{Instruction, Program};

const CHOWN: u64 = 1;
const KILL: u64 = 1 << 5;
const SYS_ADMIN: u64 = 1 << 21;

fn stored(level: &str, process: Value) -> LaunchPlan {
    let sets = CapabilitySets {
        bounding: CHOWN | KILL,
        permitted: CHOWN,
        effective: CHOWN,
        ..CapabilitySets::default()
    };
    let instruction = Instruction { code: 6, jt: 0, jf: 0, k: 0x7fff_0000 };
    let filter = Program { instructions: vec![instruction], flags: 0 };
    let init = [
        Action::NewNamespaces { kinds: vec![Namespace::Cgroup] },
        Action::NewNamespaces { kinds: vec![Namespace::User] },
        Action::BecomeRoot,
        Action::NewNamespaces { kinds: vec![Namespace::Ipc, Namespace::Uts] },
        Action::NewKeyring,
        Action::SetPersonality { persona: 8 },
        Action::LimitBounding { keep: sets.bounding },
        Action::SetCapabilities { sets },
        Action::LoadFilter { program: filter },
    ];
    let outer = [
        Action::Spawn { namespaces: vec![Namespace::Mount, Namespace::Pid] },
        Action::WriteIdMaps { ids: IdMap::OwnRange },
    ];
    let step = |track: Track| {
        move |action: Action| Step { track, action, origin: Origin::Config("/test".to_owned()) }
    };
    let steps = outer.map(step(Track::Supervisor)).into_iter().chain(init.map(step(Track::Init)));
    let process: Process = serde_json::from_value(process).unwrap();
    LaunchPlan {
        version: LaunchPlan::VERSION,
        level: level.to_owned(),
        policy: "test".to_owned(),
        steps: steps.collect(),
        program: ProgramPlan {
            arguments: Vec::new(),
            environment: Vec::new(),
            candidates: Vec::new(),
            directory: Text::new("/").unwrap(),
        },
        exec: Some(Box::new(ExecDefaults::new(&process, &ExecPolicy::default()))),
        restored: false,
        changes: Vec::new(),
        excepted: Vec::new(),
        would_refuse: Vec::new(),
        would_change: Vec::new(),
        notes: Vec::new(),
    }
}

fn init() -> Value {
    json!({
        "user": {"uid": 0, "gid": 0, "umask": 18}, "cwd": "/", "args": ["init"],
        "env": ["PATH=/bin", "A=b"], "noNewPrivileges": true, "oomScoreAdj": 100,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
    })
}

fn run(arguments: &[&str]) -> ExecAsked {
    let arguments = arguments.iter().map(ToString::to_string).collect();
    ExecAsked { arguments, ..ExecAsked::default() }
}

fn document(document: Value) -> ExecAsked {
    let document = Some(serde_json::from_value(document).unwrap());
    ExecAsked { document, ..ExecAsked::default() }
}

fn build_with(
    plan: &LaunchPlan,
    asked: &ExecAsked,
    policy: &Policy,
) -> Result<LaunchPlan, ExecFault> {
    let facts = ExecFacts { bounding: u64::MAX >> 23, joins_v1: true, ..ExecFacts::default() };
    build(&ExecInputs { plan, asked, below: &[], facts: &facts, policy })
}

fn built(plan: &LaunchPlan, asked: &ExecAsked) -> LaunchPlan {
    build_with(plan, asked, &Policy::default()).unwrap()
}

fn names(plan: &LaunchPlan, track: Track) -> Vec<&'static str> {
    plan.track(track).map(|(_, step)| step.action.name()).collect()
}

fn sets(plan: &LaunchPlan) -> CapabilitySets {
    let of = |step: &Step| {
        let Action::SetCapabilities { sets } = &step.action else { return None };
        Some(*sets)
    };
    plan.steps.iter().find_map(of).unwrap()
}

fn changes(list: &[crate::policy::Change]) -> Vec<String> {
    list.iter().map(|change| format!("{} {} {}", change.rule, change.at, change.to)).collect()
}

#[test]
fn the_user_namespace_is_joined_last_and_init_s_own_steps_follow() {
    let plan = built(&stored("hardened", init()), &run(&["sh"]));

    assert_eq!(
        names(&plan, Track::Init)[..6],
        [
            "gate.await",
            "process.new-session",
            "ns.join",
            "ns.join",
            "ids.become-root",
            "keys.new-session",
        ]
    );
    let joins: Vec<_> = plan
        .track(Track::Init)
        .filter_map(|(_, step)| {
            let Action::JoinNamespace { kind } = step.action else { return None };
            Some(kind)
        })
        .collect();
    assert_eq!(joins, [Namespace::Cgroup, Namespace::User]);
    let enters = Action::EnterInit {
        kinds: vec![Namespace::Mount, Namespace::Pid, Namespace::Ipc, Namespace::Uts],
    };
    assert!(plan.steps.iter().any(|step| step.action == enters));
}

#[test]
fn this_process_comes_home_right_after_the_birth() {
    let asked = ExecAsked { terminal: true, ..run(&["sh"]) };
    let plan = built(&stored("hardened", init()), &asked);

    assert_eq!(
        names(&plan, Track::Supervisor),
        [
            "ns.enter-init",
            "terminal.open",
            "exec.cover-arguments",
            "process.spawn",
            "ns.come-home",
            "cgroup.join-v1",
            "limit.set-oom-score",
            "gate.open",
            "terminal.hand-over",
        ]
    );
}

#[test]
fn the_filter_is_init_s_and_nothing_but_the_program_follows_it() {
    let stored = stored("hardened", init());
    let plan = built(&stored, &run(&["sh"]));

    let filter = |plan: &LaunchPlan| {
        let is_load = |step: &&Step| matches!(step.action, Action::LoadFilter { .. });
        plan.steps.iter().find(is_load).unwrap().clone()
    };
    assert_eq!(filter(&plan), filter(&stored));
    let last = names(&plan, Track::Init);
    assert_eq!(last[last.len() - 2..], ["seccomp.load", "process.execute"]);
    let first_use = |name| last.iter().position(|step| *step == name).unwrap();
    assert!(first_use("privs.forbid-new") < first_use("seccomp.load"));
    assert!(first_use("process.set-personality") < first_use("seccomp.load"));
}

#[test]
fn what_is_asked_for_above_init_is_withheld_and_recorded() {
    let all = json!(["CAP_CHOWN", "CAP_KILL", "CAP_SYS_ADMIN"]);
    let asked = document(json!({
        "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["sh"], "oomScoreAdj": -5,
        "capabilities": {"bounding": all, "permitted": all, "effective": all,
            "inheritable": all, "ambient": all},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 30, "hard": 40}],
    }));

    let plan = built(&stored("hardened", init()), &asked);

    let found = sets(&plan);
    assert_eq!((found.bounding, found.permitted, found.effective), (0x21, 0x21, 0x21));
    assert_eq!((found.inheritable, found.ambient), (0, 0));
    assert_eq!(
        changes(&plan.changes),
        [
            "exec.same-box /rlimits/0/hard 20",
            "exec.same-box /oomScoreAdj 100",
            "exec.same-box /capabilities/bounding withheld",
            "exec.same-box /capabilities/permitted withheld",
            "exec.same-box /capabilities/effective withheld",
            "caps.no-inheritance /capabilities/inheritable withheld",
            "caps.no-inheritance /capabilities/ambient withheld",
        ]
    );
    assert!(plan.steps.iter().any(|step| step.action.name() == "privs.forbid-new"));
}

#[test]
fn under_audit_it_is_granted_and_recorded_all_the_same() {
    let asked = ExecAsked { capabilities: SYS_ADMIN, ..run(&["sh"]) };

    let plan = built(&stored("audit", init()), &asked);

    assert_eq!(sets(&plan).permitted, CHOWN | SYS_ADMIN);
    assert!(plan.changes.is_empty());
    assert_eq!(plan.would_change.len(), 3);
}

#[test]
fn without_no_new_privs_the_capability_for_the_filter_is_none_of_the_ceiling() {
    let mut process = init();
    process["noNewPrivileges"] = json!(false);
    let mut stored = stored("audit", process);
    for step in &mut stored.steps {
        if let Action::SetCapabilities { sets } = &mut step.action {
            sets.permitted |= SYS_ADMIN;
            sets.effective |= SYS_ADMIN;
        }
    }

    let plan = built(&stored, &ExecAsked { no_new_privileges: true, ..run(&["sh"]) });

    assert_eq!(sets(&plan).permitted, CHOWN);
}

#[test]
fn what_a_document_does_not_say_is_init_s() {
    let asked = document(json!({"user": {"uid": 7, "gid": 8}, "cwd": "/tmp", "args": ["x"]}));
    let plan = built(&stored("hardened", init()), &asked);

    let has = |wanted: Action| plan.steps.iter().any(|step| step.action == wanted);
    assert!(has(Action::SetUmask { mask: 18 }));
    assert!(has(Action::SetOomScore { score: 100 }));
    assert!(has(Action::SetIds { uid: 7, gid: 8, groups: vec![] }));
    let limit = crate::plan::action::Limit { resource: 7, soft: 10, hard: 20 };
    assert!(has(Action::SetLimit { limit }));
    let environment: Vec<_> = plan.program.environment.iter().map(Text::as_str).collect();
    assert_eq!(environment, ["HOME=/"]);
    let found = sets(&plan);
    assert_eq!((found.bounding, found.permitted), (CHOWN | KILL, CHOWN));
}

#[test]
fn a_variable_of_an_option_replaces_the_one_of_its_name() {
    let environment = vec!["A=1".to_owned(), "A=2".to_owned(), "C=".to_owned()];
    let plan = built(&stored("hardened", init()), &ExecAsked { environment, ..run(&["sh"]) });

    let environment: Vec<_> = plan.program.environment.iter().map(Text::as_str).collect();
    assert_eq!(environment, ["PATH=/bin", "A=2", "C=", "HOME=/"]);
}

#[test]
fn where_commands_are_listed_the_caller_chooses_no_variables() {
    let policy = Policy {
        exec: ExecPolicy {
            allow: crate::policy::Allow::Listed(vec![vec!["sh".to_owned()]]),
            at: "p:1".to_owned(),
        },
        ..Policy::default()
    };
    let environment = ["PATH=/tmp", "LD_PRELOAD=/x", "TERM=vt", "A=b"].map(str::to_owned).to_vec();
    let asked = ExecAsked { environment, ..run(&["sh"]) };

    let plan = build_with(&stored("hardened", init()), &asked, &policy).unwrap();

    let environment: Vec<_> = plan.program.environment.iter().map(Text::as_str).collect();
    assert_eq!(environment, ["PATH=/bin", "A=b", "TERM=vt", "HOME=/"]);
    assert_eq!(plan.changes[0].from, "PATH LD_PRELOAD");
    assert_eq!(plan.program.candidates[0].as_str(), "/bin/sh");
    let other = build_with(&stored("hardened", init()), &run(&["id"]), &policy);
    assert!(matches!(other, Err(ExecFault::Refused(list)) if list.len() == 1));
}

#[test]
fn faults_are_all_named_with_pointers_into_the_document() {
    let asked = ExecAsked { user: Some((70_000, Some(80_000))), ..run(&[""]) };

    let fault = build_with(&stored("hardened", init()), &asked, &Policy::default()).unwrap_err();

    let ExecFault::Faulty(faults) = fault else { panic!("{fault:?}") };
    let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "/args/0: empty; there is no program to start",
            "/user/uid: 70000 is not mapped",
            "/user/gid: 80000 is not mapped",
        ]
    );
}

#[test]
fn a_plan_of_an_older_casemate_is_not_guessed_at() {
    let mut stored = stored("hardened", init());
    stored.exec = None;

    let fault = build_with(&stored, &run(&["sh"]), &Policy::default()).unwrap_err();

    let ExecFault::Faulty(faults) = fault else { panic!("{fault:?}") };
    assert!(faults[0].to_string().starts_with("the container was made by a casemate"));
}

#[test]
fn the_child_waits_until_its_limits_hold() {
    let plan = built(&stored("hardened", init()), &run(&["sh"]));

    let gate = |action: &Action| {
        let (Action::Open { gate } | Action::Await { gate }) = action else { return None };
        Some(*gate)
    };
    let gates: Vec<_> = plan.steps.iter().filter_map(|step| gate(&step.action)).collect();
    assert_eq!(gates, [Gate::Cgroups, Gate::Cgroups]);
}
