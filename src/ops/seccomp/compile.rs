//! `seccomp compile`: a profile to a program, and everything there is to say of it.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Setting;
use super::input::{self, LeftOut, Source};
use crate::ops::{OpsError, Result};
use crate::seccomp::{
    self, AbiSurvey, BaselineRule, Circumstances, Compiled, Instruction, Line, Request, flag,
};

/// How often the compiler is run to tell its time.
const RUNS: usize = 101;

/// When that is given up: some profiles take long.
const PATIENCE: Duration = Duration::from_millis(300);

/// What became of a profile.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CompileReport {
    /// What the profile is called.
    pub profile: String,
    /// What sort of file it is.
    pub form: &'static str,
    /// The ABI of the kernel that the program is for.
    pub arch: String,
    /// The version of that kernel; it matters to engines' files only.
    pub kernel: String,
    /// The capabilities that were assumed; they matter to engines' files only.
    pub capabilities: Vec<String>,
    /// Whether the baseline is merged in.
    pub baseline: bool,
    /// How many instructions the program has.
    pub instructions: usize,
    /// How many bytes those are.
    pub bytes: usize,
    /// Flags for seccomp(2).
    pub flags: Vec<&'static str>,
    /// How long compiling took, in microseconds: the median.
    pub compile_usec: f64,
    /// Of how many runs.
    pub compile_runs: usize,
    /// What becomes of the calls of each ABI.
    pub abis: Vec<AbiSurvey>,
    /// The newest kernel that the profile's author knew calls of; unnamed ones of newer kernels
    /// fail with ENOSYS.
    pub vintage: Option<String>,
    /// What the author would want to know.
    pub warnings: Vec<String>,
    /// Rules of the baseline that refuse something which the profile would have let through.
    pub denials: Vec<Denial>,
    /// Rules of an engine's file that do not stand here.
    pub left_out: Vec<LeftOut>,
    /// The program, instruction by instruction, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disassembly: Option<Vec<Line>>,
    /// The program, as an array of `struct sock_filter`.
    #[serde(skip)]
    pub program: Vec<u8>,
}

/// A rule of the baseline.
#[derive(Debug, Clone, Serialize)]
pub struct Denial {
    /// Its name.
    pub rule: &'static str,
    /// What it is about.
    pub calls: &'static [&'static str],
    /// What a denied call fails with.
    pub answer: String,
    /// Why.
    pub reason: &'static str,
    /// What is known to miss the calls.
    pub breaks: &'static str,
}

impl From<&BaselineRule> for Denial {
    fn from(rule: &BaselineRule) -> Self {
        Self {
            rule: rule.id,
            calls: rule.calls,
            answer: seccomp::Action::Errno(rule.errno).to_string(),
            reason: rule.reason,
            breaks: rule.breaks,
        }
    }
}

/// Whether the report has the program in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disassembly {
    /// No.
    Without,
    /// Yes.
    With,
}

/// Compiles what a PROFILE argument names.
///
/// # Errors
/// It cannot be read or compiled.
pub fn compile(
    profile: &Path,
    setting: &Setting,
    disassembly: Disassembly,
) -> Result<CompileReport> {
    let doing = "seccomp compile";
    let given = setting.circumstances(doing)?;
    let source = input::read(doing, profile, &given)?;
    let waive = setting.waived();
    let request = setting.request(source.profile.as_ref(), given.native, &waive);
    let failed = |error| source.error(doing, &error);
    let Some(compiled) = seccomp::compile(&request).map_err(failed)? else {
        return Err(OpsError::failed(doing, format!("{} has no filter", source.name))
            .hint("without --no-baseline there is one"));
    };
    let abis = seccomp::survey(&request, &compiled.program.instructions).map_err(failed)?;
    let disassembly = match disassembly {
        Disassembly::Without => None,
        Disassembly::With => lines(&request, &source).map_err(failed)?,
    };
    let (compile_usec, compile_runs) = time(&request);
    Ok(CompileReport {
        compile_usec,
        compile_runs,
        abis,
        disassembly,
        baseline: !setting.bare,
        ..report(source, &given, &compiled)
    })
}

fn report(source: Source, given: &Circumstances, compiled: &Compiled) -> CompileReport {
    let warned = compiled.warnings.iter();
    let warned = warned.map(|warning| source.addresses.relocate(&warning.to_string()));
    let program = bytes(&compiled.program.instructions);
    CompileReport {
        form: source.form,
        arch: given.native.to_string(),
        kernel: given.kernel.to_string(),
        capabilities: given.capabilities.iter().cloned().collect(),
        baseline: false,
        instructions: compiled.program.instructions.len(),
        bytes: program.len(),
        flags: flag::names(compiled.program.flags),
        compile_usec: 0.0,
        compile_runs: 0,
        abis: Vec::new(),
        vintage: compiled.vintage.map(|vintage| vintage.to_string()),
        warnings: source.warnings.iter().cloned().chain(warned).collect(),
        denials: compiled.denials.iter().map(|rule| Denial::from(*rule)).collect(),
        left_out: source.left_out,
        disassembly: None,
        program,
        profile: source.name,
    }
}

fn lines(
    request: &Request<'_>,
    source: &Source,
) -> std::result::Result<Option<Vec<Line>>, seccomp::SeccompError> {
    let lines = seccomp::disassemble(request)?;
    Ok(lines.map(|mut lines| {
        for origin in lines.iter_mut().flat_map(|line| &mut line.origins) {
            *origin = source.addresses.relocate(origin);
        }
        lines
    }))
}

/// The median time of the compiler, and of how many runs.
fn time(request: &Request<'_>) -> (f64, usize) {
    let begun = Instant::now();
    let mut times = Vec::with_capacity(RUNS);
    while times.len() < RUNS && (times.is_empty() || begun.elapsed() < PATIENCE) {
        let start = Instant::now();
        let _ = black_box(seccomp::compile(black_box(request)));
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    (median.as_secs_f64() * 1e6, times.len())
}

/// The program as `struct sock_filter`s.
fn bytes(instructions: &[Instruction]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(instructions.len() * 8);
    for Instruction { code, jt, jf, k } in instructions {
        bytes.extend(code.to_ne_bytes());
        bytes.extend([*jt, *jf]);
        bytes.extend(k.to_ne_bytes());
    }
    bytes
}
