//! `seccomp compile`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::setting::SettingArgs;
use super::table::{columns, count, some};
use super::{Outcome, output};
use crate::ops::seccomp::{CompileReport, Disassembly, compile, write_program};

/// Compile a profile to a BPF program, and say what came out
///
/// Prints the program's size, how long it took to compile, how many calls of each ABI it permits,
/// and which rules of the baseline refuse what the profile would have let through. Needs neither
/// root nor a container; nothing is loaded.
#[derive(Debug, Args)]
pub(super) struct CompileArgs {
    /// The profile: a file, `-` for standard input, builtin:baseline or builtin:allow-list
    #[arg(value_name = "PROFILE")]
    profile: PathBuf,

    /// Write the program to this file, as an array of `struct sock_filter`; `-` writes it to
    /// standard output, and no report
    ///
    /// That is what `bwrap --seccomp FD` and seccomp(2) take. The file is replaced as a whole.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print the program too: what each instruction does, for which calls, and by whose word
    #[arg(long)]
    disasm: bool,

    /// Print the report as one JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    setting: SettingArgs,
}

pub(super) fn perform(args: &CompileArgs) -> Outcome {
    let disassembly = if args.disasm { Disassembly::With } else { Disassembly::Without };
    let report = compile(&args.profile, &args.setting.setting(), disassembly)?;
    match &args.output {
        Some(path) if path.as_os_str() == "-" => return output::print_bytes(&report.program),
        Some(path) => write_program(path, &report.program)?,
        None => {}
    }
    let printed =
        if args.json { output::print_pretty(&report) } else { output::print(&text(&report)) };
    printed.map(|_| ExitCode::SUCCESS)
}

fn text(report: &CompileReport) -> String {
    let mut out = String::new();
    // Writing to a string does not fail, here and below.
    let _ = write!(out, "{}", head(report));
    let _ = write!(out, "\n{}", abis(report));
    if !report.denials.is_empty() {
        let _ = write!(out, "\n{}", denials(report));
    }
    if !report.left_out.is_empty() {
        let _ = write!(out, "\n{}", left_out(report));
    }
    if !report.warnings.is_empty() {
        out.push('\n');
    }
    for warning in &report.warnings {
        let _ = writeln!(out, "warning: {}", output::one_line(warning));
    }
    if let Some(lines) = &report.disassembly {
        out.push('\n');
        for line in lines {
            let _ = writeln!(out, "{}", output::one_line(&line.to_string()));
        }
    }
    out
}

fn head(report: &CompileReport) -> String {
    let flags = if report.flags.is_empty() { "none".to_owned() } else { report.flags.join(", ") };
    let merged = if report.baseline { "merged in" } else { "left out" };
    let mut out = format!(
        "profile   {}: {}\nbaseline  {merged}\nprogram   {}, {} bytes, for {}; flags: {flags}\n\
         compiled  in {:.0} µs, the median of {}\n",
        output::one_line(&report.profile),
        report.form,
        count(report.instructions, "instruction", "instructions"),
        report.bytes,
        report.arch,
        report.compile_usec,
        count(report.compile_runs, "run", "runs"),
    );
    if let Some(vintage) = &report.vintage {
        let _ = writeln!(
            out,
            "vintage   Linux {vintage}: unnamed calls that came later fail with ENOSYS"
        );
    }
    out
}

fn abis(report: &CompileReport) -> String {
    let asks = report.abis.iter().any(|abi| abi.asked > 0);
    let rows: Vec<Vec<String>> = report
        .abis
        .iter()
        .map(|abi| {
            let asked = asks.then_some(abi.asked);
            let numbers = [Some(abi.instructions), Some(abi.permitted), Some(abi.conditional)];
            let cells = numbers.into_iter().chain([asked, Some(abi.refused)]).flatten();
            let mut row = vec![abi.abi.clone()];
            row.extend(cells.map(|number| number.to_string()));
            row.push(if abi.listed { String::new() } else { "not in the profile".to_owned() });
            row
        })
        .collect();
    let mut header = vec!["ABI", ">INSTRUCTIONS", ">PERMITTED", ">BY ARGUMENT"];
    if asks {
        header.push(">ASKED");
    }
    header.extend([">REFUSED", ""]);
    columns(&header, &rows)
}

fn denials(report: &CompileReport) -> String {
    let rows: Vec<Vec<String>> = report
        .denials
        .iter()
        .map(|denial| {
            let calls = some(denial.calls, 3);
            vec![denial.rule.to_owned(), denial.answer.clone(), calls, denial.breaks.to_owned()]
        })
        .collect();
    format!(
        "{} what the profile would let through:\n{}",
        count(rows.len(), "rule of the baseline refuses", "rules of the baseline refuse"),
        columns(&["RULE", "ANSWER", "CALLS", "KNOWN TO NEED THEM"], &rows)
    )
}

fn left_out(report: &CompileReport) -> String {
    let rows: Vec<Vec<String>> = report
        .left_out
        .iter()
        .map(|rule| vec![rule.at.clone(), rule.why.clone(), some(&rule.calls, 8)])
        .collect();
    let capabilities = if report.capabilities.is_empty() {
        "no capabilities".to_owned()
    } else {
        some(&report.capabilities, 12)
    };
    format!(
        "{} for {}, Linux {} and {capabilities} (--arch, --kernel, --cap):\n{}",
        count(rows.len(), "rule does not stand", "rules do not stand"),
        report.arch,
        report.kernel,
        columns(&["RULE", "STANDS", "CALLS"], &rows)
    )
}
