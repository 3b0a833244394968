//! What security modules know a container by. This machine may have none of them: then what is
//! refused is tested, and what is applied is tested in `hack/vm.sh`, where AppArmor is. What SELinux
//! applies has tests of its own.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{Bundle, Runtime, unique_tag};

fn has_apparmor() -> bool {
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    enabled.is_ok_and(|text| text.starts_with('Y'))
        && Command::new("apparmor_parser").arg("--version").output().is_ok()
}

fn has_selinux() -> bool {
    fs::metadata("/sys/fs/selinux/enforce").is_ok()
}

/// A profile that forbids reading one file; loaded, and gone with the value.
struct Profile {
    name: String,
    text: String,
}

impl Profile {
    fn load() -> Self {
        let name = unique_tag();
        // A container's files have no path on the host.
        let flags = "flags=(attach_disconnected,mediate_deleted)";
        let text = format!(
            "profile {name} {flags} {{\n file,\n capability,\n network,\n signal,\n unix,\n \
             deny /etc/secret r,\n}}\n"
        );
        let profile = Self { name, text };
        profile.parser("--replace");
        profile
    }

    fn parser(&self, action: &str) {
        let mut parser = Command::new("apparmor_parser")
            .args([action, "--skip-cache", "--quiet"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        parser.stdin.take().unwrap().write_all(self.text.as_bytes()).unwrap();
        assert!(parser.wait().unwrap().success(), "{}", self.text);
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parser("--remove");
    }
}

const SHOW: &str = "cat /proc/self/attr/current; cat /etc/secret 2>&1; true";

fn with_profile(name: &str, line: &str) -> Bundle {
    let bundle = Bundle::new().set("/process/apparmorProfile", json!(name)).shell(line);
    fs::write(bundle.rootfs().join("etc/secret"), "secret\n").unwrap();
    bundle
}

// rows: process.apparmorProfile
#[test]
fn a_profile_confines_the_program_and_what_enters_beside_it() {
    if !has_apparmor() {
        println!("skipped, because AppArmor is not enabled here");
        return;
    }
    let profile = Profile::load();
    for runtime in [Runtime::audit(), Runtime::new()] {
        let said = runtime.run(&with_profile(&profile.name, SHOW)).ok();

        assert!(said.starts_with(&format!("{} (enforce)\n", profile.name)), "{said}");
        assert!(!said.contains("secret\n") || said.contains("ermission denied"), "{said}");
        let free = runtime.run(&with_profile("", SHOW)).ok();
        assert!(free.ends_with("secret\n"), "{free}");

        let bundle = with_profile(&profile.name, "exec sleep 60");
        let pid = runtime.started(&bundle);
        let init = fs::read_to_string(format!("/proc/{pid}/attr/apparmor/current")).unwrap();
        assert_eq!(init, format!("{} (enforce)\n", profile.name));
        let entered = runtime.call(["exec", bundle.id(), "/bin/sh", "-c", SHOW]).ok();
        assert_eq!(entered.lines().next(), said.lines().next());
        assert!(entered.contains("ermission denied"), "{entered}");
    }
}

// rows: process.apparmorProfile, exec.--apparmor
#[test]
fn what_enters_takes_another_profile_only_where_nothing_is_held_back() {
    if !has_apparmor() {
        println!("skipped, because AppArmor is not enabled here");
        return;
    }
    let (first, second) = (Profile::load(), Profile::load());
    for (runtime, expected) in [(Runtime::audit(), &second.name), (Runtime::new(), &first.name)] {
        let bundle = with_profile(&first.name, "exec sleep 60");
        runtime.started(&bundle);

        let command = ["exec", "--apparmor", &second.name, bundle.id(), "/bin/cat"];
        let said = runtime.call(command.into_iter().chain(["/proc/self/attr/current"])).ok();

        assert_eq!(said, format!("{expected} (enforce)\n"));
    }
}

// rows: process.apparmorProfile
#[test]
fn a_profile_that_is_not_loaded_fails_the_start_in_words_that_engines_look_for() {
    if !has_apparmor() {
        println!("skipped, because AppArmor is not enabled here");
        return;
    }
    let bundle = with_profile(&unique_tag(), SHOW);

    let said = Runtime::new().run(&bundle).failed(1);

    assert!(said.contains("`label.set-apparmor` failed"), "{said}");
    assert!(said.contains("write to `/proc/self/attr/apparmor/exec`"), "{said}");
    assert!(said.contains("load the profile on the host first"), "{said}");
}

// rows: process.apparmorProfile
#[test]
fn without_apparmor_a_profile_is_refused_and_unconfined_is_what_everyone_is() {
    if has_apparmor() {
        println!("skipped, because AppArmor is enabled here");
        return;
    }
    for runtime in [Runtime::new(), Runtime::audit()] {
        let said = runtime.run(&with_profile("docker-default", SHOW)).failed(1);
        let words = "/process/apparmorProfile: AppArmor is not enabled on this host: \
                     `/proc/self/attr/apparmor/exec`";
        assert!(said.contains(words), "{said}");
        runtime.run(&with_profile("unconfined", "true")).ok();

        let bundle = with_profile("", "exec sleep 60");
        runtime.started(&bundle);
        let said = runtime.call(["exec", "--apparmor", "x", bundle.id(), "/bin/true"]);
        let said = said.stderr + &said.stdout;
        let enforced = said.contains("exec.same-box") || said.is_empty();
        assert!(enforced || said.contains("AppArmor is not enabled"), "{said}");
    }
}

// rows: process.selinuxLabel, linux.mountLabel
#[test]
fn without_selinux_labels_are_refused() {
    if has_selinux() {
        println!("skipped, because SELinux is enabled here");
        return;
    }
    for runtime in [Runtime::new(), Runtime::audit()] {
        let label = json!("system_u:system_r:container_t:s0:c1,c2");
        let said = runtime.run(&Bundle::new().set("/process/selinuxLabel", label.clone()));
        let said = said.failed(1);
        let words = "/process/selinuxLabel: SELinux is not enabled on this host: \
                     `/proc/self/attr/exec`";
        assert!(said.contains(words), "{said}");
        let said = runtime.run(&Bundle::new().set("/linux/mountLabel", label)).failed(1);
        assert!(said.contains("/linux/mountLabel: SELinux is not enabled"), "{said}");
    }
}

// rows: exec.--process-label
#[test]
fn without_selinux_no_label_is_given_to_what_enters() {
    if has_selinux() {
        println!("skipped, because SELinux is enabled here");
        return;
    }
    let label = "system_u:system_r:container_t:s0:c1,c2";
    let bundle = || {
        let bundle = Bundle::new().mount("/data", "tmpfs", "tmpfs", &["mode=1777"]);
        bundle.args(["/bin/sleep", "60"])
    };
    let call = |runtime: &Runtime, bundle: &Bundle| {
        let call = ["exec", "--process-label", label, bundle.id(), "touch", "/data/ran"];
        runtime.call(call)
    };
    let (runtime, as_written) = (Runtime::audit(), bundle());
    runtime.started(&as_written);
    let said = call(&runtime, &as_written).failed(255);
    assert!(said.contains("SELinux is not enabled on this host"), "{said}");
    let ran = runtime.call(["exec", as_written.id(), "ls", "/data"]).ok();
    assert_eq!(ran, "", "it ran without its label");

    // Where anything is held back it has the label of init: none.
    let (runtime, hardened) = (Runtime::new(), bundle());
    runtime.started(&hardened);
    call(&runtime, &hardened).ok();
}
