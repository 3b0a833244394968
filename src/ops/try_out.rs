//! `try`: the main job on an embedded bundle, attacked from inside and looked at from outside.
//!
//! The commands are run as anyone would run them, by this same program: nothing here knows
//! more of the runtime than its command line.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::{Context, OpsError, RANGES, Result};
use crate::host::outer;
use crate::selftest::answers::Answers;
use crate::selftest::{Finding, Promise, Report, answers, bundle, outside};
use crate::store::ranges::Range;

/// What `try` is asked for.
#[derive(Debug, Clone, Default)]
pub struct TryRequest {
    /// For tests: a defence to take out, so that its line turns red.
    pub weaken: Option<String>,
}

/// How long the attempts inside may take together.
const PATIENCE: Duration = Duration::from_secs(90);

/// Runs the self-test and reports what held.
///
/// # Errors
/// When the container could not even be started.
pub fn try_out(context: &Context, request: &TryRequest) -> Result<Report> {
    let place = Place::make().map_err(|error| OpsError::because("try", &error))?;
    bundle::build(&place.dir, given_ids())
        .map_err(|error| OpsError::because("try: make a bundle", &error))?;
    let watched = [place.dir.as_path(), Path::new(RANGES)];
    let before = observe(&watched, &place.id)?;
    let (mut findings, absent) = attack(context, request, &place)?;
    let after = observe(&watched, &place.id)?;
    findings.extend(before.compare(&after));
    Ok(Report::new(findings, absent))
}

/// The first of the ids that an engine without root would give: all that the caller's user
/// namespace has beside the caller's own. `None` for root of the host.
fn given_ids() -> Option<u32> {
    let caller = outer::caller().ok().flatten()?;
    let (users, groups) = caller.spare(Range::LENGTH);
    users.filter(|_| users == groups)
}

fn observe(watched: &[&Path], tag: &str) -> Result<outside::Host> {
    outside::Host::observe(watched, tag)
        .map_err(|error| OpsError::because("try: look at the host", &error))
}

/// A directory of our own, gone when dropped.
struct Place {
    dir: PathBuf,
    id: String,
}

