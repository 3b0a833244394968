//! Which command lines are understood, and as what.

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use super::arguments::{Cli, Command};
use super::completion::CompletionArgs;
use super::quick;

fn parse(line: &str) -> Result<Cli, String> {
    let words = ["anything"].into_iter().chain(line.split_whitespace());
    Cli::try_parse_from(words).map_err(|error| error.render().to_string())
}

/// What a line is understood as: its subcommand with all arguments.
fn command(line: &str) -> String {
    format!("{:?}", parse(line).unwrap().command.unwrap())
}

fn refusal(line: &str) -> String {
    let message = parse(line).unwrap_err();
    message.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn the_definitions_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn options_may_stand_before_and_after_the_id() {
    let before = command("create --bundle /b --pid-file /p --console-socket /c web-1");

    assert_eq!(command("create web-1 -b /b --pid-file=/p --console-socket /c"), before);
    assert_eq!(command("create -b /b web-1 --console-socket=/c --pid-file /p"), before);
    assert_eq!(command("kill --all web-1 9"), command("kill web-1 KILL -a"));
    assert_eq!(command("delete --force web-1"), command("delete web-1 -f"));
}

/// What engines call all the time.
const USUAL: [&str; 5] = [
    "--root /run/r/k8s.io --log /b/log.json --log-format json --systemd-cgroup create \
     --bundle /b --pid-file /b/init.pid --no-new-keyring web-1",
    "--root=/r --log= --debug --criu /c --rootless auto --log-level debug state web-1",
    "--log-format json --rootless=false start web-1",
    "create --pidfd-socket /p --preserve-fds 3 web-1",
    "run --detach --keep --no-subreaper --bundle /b web-1",
];

#[test]
fn the_calls_that_engines_make_are_understood() {
    for line in [
        "run -d -b /b web-1",
        "--root /r --log /l --log-format json exec --process /p --detach --pid-file /f web-1",
        "exec --process /p --console-socket /s --detach --pid-file /f web-1",
        "exec --pid-file /f --process /p --detach web-1",
        "exec web-1 --process /p",
        "exec -t -u 0:0 -g 1 -g 2 -e A=b -c CAP_KILL --cwd / --no-new-privs web-1 sh -c --help",
        "exec --process-label l --apparmor a --preserve-fds 3 --cgroup c --ignore-paused web-1 sh",
        "list --format json",
        "list -q -f table",
        "spec -b /b",
        "explain -b /b --json",
        "try --json",
        "try --inside",
        "try -v",
        "seccomp compile p.json -o out --disasm --json",
        "seccomp compile - --arch arm64 --kernel 6.1 --cap CAP_SYS_TIME --cap all --keep-set-id",
        "seccomp explain web-1 mount 165 0xa5",
        "seccomp explain --bundle /b mount",
        "seccomp explain --profile p.json --no-baseline mount",
        "seccomp merge a.json b.json -o c.json",
        "seccomp diff a.json b.json --waive mount.chroot",
        "seccomp check p.json -b /b",
    ]
    .iter()
    .chain(&USUAL)
    {
        parse(line).unwrap();
    }
}

#[test]
fn a_bundle_is_the_current_directory_unless_said_otherwise() {
    assert_eq!(command("create web-1"), command("create -b . web-1"));
    assert_eq!(command("explain"), command("explain --bundle ."));
}

#[test]
fn options_of_exec_end_at_its_program() {
    let plain = command("exec --cwd /x web-1 sh -c id");

    assert_eq!(command("exec web-1 --cwd /x -- sh -c id"), plain);
    assert_eq!(command("exec web-1 --cwd=/x sh -c id"), plain);
    assert_eq!(command("exec --cwd /x web-1 -- sh -c id"), plain);
    assert!(command("exec web-1 ls --cwd /x").contains("cwd: None"));
    assert!(command("exec web-1 ls -- -d").contains(r#"["ls", "--", "-d"]"#));
    assert_eq!(command("exec -c kill a b"), command("exec --cap CAP_KILL a b"));
}

#[test]
fn a_signal_is_term_unless_said_otherwise() {
    assert_eq!(command("kill web-1"), command("kill web-1 SIGTERM"));
    assert_eq!(command("kill web-1 sigkill"), command("kill web-1 9"));
    assert!(refusal("kill web-1 KILLS").contains("unknown signal `KILLS`"));
}

#[test]
fn what_is_not_understood_is_refused() {
    assert!(refusal("create").contains("required arguments were not provided"));
    assert!(refusal("create --nosuch web-1").contains("unexpected argument '--nosuch'"));
    assert!(refusal("create web-1 web-2").contains("unexpected argument 'web-2'"));
    assert!(refusal("create --preserve-fds -1 web-1").contains("-1"));
    assert!(refusal("--log-format xml state a").contains("invalid value 'xml'"));
    assert!(refusal("state --root /r a").contains("unexpected argument '--root'"));
    assert!(refusal("seccomp compile p --arch sparc").contains("invalid value 'sparc'"));
    assert!(refusal("seccomp compile p --kernel new").contains("invalid value 'new'"));
    assert!(refusal("seccomp compile p --no-baseline --waive x").contains("cannot be used with"));
    assert!(refusal("seccomp explain --bundle /b --profile p mount").contains("cannot be used"));
    assert!(refusal("seccomp explain").contains("required arguments were not provided"));
    assert!(refusal("seccomp merge").contains("required arguments were not provided"));
}

#[test]
fn an_unknown_subcommand_is_taken_with_whatever_follows() {
    let parsed = parse("--root /r frobnicate --cwd / -t web-1 sh -c --help").unwrap();

    let Some(Command::Other(words)) = parsed.command else { panic!("{parsed:?}") };
    assert_eq!(words.len(), 8);
}

#[test]
fn the_name_of_the_program_decides_nothing() {
    let named = |name: &str| format!("{:?}", Cli::try_parse_from([name, "try", "--inside"]));

    assert_eq!(named("identity"), named("/bin/casemate"));
    assert_eq!(named(""), named("casemate"));
}

#[test]
fn every_subcommand_and_option_has_help() {
    has_help(&Cli::command());
}

fn has_help(command: &clap::Command) {
    for sub in command.get_subcommands() {
        assert!(sub.get_about().is_some(), "{}", sub.get_name());
        for argument in sub.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {}", sub.get_name(), argument.get_id());
        }
        has_help(sub);
    }
}

#[test]
fn a_script_can_be_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let parsed = parse(&format!("completion {shell}")).unwrap();
        assert!(matches!(parsed.command, Some(Command::Completion(CompletionArgs { .. }))));
    }
}

