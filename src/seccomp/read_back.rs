//! Why a call gets its answer, read out of a program when nothing else is left of a profile.
//!
//! The program is what was loaded, so its answers are true. Who wanted them is not in it; but
//! what the baseline refuses, it refuses whatever a profile says.

use super::action::Action;
use super::condition::{Atom, WordCompare};
use super::explain::{AbiExplanation, Case, Explanation, explained};
use super::interpret::Call;
use super::program::Instruction;
use super::resolve::{Origin, Resolved, resolve};
use super::solve::{TooHard, solve};
use super::table::lookup;
use super::{Abi, Request, SeccompError};

/// More cases than this are not told apart.
const MAX_CASES: usize = 64;

/// How many instructions may be looked at.
const BUDGET: u32 = 100_000;

/// Explains the answers of a program to the calls of a name; `baseline` is a request without a
/// profile, for what is merged into every one. `Ok(None)`: there is no such call.
///
/// # Errors
/// As [`compile`](super::compile()), of the baseline.
pub fn explain_program(
    instructions: &[Instruction],
    baseline: &Request<'_>,
    name: &str,
) -> Result<Option<Explanation>, SeccompError> {
    let Some(row) = lookup(name) else { return Ok(None) };
    let baseline = resolve(baseline, &mut Vec::new())?;
    let native = baseline.as_ref().and_then(|resolved| resolved.abis.first()).map(|own| own.abi);
    let family = native.unwrap_or(Abi::X86_64).family();
    let abis = family.iter().map(|abi| {
        let number = row.number(*abi);
        let cases = number
            .map_or(Vec::new(), |number| cases(instructions, baseline.as_ref(), *abi, number));
        AbiExplanation { abi: abi.to_string(), number, cases }
    });
    Ok(Some(explained(row, abis.collect())))
}

/// Whether a program allows every call of a name, whatever its arguments: nobody is asked or told.
/// `false` as well where there is no such call, or where that is too hard to tell.
#[must_use]
pub fn allows_always(instructions: &[Instruction], abi: Abi, name: &str) -> bool {
    let Some(number) = lookup(name).and_then(|row| row.number(abi)) else { return false };
    let found = answers(instructions, abi, number);
    found.is_ok_and(|found| {
        !found.is_empty() && found.iter().all(|path| path.action == Action::Allow)
    })
}

/// The answers of a program to the calls of a number.
fn answers(instructions: &[Instruction], abi: Abi, number: u32) -> Result<Vec<Path>, TooHard> {
    let mut reader = Reader {
        instructions,
        arch: abi.audit_arch(),
        number,
        facts: Vec::new(),
        found: Vec::new(),
        budget: BUDGET,
    };
    reader.from(0, Holds::Known(0))?;
    Ok(reader.found)
}

/// The answers to the calls of a number, each with what leads to it.
fn cases(
    instructions: &[Instruction],
    baseline: Option<&Resolved>,
    abi: Abi,
    number: u32,
) -> Vec<Case> {
    let Ok(found) = answers(instructions, abi, number) else { return vec![too_many()] };
    found.into_iter().map(|path| case(path, baseline, abi, number)).collect()
}

/// An answer, and the comparisons that lead to it.
struct Path {
    when: Vec<(Atom, bool)>,
    args: [u64; 6],
    action: Action,
}

fn case(path: Path, baseline: Option<&Resolved>, abi: Abi, number: u32) -> Case {
    let call = Call { nr: number, arch: abi.audit_arch(), instruction_pointer: 0, args: path.args };
    let denial = baseline.map(|resolved| resolved.judge(&call)).filter(|ruling| {
        matches!(ruling.origin, Origin::Baseline(_)) && ruling.action == path.action
    });
    let when = path.when.iter().map(|(atom, outcome)| atom.words(*outcome)).collect();
    match (denial, baseline) {
        (Some(ruling), Some(resolved)) => super::explain::case(resolved, when, ruling),
        _ => Case {
            when,
            action: path.action.to_string(),
            permitted: path.action.is_permissive(),
            by: "the program that was loaded".to_owned(),
            because: "the profile it was made from is no longer there".to_owned(),
            hint: (!path.action.is_permissive())
                .then(|| "look into the profile that the engine was given".to_owned()),
        },
    }
}

