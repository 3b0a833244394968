//! Whose programs are run: config.json may come from anywhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::Logged;
use crate::support::{Bundle, Runtime, make_program};

/// A policy file in the directory of `bundle`.
fn policy(bundle: &Bundle, text: &str) -> PathBuf {
    let file = bundle.dir().join("policy.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    file
}

fn under(file: &Path) -> Runtime {
    Runtime::new().with_global("--policy").with_global(file)
}

/// A program in the bundle, which lies where everybody may write.
fn with_script(stage: &str) -> Logged {
    let logged = Logged::new();
    let hook = logged.bundle.dir().join("hook");
    make_program(&hook, format!("#!/bin/sh\necho ran >> {}\n", logged.log.display()));
    let hooks = json!([{"path": hook}]);
    Logged { bundle: logged.bundle.set(&format!("/hooks/{stage}"), hooks), log: logged.log }
}

#[test]
fn a_program_that_others_can_change_is_refused_and_runs_under_audit() {
    for stage in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        let logged = with_script(stage);

        let said = Runtime::new().run(&logged.bundle).failed(3);

        assert!(said.contains("refused by rule `hooks.trusted-only`"), "{said}");
        assert!(said.contains(&format!("/hooks/{stage}/0/path goes through /tmp")), "{said}");
        assert_eq!(logged.logged(), "");

        let audit = under(&policy(&logged.bundle, "level = \"audit\"\n"));
        audit.run(&logged.bundle).ok();
        assert_eq!(logged.logged(), "ran\n", "{stage}");
    }
}

#[test]
fn a_program_of_the_image_is_not_one_of_the_host() {
    let bundle = Bundle::new();
    let inside = bundle.rootfs().join("bin/busybox");
    let bundle = bundle.set("/hooks/prestart", json!([{"path": inside, "args": ["true"]}]));

    let said = Runtime::new().run(&bundle).failed(3);

    assert!(said.contains("refused by rule `hooks.trusted-only`"), "{said}");
}

#[test]
fn an_administrator_may_list_what_is_run() {
    let shell = fs::canonicalize("/bin/sh").unwrap();
    let run = |allow: &str| {
        let logged = Logged::new().hook("prestart", "echo ran >> $log");
        let text = format!("level = \"hardened\"\n[hooks]\nallow = {allow}\n");
        let ran = under(&policy(&logged.bundle, &text)).run(&logged.bundle);
        (ran, logged.logged())
    };

    let (ran, logged) = run(&format!("[{shell:?}]"));
    ran.ok();
    assert_eq!(logged, "ran\n");

    for allow in ["[]".to_owned(), format!("[\"{} -c true\"]", shell.display())] {
        let (ran, logged) = run(&allow);
        let said = ran.failed(3);
        assert!(said.contains("refused by rule `hooks.allowed-only`"), "{said}");
        assert!(said.contains("which the policy does not list"), "{said}");
        assert_eq!(logged, "");
    }
}

#[test]
fn a_refused_hook_says_so_without_words_that_engines_take_for_something_else() {
    let said = Runtime::new().run(&with_script("prestart").bundle).failed(3);

    for word in ["permission denied", "operation not permitted", "no such file", "not found"] {
        assert!(!said.to_lowercase().contains(word), "{said}");
    }
}

/// The program of a live process of root's, as Docker names its own.
#[test]
fn the_program_of_a_process_may_be_a_hook() {
    let runtime = Runtime::new();
    let mut holder = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
    let path = format!("/proc/{}/exe", holder.id());
    let began = std::time::Instant::now();
    let bundle = Bundle::new().set("/hooks/prestart", json!([{"path": path, "args": ["a", "1"]}]));

    let ran = runtime.run(&bundle);
    holder.kill().unwrap();
    holder.wait().unwrap();

    ran.ok();
    assert!(began.elapsed().as_secs_f32() >= 1.0);
}

#[test]
fn a_create_container_hook_is_what_its_path_is_on_the_host() {
    let runtime = Runtime::new();
    let dir = tempfile::tempdir_in("/root").unwrap();
    let hook = dir.path().join("hook");
    make_program(&hook, "#!/bin/sh\nexit 0\n");
    // An earlier hook covers it on the mounts of the container.
    let line = format!(
        "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); \
         nsenter -t $pid -m mount --bind /bin/true {}",
        hook.display()
    );
    let logged = Logged::new().hook("createRuntime", &line);
    let bundle = logged.bundle.set("/hooks/createContainer", json!([{"path": hook}]));

    let said = runtime.run(&bundle).failed(1);

    assert!(said.contains("its path leads elsewhere from inside the container"), "{said}");
}