impl Place {
    fn make() -> io::Result<Self> {
        let id = format!("casemate-try-{}", std::process::id());
        let dir = std::env::temp_dir().join(&id);
        std::fs::create_dir(&dir)?;
        std::fs::create_dir(dir.join("state"))?;
        std::os::unix::fs::chown(&dir, None, None)?;
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(dir.join("state"), private)?;
        Ok(Self { dir, id })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// What was found, and what there was nothing to find about.
type Found = (Vec<Finding>, Vec<(Promise, String)>);

/// A defence that is only taken out where a process enters.
const ENTERING: &str = "exec:";

/// One command of this very program.
fn command(context: &Context, request: &TryRequest, place: &Place) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg("--root").arg(place.dir.join("state"));
    if let Some(policy) = &context.policy {
        command.arg("--policy").arg(policy);
    }
    if let Some(weaken) = request.weaken.as_ref().filter(|weaken| !weaken.starts_with(ENTERING)) {
        command.env("CASEMATE_SKIP", weaken);
    }
    command.stdin(Stdio::null());
    command
}

fn done(what: &str, output: io::Result<Output>) -> Result<String> {
    let output = output.map_err(|error| OpsError::because(format!("try: {what}"), &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(OpsError::failed(
        format!("try: {what}"),
        last_line(&String::from_utf8_lossy(&output.stderr)),
    ))
}

/// The line that holds the whole sentence.
fn last_line(said: &str) -> String {
    let line = said.trim().lines().next_back().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Creates the container, starts it, collects what it attempted, and removes it.
fn attack(context: &Context, request: &TryRequest, place: &Place) -> Result<Found> {
    let explained = done(
        "explain",
        command(context, request, place)
            .args(["explain", "--json", "--bundle"])
            .arg(&place.dir)
            .output(),
    )?;
    let mut child = command(context, request, place)
        .args(["create", "--bundle"])
        .arg(&place.dir)
        .arg(&place.id)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| OpsError::because("try: create", &error))?;
    // Held open: the program inside waits for its end, so that it can be looked at.
    let stdin = child.stdin.take();
    let collected = collect(context, request, place, &mut child, &explained);
    drop(stdin);
    let deleted = done(
        "delete",
        command(context, request, place).args(["delete", "--force", &place.id]).output(),
    );
    let findings = collected?;
    deleted.map(|_| findings)
}

fn collect(
    context: &Context,
    request: &TryRequest,
    place: &Place,
    child: &mut Child,
    explained: &str,
) -> Result<Found> {
    let failed = |error: &io::Error| OpsError::because("try: create", error);
    let created = child.wait().map_err(|error| failed(&error))?;
    if !created.success() {
        let mut said = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            let _ = io::Read::read_to_string(&mut stderr, &mut said);
        }
        return Err(OpsError::failed("try: create", last_line(&said)));
    }
    let state =
        done("state", command(context, request, place).args(["state", &place.id]).output())?;
    let state: serde_json::Value =
        serde_json::from_str(&state).map_err(|error| OpsError::because("try: state", &error))?;
    let pid = state.get("pid").and_then(serde_json::Value::as_i64).unwrap_or(0);
    let pid = i32::try_from(pid).unwrap_or(0);
    done("start", command(context, request, place).args(["start", &place.id]).output())?;
    let stdout = child.stdout.take().ok_or_else(|| OpsError::failed("try", "no output"))?;
    let answers = answers::read(&stdout, PATIENCE).map_err(|error| failed(&error))?;
    let free = given_ids().map_or(65_536, u64::from);
    let mut findings = outside::observe(pid, free);
    findings.extend(answers.findings());
    findings.push(outside::digests(&digest_of(explained, "/digest"), &{
        let of_state = state.pointer("/annotations/org.casemate.plan.digest");
        of_state.and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    }));
    match enter(context, request, place, pid)? {
        Some((entered, same)) => {
            findings.extend(answers::entered(&findings, entered.findings()));
            findings.extend(same);
            Ok((findings, Vec::new()))
        }
        None => Ok((findings, vec![(Promise::P6, "the policy refuses `exec`".to_owned())])),
    }
}

/// Makes the same attempts in a process that enters by `exec`, and compares that with `init`.
/// `None` if the policy refuses.
fn enter(
    context: &Context,
    request: &TryRequest,
    place: &Place,
    init: i32,
) -> Result<Option<(Answers, Vec<Finding>)>> {
    let failed = |error: &io::Error| OpsError::because("try: exec", error);
    let file = place.dir.join("exec.pid");
    let mut command = command(context, request, place);
    if let Some(weaken) = request.weaken.as_ref().and_then(|weaken| weaken.strip_prefix(ENTERING)) {
        command.env("CASEMATE_SKIP", weaken);
    }
    let mut child = command
        .args(["exec", "--pid-file"])
        .arg(&file)
        .args([&place.id, "/bin/casemate", "try", "--inside"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().ok_or_else(|| OpsError::failed("try", "no output"))?;
    let answers = answers::read(&stdout, PATIENCE).map_err(|error| failed(&error))?;
    let pid = entered_pid(&file, &mut child).map_err(|error| failed(&error))?;
    let same = pid.map(|pid| outside::same_box(init, pid));
    drop(stdin);
    let ended = child.wait_with_output().map_err(|error| failed(&error))?;
    if ended.status.code() == Some(REFUSED) {
        return Ok(None);
    }
    let said = || last_line(&String::from_utf8_lossy(&ended.stderr));
    let same = same.ok_or_else(|| OpsError::failed("try: exec", said()))?;
    Ok(Some((answers, same)))
}

/// The process id that `exec` writes: the program may have answered everything before. `None` if
/// the command has ended without one.
fn entered_pid(file: &Path, command: &mut Child) -> io::Result<Option<i32>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let has_ended = command.try_wait()?.is_some();
        let pid = std::fs::read_to_string(file).ok().and_then(|text| text.parse().ok());
        if pid.is_some() || has_ended || Instant::now() > deadline {
            return Ok(pid);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The exit status of a command that the policy refused.
const REFUSED: i32 = 3;

fn digest_of(document: &str, pointer: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
    value.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Child {
        Command::new("/bin/sh").args(["-c", line]).stdin(Stdio::piped()).spawn().unwrap()
    }

    #[test]
    fn the_process_id_of_what_entered_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let line =
            format!("cd {}; sleep 0.2; echo -n 7 > new; mv new pid; read x", dir.path().display());
        let mut child = shell(&line);
        assert_eq!(entered_pid(&file, &mut child).unwrap(), Some(7));
        drop(child.stdin.take());
        child.wait().unwrap();

        std::fs::remove_file(&file).unwrap();
        let mut refused = shell("exit 3");
        assert_eq!(entered_pid(&file, &mut refused).unwrap(), None);
        assert_eq!(refused.wait().unwrap().code(), Some(3));
    }
}
