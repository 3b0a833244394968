//! What needs no container: versions, documents, and how errors reach people and engines.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Ran, Runtime};

fn runtime() -> Runtime {
    Runtime::new()
}

/// A call with a log, and what stands in it.
fn logged(format: &str, words: &[&str]) -> (Ran, String) {
    let runtime = runtime();
    let log = runtime.root().with_file_name("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
    command.arg("--root").arg(runtime.root()).arg("--log").arg(&log);
    command.args(["--log-format", format]).args(words).stdin(Stdio::null());
    let ran = runtime.finish(command);
    let mode = fs::metadata(&log).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the log's mode");
    (ran, fs::read_to_string(log).unwrap())
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

/// Done, and silent on standard error: some engines read both streams as one.
#[track_caller]
fn silent(ran: Ran) -> String {
    assert_eq!(ran.stderr, "");
    ran.ok()
}

// rows: cli.--version
#[test]
fn the_version_is_three_lines_that_engines_read() {
    for option in ["--version", "-v"] {
        let text = silent(runtime().call([option]));

        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], concat!("casemate version ", env!("CARGO_PKG_VERSION")));
        assert!(lines[1].starts_with("commit: ") && lines[2].starts_with("spec: 1."), "{text}");
        assert_eq!(lines.len(), 3);
    }
}

// rows: features
#[test]
fn features_is_a_document_and_nothing_else() {
    let document: Value = serde_json::from_str(&silent(runtime().call(["features"]))).unwrap();

    assert_eq!(document["linux"]["mountExtensions"]["idmap"]["enabled"], true);
}

#[test]
fn the_name_of_the_program_decides_nothing() {
    use std::os::unix::process::CommandExt;
    let runtime = runtime();
    let mut command = runtime.command(["--version"]);
    command.arg0("identity");

    assert!(silent(runtime.finish(command)).starts_with("casemate version "));
}

// rows: list
#[test]
fn an_empty_root_is_an_empty_list_and_none_is_a_mistake() {
    let runtime = runtime();
    let said = runtime.call(["list"]).failed(1);
    assert!(said.contains("no such file or directory"), "{said}");
    fs::DirBuilder::new().mode(0o700).create(runtime.root()).unwrap();

    let header = "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n";
    assert_eq!(silent(runtime.call(["list"])), header);
    assert_eq!(silent(runtime.call(["list", "--format", "json"])), "[]\n");
    assert_eq!(silent(runtime.call(["list", "-q"])), "");
}

// rows: spec
// rows: spec.--rootless
#[test]
fn spec_writes_a_config_and_overwrites_none() {
    let runtime = runtime();
    let dir = runtime.root().parent().unwrap().to_owned();

    silent(runtime.call(["spec", "-b", dir.to_str().unwrap()]));
    let text = fs::read_to_string(dir.join("config.json")).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["process"]["args"][0], "sh");

    let again = runtime.call(["spec"]).failed(1);
    assert!(last_line(&again).contains("config.json: the file exists; hint: move it away"));
    assert_eq!(fs::read_to_string(dir.join("config.json")).unwrap(), text);
    let user = dir.join("user");
    fs::create_dir(&user).unwrap();
    silent(runtime.call(["spec", "--rootless", "-b", user.to_str().unwrap()]));
    let text = fs::read_to_string(user.join("config.json")).unwrap();
    let without: Value = serde_json::from_str(&text).unwrap();
    assert!(config["linux"].get("resources").is_some(), "{config}");
    assert!(without["linux"].get("resources").is_none(), "{without}");
}

// rows: cli.delete-force-unknown
#[test]
fn an_unknown_container_is_an_error_unless_it_shall_be_gone() {
    let runtime = runtime();
    for words in [&["state", "nobody"][..], &["start", "nobody"], &["kill", "nobody", "9"]] {
        let said = runtime.call(words).failed(1);
        assert!(last_line(&said).contains("does not exist"), "{said}");
    }

    let said = runtime.call(["delete", "nobody"]).failed(1);
    assert!(last_line(&said).starts_with("error: delete `nobody`: "), "{said}");
    assert_eq!(silent(runtime.call(["delete", "--force", "nobody"])), "");
}