/// A shell script of root's that only root can change.
fn listed_script(line: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir_in("/root").unwrap();
    let script = dir.path().join("hook");
    make_program(&script, format!("#!/bin/bash\n{line}\n"));
    (dir, script)
}

/// `BASH_ENV`, and a search path into the bundle, would make any program of a listed one.
#[test]
fn no_variable_of_a_bundle_makes_another_program_of_a_listed_one() {
    let (_dir, script) = listed_script("id -u");
    let run = |table: &str| {
        let logged = Logged::new();
        let (dir, log) = (logged.bundle.dir(), logged.log.display());
        let evil = dir.join("id");
        make_program(&evil, format!("#!/bin/sh\necho evil >> {log}\n"));
        let env = [format!("BASH_ENV={}", evil.display()), format!("PATH={}", dir.display())];
        let bundle = logged.bundle.set("/hooks/poststop", json!([{"path": script, "env": env}]));
        let ran = under(&policy(&bundle, &format!("level = \"hardened\"\n{table}"))).run(&bundle);
        ran.ok();
        fs::read_to_string(&logged.log).unwrap()
    };

    let list = format!("[hooks]\nallow = [\"{}\"]\n", script.display());
    assert_eq!(run(&list), "");
    // Without the list, and where the administrator wants it so, the bundle chooses them.
    assert_eq!(run(""), "evil\nevil\n");
    assert_eq!(run(&format!("{list}variables = [\"BASH_*\"]\n")), "evil\n");
}

/// The number of a process is another one's as soon as it has ended, and its link leads to
/// whatever that one runs.
#[test]
fn the_program_of_a_process_is_that_which_was_judged() {
    let runtime = Runtime::new();
    let mut holder = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
    let path = format!("/proc/{}/exe", holder.id());
    let logged = Logged::new();
    let marker = logged.bundle.dir().join("marker");
    let hook = json!({"path": path, "args": ["touch", marker]});
    let sleep = fs::canonicalize("/bin/sleep").unwrap();
    let bundle = logged.bundle.set("/hooks/poststop", json!([hook])).args(["/bin/sleep", "60"]);
    std::thread::sleep(std::time::Duration::from_millis(100));
    runtime.create(&bundle).ok();
    let explained = fs::read_to_string(runtime.root().join(bundle.id()).join("plan.json")).unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();

    let said = runtime.call(["delete", "--force", bundle.id()]);

    // It runs, though nothing has that number any more.
    assert!(!said.stderr.contains("ENOENT"), "{said:?}");
    assert!(explained.contains(&format!("{sleep:?}")), "{explained}");
    assert!(!explained.contains(&format!("\"path\":\"{path}\"")), "{explained}");
}

/// A mount namespace calls a file whatever it likes: root of a container without ids of its own
/// is root of the host to whoever looks at owners only.
#[test]
fn a_file_is_not_what_another_mount_namespace_calls_it() {
    let shell = fs::canonicalize("/bin/sh").unwrap();
    let sleep = fs::canonicalize("/bin/sleep").unwrap();
    let line = format!(
        "mount --bind {0} {1} && exec {1} -c 'echo $$; read x'",
        shell.display(),
        sleep.display()
    );
    let mut liar = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", &line])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut number = String::new();
    let out = liar.stdout.as_mut().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut number).unwrap();
    let path = format!("/proc/{}/exe", number.trim());
    assert_eq!(fs::read_link(&path).unwrap(), sleep);
    let logged = Logged::new();
    let log = logged.log.display();
    let hook = json!({"path": path, "args": ["sh", "-c", format!("echo evil >> {log}")]});
    let bundle = logged.bundle.set("/hooks/prestart", json!([hook]));
    let text = format!("level = \"hardened\"\n[hooks]\nallow = [{sleep:?}]\n");

    let ran = under(&policy(&bundle, &text)).run(&bundle);

    drop(liar.stdin.take());
    liar.wait().unwrap();
    assert!(ran.failed(3).contains("is not, or no longer, the file of that name here"));
    assert_eq!(fs::read_to_string(&logged.log).unwrap(), "");
}
