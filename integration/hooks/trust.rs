//! Whose programs are run: config.json may come from anywhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::Logged;
use crate::support::{Bundle, Runtime};

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
    fs::write(&hook, format!("#!/bin/sh\necho ran >> {}\n", logged.log.display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
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
    fs::write(&hook, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
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
