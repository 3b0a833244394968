//! `seccomp explain`: what a filter says to a call, who decided, and what to do.

use std::path::Path;

use serde::Serialize;

use super::input::{self, Source};
use super::{Context, Setting, waived};
use crate::ops::{OpsError, Result, attend, filter, find, prepare, stored};
use crate::plan::listener::Listener;
use crate::plan::{Action, LaunchPlan};
use crate::policy::{Level, Waived};
use crate::seccomp::{self, Abi, Call, Case, Explanation, Instruction, Judgement, Meant, Request};

const DOING: &str = "seccomp explain";

/// Whose filter is explained.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// A container's, by its stored plan.
    Container(&'a str),
    /// That which a bundle would get under the policy in force.
    Bundle(&'a Path),
    /// That which is made of a profile.
    Profile(&'a Path, &'a Setting),
}

/// Answers, and whose they are.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// Whose filter it is.
    pub of: String,
    /// What must be known to read the answers.
    pub notes: Vec<String>,
    /// One for each call that was asked about.
    pub calls: Vec<Answer>,
}

/// What is said of one call.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// A call that has a name.
    Call(Explanation),
    /// A number that no known call has.
    Number {
        /// The number.
        number: u32,
        /// The ABI it was looked for in.
        abi: String,
        /// What becomes of it.
        case: Case,
    },
}

/// Explains what a filter says to calls, each given by name or by a number of `abi`.
///
/// # Errors
/// There is no such filter, or no such call.
pub fn explain(
    context: &Context,
    whose: Whose<'_>,
    calls: &[String],
    abi: Option<Abi>,
) -> Result<Explained> {
    let native = match whose {
        Whose::Profile(_, setting) => setting.native.or_else(Abi::native),
        Whose::Container(_) | Whose::Bundle(_) => Abi::native(),
    };
    let native = native.ok_or_else(|| {
        OpsError::failed(DOING, "there is no table of system calls for this processor")
    })?;
    let abi = abi.unwrap_or(native);
    if !native.family().contains(&abi) {
        return Err(OpsError::failed(DOING, format!("a kernel of {native} serves no {abi}")));
    }
    let meant: Vec<Meant> = calls.iter().map(|word| call(word, abi)).collect::<Result<Vec<_>>>()?;
    match whose {
        Whose::Profile(path, setting) => of_profile(path, setting, &meant),
        Whose::Bundle(path) => of_bundle(context, path, native, &meant),
        Whose::Container(id) => of_container(context, id, native, &meant),
    }
}

/// What a word means; a word that means nothing is an error.
fn call(word: &str, abi: Abi) -> Result<Meant> {
    let meant = seccomp::meant(word, abi);
    let Meant::Unknown(near) = meant else { return Ok(meant) };
    let failed = OpsError::failed(DOING, format!("`{word}` is no known system call"));
    Err(failed.hint(match near {
        Some(near) => format!("there is `{near}`"),
        None => "give a name, as in syscalls(2), or a number; names of a C library's functions \
                 may differ"
            .to_owned(),
    }))
}

fn of_profile(path: &Path, setting: &Setting, calls: &[Meant]) -> Result<Explained> {
    let given = setting.circumstances(DOING)?;
    let source = input::read(DOING, path, &given)?;
    let waive = setting.waived();
    let request = setting.request(source.profile.as_ref(), given.native, &waive);
    let with = if setting.bare { "without the baseline" } else { "with the baseline" };
    Ok(Explained {
        of: format!("{}, {with}", source.name),
        notes: Vec::new(),
        calls: answers(&source, &request, calls)?,
    })
}

fn of_bundle(context: &Context, path: &Path, native: Abi, calls: &[Meant]) -> Result<Explained> {
    let policy = prepare::load_policy(context, DOING)?;
    let source = input::of_bundle(DOING, path)?;
    let waived = waived(&policy, Some(&source));
    let request = filter::request(source.profile.as_ref(), native, policy.level, &waived);
    let request = Request { listener: seccomp::Listener::Provided, ..request };
    Ok(Explained {
        of: format!("{}, level {} ({})", source.name, policy.level, policy.source),
        notes: no_profile(&source, policy.level),
        calls: answers(&source, &request, calls)?,
    })
}

/// Said where the bundle has no profile, for that is not to be seen from the answers.
fn no_profile(source: &Source, level: Level) -> Vec<String> {
    match (&source.profile, level) {
        (Some(_), _) => Vec::new(),
        (None, Level::Hardened) => {
            vec!["the bundle has no /linux/seccomp: the baseline stands alone".to_owned()]
        }
        (None, Level::Audit) => {
            vec![
                "the bundle has no /linux/seccomp, and the level adds none: there is no filter"
                    .to_owned(),
            ]
        }
    }
}

