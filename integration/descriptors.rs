//! What a program inherits: descriptors that its caller means for it, and no others.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::support::{Bundle, Ran, Runtime};

/// Prints which descriptors there are, what is in those that are files, and what is said of them.
const SHOW: &str = "ls /proc/self/fd | tr '\\n' ' '; for n in 3 4 5; do \
                    [ -e /proc/$$/fd/$n ] && cat <&$n; done; env | grep LISTEN | sort";

/// Makes a call whose caller has files open from 3 on, and variables of its own pid.
fn call_with(runtime: &Runtime, bundle: &Bundle, words: &[&str], given: &str) -> Ran {
    for number in 3..6 {
        fs::write(bundle.dir().join(number.to_string()), format!("<{number}>")).unwrap();
    }
    let dir = bundle.dir().display();
    let line = format!("exec 3<{dir}/3 4<{dir}/4 5<{dir}/5; {given} exec \"$0\" \"$@\"");
    let inner =
        runtime.command(words.iter().copied().chain(["--bundle", &dir.to_string(), bundle.id()]));
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &line]).arg(inner.get_program()).args(inner.get_args());
    runtime.finish(command)
}

// rows: cli.listen-fds
#[test]
fn sockets_of_systemd_are_passed_on_and_announced() {
    for runtime in [Runtime::new(), Runtime::audit()] {
        // The bundle's own words about it are those of somebody who could not know.
        let bundle = Bundle::new().shell(SHOW).set("/process/env/-", json!("LISTEN_FDS=7"));
        let given = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:admin";

        let said = call_with(&runtime, &bundle, &["run"], given).ok();

        // 5 is the shell's own, for the directory that it lists.
        assert_eq!(
            said,
            "0 1 2 3 4 5 <3><4>LISTEN_FDNAMES=web:admin\nLISTEN_FDS=2\nLISTEN_PID=1\n"
        );
    }
}

// rows: create.--preserve-fds
#[test]
fn preserved_descriptors_come_after_the_sockets() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell(SHOW);

    let words = ["run", "--preserve-fds", "2"];
    let said = call_with(&runtime, &bundle, &words, "LISTEN_PID=$$ LISTEN_FDS=1").ok();

    assert_eq!(said, "0 1 2 3 4 5 6 <3><4><5>LISTEN_FDS=1\nLISTEN_PID=1\n");
}

#[test]
fn sockets_wait_with_a_created_container() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell(SHOW);

    let created = call_with(&runtime, &bundle, &["create"], "LISTEN_PID=$$ LISTEN_FDS=1");
    runtime.start(&bundle).ok();

    created.wait_for("0 1 2 3 4 <3>LISTEN_FDS=1\nLISTEN_PID=1\n");
    runtime.wait_status(&bundle, "stopped");
    runtime.delete(&bundle).ok();
}

#[test]
fn sockets_of_somebody_else_are_left_alone() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell(SHOW);
    for given in ["LISTEN_PID=1 LISTEN_FDS=2", "LISTEN_FDS=2", "LISTEN_PID=$$ LISTEN_FDS=0"] {
        let said = call_with(&runtime, &bundle, &["run"], given).ok();

        assert_eq!(said, "0 1 2 3 ", "{given}");
    }
}

#[test]
fn sockets_that_are_not_open_are_no_sockets() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell(SHOW);

    let said = call_with(&runtime, &bundle, &["run"], "LISTEN_PID=$$ LISTEN_FDS=40").failed(1);

    assert!(said.contains("LISTEN_FDS=40 and --preserve-fds 0: not all of these"), "{said}");
}