/// What both ways to parse a line come to.
fn both_ways(line: &str) -> (Option<String>, Result<String, String>) {
    let words: Vec<_> =
        ["casemate"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect();
    let quick = quick::quickly(&words).map(|cli| format!("{cli:?}"));
    (quick, Cli::try_parse_from(&words).map(|cli| format!("{cli:?}")).map_err(|e| e.to_string()))
}

#[test]
fn what_is_understood_quickly_is_understood_alike() {
    for line in [
        "create web-1 -b /b --console-socket=/c --record /p.json",
        "run --seccomp-report=/r -b /b web-1",
        "kill --all web-1 9",
        "delete --force web-1",
        "exec --cwd / -t web-1 sh -c --help",
        "--root create run web-1",
        "state run",
        "kill create TERM",
    ]
    .iter()
    .chain(&USUAL)
    {
        let (quick, slow) = both_ways(line);
        assert!(quick.is_some() || line.starts_with("--root create"), "{line}");
        assert_eq!(quick.unwrap_or_else(|| slow.clone().unwrap()), slow.unwrap(), "{line}");
    }
}

#[test]
fn what_is_not_plain_goes_the_long_way() {
    for line in [
        "",
        "list",
        "create",
        "create --help",
        "--help run",
        "create --nosuch web-1",
        "create web-1 web-2",
        "frobnicate create",
        "explain run",
        "seccomp compile run",
        "help run",
        "--log-format xml state a",
        "state --root /r a",
    ] {
        let (quick, _) = both_ways(line);
        assert_eq!(quick, None, "{line}");
    }
}