fn too_many() -> Case {
    Case {
        when: Vec::new(),
        action: "depends on the arguments, in too many ways to list".to_owned(),
        permitted: false,
        by: "the program that was loaded".to_owned(),
        because: "it compares arguments".to_owned(),
        hint: None,
    }
}

/// What is in the accumulator.
#[derive(Debug, Clone, Copy)]
enum Holds {
    /// This.
    Known(u32),
    /// A word of the arguments, cut to a mask.
    Word { word: u8, mask: u32 },
}

/// Follows a program for the calls of one number.
struct Reader<'a> {
    instructions: &'a [Instruction],
    arch: u32,
    number: u32,
    facts: Vec<(Atom, bool)>,
    found: Vec<Path>,
    budget: u32,
}

impl Reader<'_> {
    fn from(&mut self, mut at: usize, mut holds: Holds) -> Result<(), TooHard> {
        loop {
            self.budget = self.budget.checked_sub(1).ok_or(TooHard)?;
            let Some(Instruction { code, jt, jf, k }) = self.instructions.get(at).copied() else {
                return Err(TooHard);
            };
            let mut skip = 0;
            match code {
                0x06 => return self.answer(Action::from_ret(k)),
                0x20 => holds = self.load(k)?,
                0x54 => {
                    holds = match holds {
                        Holds::Known(value) => Holds::Known(value & k),
                        Holds::Word { word, mask } => Holds::Word { word, mask: mask & k },
                    }
                }
                0x05 => skip = usize::try_from(k).map_err(|_| TooHard)?,
                0x15 | 0x35 | 0x45 => {
                    let (yes, no) = (usize::from(jt), usize::from(jf));
                    match question(code, k, holds)? {
                        Question::Decided(true) => skip = yes,
                        Question::Decided(false) => skip = no,
                        Question::Asks(atom, turned) => {
                            self.assuming((atom, !turned), at + 1 + yes, holds)?;
                            return self.assuming((atom, turned), at + 1 + no, holds);
                        }
                    }
                }
                _ => return Err(TooHard),
            }
            at += 1 + skip;
        }
    }

    fn load(&self, offset: u32) -> Result<Holds, TooHard> {
        match offset {
            0 => Ok(Holds::Known(self.number)),
            4 => Ok(Holds::Known(self.arch)),
            16..64 => {
                let word = u8::try_from((offset - 16) / 4).map_err(|_| TooHard)?;
                Ok(Holds::Word { word, mask: u32::MAX })
            }
            _ => Err(TooHard),
        }
    }

    fn assuming(&mut self, fact: (Atom, bool), at: usize, holds: Holds) -> Result<(), TooHard> {
        self.facts.push(fact);
        let read = self.from(at, holds);
        self.facts.pop();
        read
    }

    fn answer(&mut self, action: Action) -> Result<(), TooHard> {
        let Some(args) = solve(&self.facts)? else { return Ok(()) };
        if self.found.len() >= MAX_CASES {
            return Err(TooHard);
        }
        self.found.push(Path { when: self.facts.clone(), args, action });
        Ok(())
    }
}

/// What a conditional jump comes to.
enum Question {
    /// Every call of the number goes this way.
    Decided(bool),
    /// It depends on a word; whether the jump is taken when the comparison does *not* hold.
    Asks(Atom, bool),
}