fn of_container(context: &Context, id: &str, native: Abi, calls: &[Meant]) -> Result<Explained> {
    let doing = format!("{DOING} `{id}`");
    let (id, store) = find(context, &doing, id)?;
    let plan = store.read_plan(&id).map_err(|error| stored(&doing, &error))?;
    let plan = LaunchPlan::from_json(&plan).map_err(|error| OpsError::because(&doing, &error))?;
    let record = store.read(&id).map_err(|error| stored(&doing, &error))?.record;
    let loaded = plan.steps.iter().find_map(|step| {
        let Action::LoadFilter { program, .. } = &step.action else { return None };
        Some(program.instructions.as_slice())
    });
    let of = format!("container `{id}`, level {} ({})", plan.level, plan.policy);
    let level = if plan.level == Level::Audit.as_str() { Level::Audit } else { Level::Hardened };
    let waived: Vec<&str> = plan.excepted.iter().filter_map(Waived::baseline_rule).collect();
    let Some(loaded) = loaded else {
        return Err(OpsError::failed(doing, "the container has no filter: every call is made")
            .fact("level", plan.level));
    };
    if let Some(Listener::Watch(watch)) = attend::listener(&plan) {
        let source = Source::of_basis(of.clone(), &watch.basis);
        let notes =
            vec!["a watcher beside the container gives these answers, and notes them".to_owned()];
        let calls = watch.basis.with_request(native, |request| answers(&source, request, calls))?;
        return Ok(Explained { of, notes, calls });
    }
    let bundle = record.map(|record| record.bundle);
    let source = bundle.and_then(|bundle| input::of_bundle(&doing, &bundle).ok());
    if let Some(source) = source {
        let request = filter::request(source.profile.as_ref(), native, level, &waived);
        let request = Request { listener: seccomp::Listener::Provided, ..request };
        if is_compiled_from(loaded, &request) {
            let notes = no_profile(&source, level);
            return Ok(Explained { of, notes, calls: answers(&source, &request, calls)? });
        }
    }
    let baseline = filter::request(None, native, level, &waived);
    let notes = vec![
        "the bundle's config.json no longer makes the filter that the container was started \
         with; this is read out of the filter itself, which does not say which rule decided"
            .to_owned(),
    ];
    Ok(Explained { of, notes, calls: read_back(loaded, &baseline, calls, &doing)? })
}

/// Whether a program is what comes of a request, instruction for instruction.
fn is_compiled_from(loaded: &[Instruction], request: &Request<'_>) -> bool {
    matches!(seccomp::compile(request), Ok(Some(compiled))
        if compiled.program.instructions == loaded)
}

fn answers(source: &Source, request: &Request<'_>, calls: &[Meant]) -> Result<Vec<Answer>> {
    let failed = |error| source.error(DOING, &error);
    let mut answers = Vec::new();
    for call in calls {
        let answer = match call {
            Meant::Call(name) => seccomp::explain(request, name).map_err(failed)?.map(Answer::Call),
            Meant::FreeNumber(abi, number) => {
                let judged = seccomp::judge(request, &bare_call(*abi, *number)).map_err(failed)?;
                judged.map(|judged| numbered(*abi, *number, judged))
            }
            Meant::Unknown(_) => None,
        };
        let Some(mut answer) = answer else {
            return Err(OpsError::failed(
                DOING,
                format!("{} makes no filter: every call is made", source.name),
            ));
        };
        relocate(&mut answer, source);
        answers.push(answer);
    }
    Ok(answers)
}

fn relocate(answer: &mut Answer, source: &Source) {
    let cases: Vec<&mut Case> = match answer {
        Answer::Call(call) => call.abis.iter_mut().flat_map(|abi| &mut abi.cases).collect(),
        Answer::Number { case, .. } => vec![case],
    };
    for case in cases {
        case.by = source.addresses.relocate(&case.by);
    }
}

fn read_back(
    loaded: &[Instruction],
    baseline: &Request<'_>,
    calls: &[Meant],
    doing: &str,
) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for call in calls {
        match call {
            Meant::Call(name) => {
                let read = seccomp::explain_program(loaded, baseline, name)
                    .map_err(|error| OpsError::because(doing, &error))?;
                answers.extend(read.map(Answer::Call));
            }
            Meant::FreeNumber(abi, number) => {
                let action = seccomp::interpret(loaded, &bare_call(*abi, *number))
                    .map_err(|error| OpsError::because(doing, &error))?;
                answers.push(Answer::Number {
                    number: *number,
                    abi: abi.to_string(),
                    case: Case {
                        when: Vec::new(),
                        action: action.to_string(),
                        permitted: action.is_permissive(),
                        by: "the program that was loaded".to_owned(),
                        because: "no known call has the number".to_owned(),
                        hint: None,
                    },
                });
            }
            Meant::Unknown(_) => {}
        }
    }
    Ok(answers)
}

fn bare_call(abi: Abi, number: u32) -> Call {
    Call {
        nr: abi.full_number(number),
        arch: abi.audit_arch(),
        instruction_pointer: 0,
        args: [0; 6],
    }
}

fn numbered(abi: Abi, number: u32, judged: Judgement) -> Answer {
    Answer::Number { number, abi: abi.to_string(), case: judged.case }
}