#[test]
fn an_id_with_a_path_in_it_is_refused() {
    let said = runtime().call(["state", "../../etc"]).failed(1);

    assert!(said.starts_with("error: state `../../etc`: "), "{said}");
}

// rows: cli.--log, cli.--log-format, cli.one-log-object
#[test]
fn an_error_is_one_object_in_the_log_and_the_last_line_of_standard_error() {
    let (ran, log) = logged("json", &["state", "nobody"]);

    let record: Value = serde_json::from_str(&log).unwrap();
    let members: Vec<_> = record.as_object().unwrap().keys().collect();
    assert_eq!(members, ["level", "msg", "time"]);
    assert_eq!(record["level"], "error");
    assert!(record["time"].as_str().unwrap().ends_with('Z'));
    let said = ran.failed(1);
    assert_eq!(last_line(&said), format!("error: {}", record["msg"].as_str().unwrap()));
    assert_eq!(log.lines().count(), 1);
}

#[test]
fn an_error_in_text_is_one_line_in_the_log() {
    let (ran, log) = logged("text", &["state", "nobody"]);

    ran.failed(1);
    assert!(log.starts_with("time=\"") && log.contains(" level=error msg=\"state `nobody`: "));
    assert_eq!(log.lines().count(), 1);
}

// rows: cli.stderr-on-success
#[test]
fn a_command_that_is_done_writes_nothing_to_the_log() {
    let (ran, log) = logged("json", &["features"]);

    ran.ok();
    assert_eq!(log, "");
}

#[test]
fn a_usage_error_is_in_the_log_too() {
    let (ran, log) = logged("json", &["state", "--nosuch", "nobody"]);

    let record: Value = serde_json::from_str(&log).unwrap();
    assert_eq!(record["msg"], "unexpected argument '--nosuch' found");
    let said = ran.failed(2);
    assert_eq!(last_line(&said), "error: unexpected argument '--nosuch' found");
}

#[test]
fn debug_writes_notes_to_the_log_in_its_format() {
    let (ran, log) = logged("json", &["--debug", "features"]);

    ran.ok();
    for line in log.lines() {
        let note: Value = serde_json::from_str(line).unwrap();
        assert_eq!(note["level"], "debug");
    }
    assert!(log.contains("\"msg\":\"casemate "), "{log}");
    let said = runtime().call(["--debug", "features"]).stderr;
    assert!(said.starts_with("time=\"") && said.contains(" level=debug msg="), "{said}");
}

#[test]
fn a_log_that_cannot_be_opened_fails_the_command() {
    let said = runtime().call(["--log", "/proc/no/such/log", "features"]).failed(1);

    assert!(last_line(&said).starts_with("error: open the log /proc/no/such/log: ENOENT"));
}

#[test]
fn a_log_is_appended_to() {
    let runtime = runtime();
    let log = runtime.root().with_file_name("log");
    fs::write(&log, "before\n").unwrap();
    let words = ["--log", log.to_str().unwrap(), "state", "nobody"];

    runtime.call(words).failed(1);
    runtime.call(words).failed(1);

    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("before\n") && text.lines().count() == 3, "{text}");
}

#[test]
fn a_json_log_never_holds_more_than_one_document() {
    let runtime = runtime();
    let log = runtime.root().with_file_name("log");
    let words = ["--log", log.to_str().unwrap(), "--log-format", "json", "state"];
    for id in ["nobody", "somebody"] {
        runtime.call(words.into_iter().chain([id])).failed(1);
    }

    let record: Value = serde_json::from_str(&fs::read_to_string(&log).unwrap()).unwrap();

    assert!(record["msg"].as_str().unwrap().contains("somebody"), "{record}");
}