fn question(code: u16, k: u32, holds: Holds) -> Result<Question, TooHard> {
    let (word, mask) = match holds {
        Holds::Known(value) => {
            return Ok(Question::Decided(match code {
                0x15 => value == k,
                0x35 => value >= k,
                _ => value & k != 0,
            }));
        }
        Holds::Word { word, mask } => (word, mask),
    };
    let masked = |mask, value| Atom { word, compare: WordCompare::Masked { mask, value } };
    match code {
        0x15 if k & !mask != 0 => Ok(Question::Decided(false)),
        0x15 => Ok(Question::Asks(masked(mask, k), false)),
        0x45 => Ok(Question::Asks(masked(mask & k, 0), true)),
        0x35 if mask == u32::MAX => {
            Ok(Question::Asks(Atom { word, compare: WordCompare::AtLeast(k) }, false))
        }
        _ => Err(TooHard),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::rows;
    use super::super::{Baseline, SetIdBits, compile, interpret};
    use super::*;

    const PROFILE: &str = include_str!("../../integration/golden/seccomp/podman-4.3.json");

    fn program(request: &Request<'_>) -> Vec<Instruction> {
        compile(request).unwrap().unwrap().program.instructions
    }

    #[test]
    fn every_case_that_is_read_is_what_the_program_does() {
        let profile = serde_json::from_str(PROFILE).unwrap();
        let standing = Request::new(Some(&profile), Abi::X86_64);
        for baseline in [Baseline::Off, Baseline::Standing] {
            let code = program(&Request { baseline, ..standing });
            for abi in Abi::X86_64.family() {
                for number in rows().iter().filter_map(|row| row.number(*abi)) {
                    let found = answers(&code, *abi, number).unwrap();
                    assert!(!found.is_empty());
                    for path in found {
                        let arch = abi.audit_arch();
                        let call =
                            Call { nr: number, arch, instruction_pointer: 0, args: path.args };
                        assert_eq!(interpret(&code, &call), Ok(path.action), "{call:x?}");
                    }
                }
            }
        }
    }

    #[test]
    fn only_what_is_allowed_without_a_condition_is_allowed_always() {
        let profile = serde_json::from_str(PROFILE).unwrap();
        let code = program(&Request::new(Some(&profile), Abi::X86_64));
        let always = |name| allows_always(&code, Abi::X86_64, name);

        assert!(always("read") && always("execve"));
        assert!(!always("mount") && !always("personality") && !always("frobnicate"));
    }

    #[test]
    fn what_is_asked_or_noted_is_not_simply_allowed() {
        let profile = |action: &str| {
            let text = format!(
                r#"{{"defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{{"names": ["getcwd"], "action": "{action}"}}]}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        for action in ["SCMP_ACT_NOTIFY", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_ERRNO"] {
            let profile = profile(action);
            let request = Request {
                baseline: Baseline::Off,
                listener: super::super::Listener::Provided,
                ..Request::new(Some(&profile), Abi::X86_64)
            };
            let code = program(&request);

            assert!(!allows_always(&code, Abi::X86_64, "getcwd"), "{action}");
            assert!(allows_always(&code, Abi::X86_64, "read"), "{action}");
        }
    }

    #[test]
    fn what_the_baseline_refuses_is_still_known() {
        let profile = serde_json::from_str(PROFILE).unwrap();
        let denied = |request| Request { set_id_bits: SetIdBits::Denied, ..request };
        let code = program(&denied(Request::new(Some(&profile), Abi::X86_64)));
        let baseline = denied(Request::new(None, Abi::X86_64));
        let text = |name| explain_program(&code, &baseline, name).unwrap().unwrap().to_string();

        assert!(text("mount").contains("baseline rule `mount.change`"));
        assert!(text("read").contains("allow\n      decided by  the program that was loaded"));
        let personality = text("personality");
        assert!(
            personality.contains("allow if argument 0, low half, is 0xffffffff")
                || personality.contains("argument 0, low half, is 0x0"),
            "{personality}"
        );
        assert_eq!(explain_program(&code, &baseline, "frobnicate"), Ok(None));
    }
}
