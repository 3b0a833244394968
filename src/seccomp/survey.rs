//! How much a filter permits: a few numbers for each interface.

use serde::Serialize;

use super::compare::rank;
use super::disassemble::sizes;
use super::paths::walk;
use super::resolve::{Chain, Resolved, resolve};
use super::table::rows;
use super::{Abi, Instruction, Request, SeccompError};

/// What becomes of the calls of one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AbiSurvey {
    /// Its name.
    pub abi: String,
    /// Whether the profile lists it; of one that it does not, every call is refused.
    pub listed: bool,
    /// Instructions that its calls get to; interfaces share some.
    pub instructions: usize,
    /// Calls that are made whatever their arguments.
    pub permitted: usize,
    /// Calls that are made for some arguments.
    pub conditional: usize,
    /// Calls about which a listener is asked, and that are never made without.
    pub asked: usize,
    /// Calls that are never made.
    pub refused: usize,
}

/// Counts what a program, which was compiled from the request, does with the calls that exist.
///
/// # Errors
/// As [`compile`](super::compile()).
pub fn survey(
    request: &Request<'_>,
    instructions: &[Instruction],
) -> Result<Vec<AbiSurvey>, SeccompError> {
    let resolved = resolve(request, &mut Vec::new())?;
    let resolved = resolved.unwrap_or_else(|| Resolved::allowing(request.native));
    let sizes = sizes(instructions);
    let size =
        |abi: Abi| sizes.iter().find(|(known, _)| *known == abi).map_or(0, |(_, size)| *size);
    let abis = request.native.family().iter();
    Ok(abis.map(|abi| count(&resolved, *abi, size(*abi))).collect())
}

fn count(resolved: &Resolved, abi: Abi, instructions: usize) -> AbiSurvey {
    let mut found = AbiSurvey {
        abi: abi.to_string(),
        listed: resolved.serves(abi),
        instructions,
        permitted: 0,
        conditional: 0,
        asked: 0,
        refused: 0,
    };
    for number in rows().iter().filter_map(|row| row.number(abi)) {
        let counted = match fate(&resolved.decision(abi, number)) {
            Fate::Permitted => &mut found.permitted,
            Fate::Conditional => &mut found.conditional,
            Fate::Asked => &mut found.asked,
            Fate::Refused => &mut found.refused,
        };
        *counted += 1;
    }
    found
}

/// What becomes of a call, over all its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Always made.
    Permitted,
    /// Made for some arguments.
    Conditional,
    /// Never made unless a listener wants it.
    Asked,
    /// Never made.
    Refused,
}

/// What becomes of the calls that a decision is about. One that is too hard to walk is said to
/// depend on arguments, as it does.
pub(crate) fn fate(chain: &Chain) -> Fate {
    let (mut best, mut worst) = (0, 2);
    let walked = walk(&[chain], &mut |meeting| {
        for ruling in &meeting.rulings {
            best = best.max(rank(ruling.action));
            worst = worst.min(rank(ruling.action));
        }
    });
    match (walked, best, worst) {
        (Err(_), _, _) => Fate::Conditional,
        (Ok(()), _, 2) => Fate::Permitted,
        (Ok(()), 2, _) => Fate::Conditional,
        (Ok(()), 1, _) => Fate::Asked,
        (Ok(()), _, _) => Fate::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::{Listener, compile};

    #[test]
    fn calls_are_counted_by_what_becomes_of_them() {
        let profile = serde_json::from_str(
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"],
                "syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
                    {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"},
                    {"names": ["prctl"], "action": "SCMP_ACT_ALLOW",
                     "args": [{"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}]}]}"#,
        )
        .unwrap();
        let request =
            Request { listener: Listener::Provided, ..Request::new(Some(&profile), Abi::X86_64) };
        let program = compile(&request).unwrap().unwrap().program.instructions;

        let found = survey(&request, &program).unwrap();

        let told: Vec<_> = found
            .iter()
            .map(|abi| (abi.listed, abi.permitted, abi.conditional, abi.asked))
            .collect();
        assert_eq!(told, [(true, 2, 1, 1), (true, 2, 1, 1), (false, 0, 0, 0)]);
        assert!(found.iter().all(|abi| abi.refused > 300), "{found:?}");
        assert!(found[0].instructions < program.len() && found[2].instructions > 3, "{found:?}");
    }
}