#[test]
fn arguments_that_make_no_sense_are_exit_status_2() {
    let runtime = runtime();
    for words in [&["nosuch"][..], &["state"], &["kill", "a", "KILLS"], &["--log-format", "x"]] {
        let said = runtime.call(words).failed(2);
        assert!(last_line(&said).starts_with("error: "), "{words:?}: {said}");
    }
    let said = runtime.call::<&str>([]).failed(2);
    assert_eq!(last_line(&said), "error: a subcommand is missing");
}

#[test]
fn an_option_that_lacks_its_value_is_told_so_in_the_words_of_every_runtime() {
    let runtime = runtime();
    let said = runtime.call(["restore", "--lsm-mount-context"]).failed(2);
    assert!(said.contains("flag needs an argument: --lsm-mount-context"), "{said}");
    let said = runtime.call(["run", "--bundle"]).failed(2);
    assert_eq!(last_line(&said), "error: flag needs an argument: --bundle");
}

#[test]
fn a_bundle_without_a_config_is_said_to_have_none() {
    for words in [&["explain"][..], &["create", "a"], &["run", "a"]] {
        let said = runtime().call(words).failed(1);

        assert!(last_line(&said).contains("config.json"), "{words:?}: {said}");
    }
}

#[test]
fn help_is_on_standard_output() {
    let runtime = runtime();

    let text = silent(runtime.call(["--help"]));
    assert!(text.contains("explain") && text.contains("Exit status:"), "{text}");
    assert!(!text.contains("--criu") && !text.contains("--rootless"), "{text}");
    let text = silent(runtime.call(["create", "-h"]));
    assert!(text.contains("--pid-file <FILE>"), "{text}");
}

#[test]
fn completion_scripts_are_complete() {
    let runtime = runtime();
    for shell in ["bash", "zsh", "fish"] {
        let script = silent(runtime.call(["completion", shell]));
        assert!(script.contains("explain") && script.contains("console-socket"), "{shell}");
    }
}

#[test]
fn manual_pages_come_one_for_each_subcommand() {
    let runtime = runtime();
    let dir = runtime.root().with_file_name("man");

    assert!(silent(runtime.call(["man"])).contains(".TH casemate 8"));
    silent(runtime.call(["man", "--dir", dir.to_str().unwrap()]));

    let page = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    assert!(page("casemate.8").contains("casemate\\-create(8)"));
    assert!(page("casemate-create.8").contains("console\\-socket"));
    let names = ["create", "exec", "ps", "pause", "resume", "update", "events", "kill", "delete"];
    assert!(names.iter().all(|name| dir.join(format!("casemate-{name}.8")).exists()));
}

#[test]
fn a_reader_who_is_gone_is_no_failure_and_a_full_disk_is_one() {
    let runtime = runtime();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    let start = |out: Stdio| {
        runtime.command(["features"]).stdout(out).stderr(Stdio::piped()).output().unwrap()
    };

    let broken = start(writer.into());
    let full = start(File::options().write(true).open("/dev/full").unwrap().into());

    assert_eq!((broken.status.code(), broken.stderr.len()), (Some(0), 0));
    assert_eq!(full.status.code(), Some(1));
    let said = String::from_utf8(full.stderr).unwrap();
    assert_eq!(said, "error: write to standard output: ENOSPC\n");
}

#[test]
fn a_person_at_a_terminal_reads_the_hint_last() {
    let script = Path::new("/usr/bin/script");
    if !script.exists() {
        println!("skipped, because there is no script(1) to make a terminal with");
        return;
    }
    let runtime = runtime();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), "{}").unwrap();
    let line = format!("{} spec -b {}", env!("CARGO_BIN_EXE_casemate"), dir.path().display());
    let mut command = Command::new(script);
    command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null());

    let said = runtime.finish(command).stdout.replace('\r', "");

    assert!(said.starts_with("error: write "), "{said}");
    assert!(last_line(&said).starts_with("hint: move it away"), "{said}");
}
