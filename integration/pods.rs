//! Containers that share ids: who may, who may not, and what neighbours see of each other.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Bundle, Ran, Runtime, Snapshot, patience};

const SANDBOX_ID: &str = "/annotations/io.kubernetes.cri.sandbox-id";
const SANDBOX_TYPE: &str = "/annotations/io.kubernetes.cri.container-type";

/// The first container of a pod, running.
struct Pod {
    runtime: Runtime,
    sandbox: Bundle,
    pid: i64,
}

impl Pod {
    fn new(runtime: Runtime, sandbox: Bundle) -> Self {
        runtime.create(&sandbox).ok();
        runtime.start(&sandbox).ok();
        let pid = pid(&runtime, &sandbox);
        Self { runtime, sandbox, pid }
    }

    /// As Kubernetes' engines make one.
    fn of_kubernetes() -> Self {
        let bundle = Bundle::new().args(["/bin/sleep", "600"]);
        let id = bundle.id().to_owned();
        let bundle = bundle.set(SANDBOX_ID, json!(id)).set(SANDBOX_TYPE, json!("sandbox"));
        Self::new(Runtime::new(), bundle)
    }

    fn path(&self, link: &str) -> String {
        format!("/proc/{}/ns/{link}", self.pid)
    }

    /// Another container of the pod, with these namespaces of the first.
    fn member(&self, kinds: &[&str]) -> Bundle {
        let bundle = self.joining(kinds);
        bundle.set(SANDBOX_ID, json!(self.sandbox.id())).set(SANDBOX_TYPE, json!("container"))
    }

    /// Joins these namespaces, and says nothing of a pod.
    fn joining(&self, kinds: &[&str]) -> Bundle {
        let paths: Vec<_> = kinds.iter().map(|kind| (*kind, self.path(link(kind)))).collect();
        join(Bundle::new(), &paths)
    }
}

fn link(kind: &str) -> &str {
    match kind {
        "network" => "net",
        "mount" => "mnt",
        other => other,
    }
}

/// A bundle with these namespaces by path.
fn join(bundle: Bundle, paths: &[(&str, String)]) -> Bundle {
    let list = bundle.config()["linux"]["namespaces"].as_array().unwrap().clone();
    let mut list: Vec<_> =
        list.into_iter().filter(|one| paths.iter().all(|(kind, _)| one["type"] != *kind)).collect();
    list.extend(paths.iter().map(|(kind, path)| json!({"type": kind, "path": path})));
    bundle.set("/linux/namespaces", json!(list))
}

fn pid(runtime: &Runtime, bundle: &Bundle) -> i64 {
    runtime.state(bundle)["pid"].as_i64().unwrap()
}

fn map_of(pid: i64) -> String {
    fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap()
}

fn namespace(pid: i64, link: &str) -> u64 {
    fs::metadata(format!("/proc/{pid}/ns/{link}")).unwrap().ino()
}

fn start(pod: &Pod, bundle: &Bundle) -> i64 {
    pod.runtime.create(bundle).ok();
    pod.runtime.start(bundle).ok();
    pid(&pod.runtime, bundle)
}

fn status(pid: i64, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    text.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned()
}

const SHARED: [&str; 3] = ["network", "ipc", "uts"];

#[test]
fn containers_of_a_pod_share_ids_and_what_they_join() {
    let pod = Pod::of_kubernetes();
    let app = pod.member(&SHARED).args(["/bin/sleep", "600"]);
    fs::write(app.rootfs().join("etc/own"), "").unwrap();
    std::os::unix::fs::chown(app.rootfs().join("etc/own"), Some(1000), Some(33)).unwrap();
    let reader = pod
        .member(&SHARED)
        .set("/root/path", json!(app.rootfs()))
        .shell("stat -c '%u %g' /etc/own; hostname; cat /proc/self/uid_map; id -u");

    let pid = start(&pod, &app);

    assert_eq!(map_of(pid), map_of(pod.pid));
    for kind in ["net", "ipc", "uts", "user"] {
        assert_eq!(namespace(pid, kind), namespace(pod.pid, kind), "{kind}");
    }
    for kind in ["pid", "mnt", "cgroup"] {
        assert_ne!(namespace(pid, kind), namespace(pod.pid, kind), "{kind}");
    }
    assert_eq!(fs::metadata(format!("/proc/{pid}")).unwrap().uid(), base(pod.pid));
    let said = pod.runtime.run(&reader).ok();
    assert!(said.starts_with("1000 33\nbox\n"), "{said}");
    assert!(said.contains(&base(pod.pid).to_string()) && said.ends_with("\n0\n"), "{said}");
}

/// `exec` of a line of shell.
fn exec(pod: &Pod, bundle: &Bundle, line: &str) -> Ran {
    pod.runtime.call(["exec", bundle.id(), "/bin/sh", "-c", line])
}

#[test]
fn exec_into_a_member_enters_the_pods_box_before_start_too() {
    let pod = Pod::of_kubernetes();
    let map = "cat /proc/self/uid_map";
    for kinds in [&SHARED[..], &["pid"]] {
        let app = pod.member(kinds).args(["/bin/sleep", "600"]);
        pod.runtime.create(&app).ok();

        let before = exec(&pod, &app, map);
        pod.runtime.start(&app).ok();

        // Until then init is outside. Whoever cannot be sent into the box is not sent anywhere.
        assert!(before.status != Some(0) || before.stdout == map_of(pod.pid), "{before:?}");
        assert_eq!(exec(&pod, &app, map).ok(), map_of(pod.pid));
    }
}

fn base(pid: i64) -> u32 {
    map_of(pid).split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_member_is_held_as_tightly_as_the_first() {
    let pod = Pod::of_kubernetes();
    let app = pod.member(&SHARED).args(["/bin/sleep", "600"]);

    let pid = start(&pod, &app);

    for key in ["CapBnd:", "CapEff:", "CapPrm:", "CapInh:", "CapAmb:", "NoNewPrivs:", "Seccomp:"] {
        assert_eq!(status(pid, key), status(pod.pid, key), "{key}");
    }
    let tries = pod.member(&SHARED).shell(
        "mount -t tmpfs none /tmp; unshare -m true; chroot / true; hostname other; \
         touch /etc/x; echo 1 > /proc/sys/user/max_mnt_namespaces; \
         mknod /tmp/n c 1 3; dd if=/dev/zero of=/tmp/s bs=1 count=1; chmod 4755 /tmp/s; \
         cat /proc/self/uid_map | wc -l; echo end",
    );
    let ran = pod.runtime.run(&tries);
    let said = ran.ok();
    assert_eq!(said, "1\nend\n");
}

#[test]
fn the_range_of_a_pod_is_free_when_the_last_of_it_is_gone() {
    let pod = Pod::of_kubernetes();
    let app = pod.member(&SHARED).args(["/bin/sleep", "600"]);
    start(&pod, &app);
    let range = Path::new("/run/casemate/.ranges").join(base(pod.pid).to_string());
    assert!(range.exists());
    let owners = |text: String| serde_json::from_str::<Value>(&text).unwrap()["owners"].clone();
    let named = owners(fs::read_to_string(&range).unwrap());
    assert_eq!(named.as_array().unwrap().len(), 2, "{named}");
    let before = Snapshot::take(&pod.runtime, &[]);

    pod.runtime.call(["delete", "--force", pod.sandbox.id()]).ok();
    assert!(range.exists(), "the app still has it");
    pod.runtime.call(["delete", "--force", app.id()]).ok();

    assert!(!range.exists());
    drop(before);
}

#[test]
fn a_pod_that_shares_its_processes_sees_them_and_nothing_of_the_host() {
    let pod = Pod::of_kubernetes();
    let kinds = ["network", "ipc", "uts", "pid"];
    let app = pod.member(&kinds).shell("ps -o pid,args; kill -0 1 && echo reached");

    let said = pod.runtime.run(&app).ok();

    assert!(said.contains("/bin/sleep 600") && said.ends_with("reached\n"), "{said}");
}

#[test]
fn killing_a_member_that_shares_processes_ends_all_of_it() {
    let pod = Pod::of_kubernetes();
    let app = pod.member(&["pid", "ipc"]).shell("sleep 601 & echo up; exec sleep 602");
    let created = pod.runtime.create(&app);
    pod.runtime.start(&app).ok();
    created.wait_for("up");
    let is_up = || pod.runtime.call(["state", pod.sandbox.id()]).ok().contains("running");

    pod.runtime.kill(&app, "KILL").ok();
    pod.runtime.wait_status(&app, "stopped");
    pod.runtime.delete(&app).ok();

    assert!(is_up());
    assert!(!processes_with("601", pod.pid), "a child of the member is left");
}

/// Whether a process in the pid namespace of `pid` sleeps for this long.
fn processes_with(word: &str, pid: i64) -> bool {
    let wanted = namespace(pid, "pid");
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let here = fs::metadata(entry.path().join("ns/pid")).is_ok_and(|of| of.ino() == wanted);
        here && String::from_utf8_lossy(&line).contains(word)
    })
}

#[track_caller]
fn refused(ran: Ran) -> String {
    let said = ran.failed(3);
    assert!(said.contains("rule `ns.no-foreign-user`"), "{said}");
    said
}

#[test]
fn a_bundle_cannot_choose_whose_namespaces_it_joins() {
    let victim = Pod::of_kubernetes();

    // From the state root of somebody else, with the victim's own name for its pod.
    let elsewhere = Runtime::new();
    let said = refused(elsewhere.run(&victim.member(&SHARED)));
    assert!(said.contains("box of no running container of this state root"), "{said}");
    // From the same root, as a container of no pod, and of another pod.
    let said = refused(victim.runtime.run(&victim.joining(&["ipc"])));
    assert!(said.contains(&format!("of the pod `{}`", victim.sandbox.id())), "{said}");
    let other = victim.joining(&["ipc"]).set(SANDBOX_ID, json!("other"));
    let said = refused(victim.runtime.run(&other));
    assert!(said.contains("which is not of the pod `other`"), "{said}");
    // As Podman's, by a hand that is not Podman's.
    let podman = victim.joining(&["pid"]).set("/annotations/io.container.manager", json!("libpod"));
    refused(victim.runtime.run(&podman));
    // Each kind alone, also where the namespace itself belongs to the host.
    for kind in ["user", "pid", "network", "uts"] {
        refused(victim.runtime.run(&victim.joining(&[kind])));
    }
}

#[test]
fn at_the_root_that_nobody_chose_nothing_is_related_by_being_there() {
    let shared = Runtime::at(Path::new("/run/casemate"));
    let victim = Pod::new(shared, Bundle::new().args(["/bin/sleep", "600"]));

    let said = refused(victim.runtime.run(&victim.joining(&["ipc"])));

    assert!(said.contains("which nothing relates to this one"), "{said}");
    // Where an engine keeps its own, it may join what its user wants joined, as Docker does.
    let engine = Pod::new(Runtime::new(), Bundle::new().args(["/bin/sleep", "600"]));
    let app = engine.joining(&["network", "ipc"]).shell("echo joined");
    assert_eq!(engine.runtime.run(&app).ok(), "joined\n");
}

#[test]
fn a_box_that_is_no_containers_is_not_joined() {
    let pod = Pod::of_kubernetes();
    let mut child = std::process::Command::new("unshare")
        .args(["-U", "-r", "-i", "sleep", "60"])
        .spawn()
        .unwrap();
    let own = fs::metadata("/proc/self/ns/ipc").unwrap().ino();
    let deadline = std::time::Instant::now() + patience(std::time::Duration::from_secs(5));
    while namespace(i64::from(child.id()), "ipc") == own {
        assert!(std::time::Instant::now() < deadline);
    }
    let path = |link: &str| format!("/proc/{}/ns/{link}", child.id());

    let ipc = join(Bundle::new(), &[("ipc", path("ipc"))]);
    let said = refused(pod.runtime.run(&ipc));
    assert!(said.contains("box of no running container"), "{said}");
    let user = join(Bundle::new(), &[("user", path("user"))]);
    refused(pod.runtime.run(&user));
    // Of two boxes at once, one is not this container's.
    let both = pod.member(&["uts"]);
    refused(pod.runtime.run(&join(both, &[("ipc", path("ipc"))])));

    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_dead_container_is_no_pod() {
    let pod = Pod::of_kubernetes();
    let path = format!("/proc/{}/ns/ipc", pod.pid);
    let keeper = fs::File::open(&path).unwrap();
    let app = pod.member(&["ipc"]);
    pod.runtime.kill(&pod.sandbox, "KILL").ok();
    pod.runtime.wait_status(&pod.sandbox, "stopped");

    // The namespace lives on in a descriptor, but nobody is left to be related to.
    use std::os::fd::AsRawFd;
    let kept = format!("/proc/{}/fd/{}", std::process::id(), keeper.as_raw_fd());
    let app = join(app, &[("ipc", kept)]);
    let said = refused(pod.runtime.run(&app));

    assert!(said.contains("box of no running container"), "{said}");
}

#[test]
fn ids_that_an_engine_gave_are_shared_too() {
    let maps = json!([{"containerID": 0, "hostID": 300_000, "size": 65536}]);
    let mapped = |bundle: Bundle| {
        bundle.set("/linux/uidMappings", maps.clone()).set("/linux/gidMappings", maps.clone())
    };
    let sandbox = mapped(Bundle::new().args(["/bin/sleep", "600"]))
        .set("/linux/namespaces/-", json!({"type": "user"}));
    let pod = Pod::new(Runtime::new(), sandbox);
    assert_eq!(base(pod.pid), 300_000);

    // The engine says it again: it has shifted the files itself.
    let again = mapped(pod.joining(&["user", "ipc"])).shell("stat -c %u /etc/passwd");
    assert_eq!(pod.runtime.run(&again).ok(), "65534\n");
    // It only joins: the files are given to these ids here.
    let joins = pod.joining(&["network", "ipc"]).shell("stat -c %u /etc/passwd; id -u");
    assert_eq!(pod.runtime.run(&joins).ok(), "0\n0\n");
    // It says something else.
    let other = json!([{"containerID": 0, "hostID": 400_000, "size": 65536}]);
    let lies = pod.joining(&["user"]).set("/linux/uidMappings", other.clone());
    let lies = lies.set("/linux/gidMappings", other);
    let said = pod.runtime.run(&lies).failed(3);
    assert!(
        said.contains("rule `ids.one-per-pod`: /linux/uidMappings is not the mapping"),
        "{said}"
    );
}

#[test]
fn an_engines_mapping_cannot_have_the_ids_of_another_container() {
    let victim = Pod::of_kubernetes();
    let maps = |host: u32| json!([{"containerID": 0, "hostID": host, "size": 1000}]);
    let thief = |host: u32| {
        Bundle::new()
            .set("/linux/namespaces/-", json!({"type": "user"}))
            .set("/linux/uidMappings", maps(host))
            .set("/linux/gidMappings", maps(300_000))
    };

    for host in [base(victim.pid), base(victim.pid) + 65_000] {
        let said = Runtime::new().run(&thief(host)).failed(3);

        let whose = format!("maps ids that container `{}` has", victim.sandbox.id());
        assert!(said.contains("rule `ids.own-range`: /linux/uidMappings/0/hostID"), "{said}");
        assert!(said.contains(&whose), "{said}");
    }
    Runtime::new().run(&thief(300_000)).ok();
}

/// A user namespace that is kept by a mount, as containerd 2 makes one before the sandbox.
struct Pinned(std::path::PathBuf);

impl Pinned {
    fn new(bundle: &Bundle, map: &str) -> Self {
        let place = bundle.dir().join("user");
        fs::write(&place, "").unwrap();
        let mut child =
            std::process::Command::new("unshare").args(["-U", "sleep", "60"]).spawn().unwrap();
        let of = format!("/proc/{}", child.id());
        let own = fs::metadata("/proc/self/ns/user").unwrap().ino();
        while fs::metadata(format!("{of}/ns/user")).unwrap().ino() == own {}
        fs::write(format!("{of}/uid_map"), map).unwrap();
        fs::write(format!("{of}/gid_map"), map).unwrap();
        rustix::mount::mount_bind(format!("{of}/ns/user"), &place).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        Self(place)
    }

    fn path(&self) -> String {
        self.0.to_str().unwrap().to_owned()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn a_user_namespace_that_an_engine_made_beforehand_says_itself_what_it_maps() {
    let bundle = Bundle::new().args(["/bin/cat", "/proc/self/uid_map"]);
    let pinned = Pinned::new(&bundle, "0 300000 65536\n");
    let bundle = join(bundle, &[("user", pinned.path())]);
    let runtime = Runtime::new();

    let said = runtime.run(&bundle).ok();
    let explained = runtime.call(["explain", "--bundle", bundle.dir().to_str().unwrap()]).ok();

    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["0", "300000", "65536"]);
    assert!(explained.contains("are those of the user namespace that is joined"), "{explained}");
}

#[test]
fn what_a_user_namespace_maps_is_judged_as_if_the_bundle_said_it() {
    let bundle = Bundle::new();
    let pinned = Pinned::new(&bundle, "0 0 65536\n");
    let bundle = join(bundle, &[("user", pinned.path())]);
    let (before, runtime) = (bundle.config().clone(), Runtime::new());

    let adopted = runtime.run(&bundle).failed(3);
    let maps = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    let bundle = bundle.set("/linux/uidMappings", maps.clone()).set("/linux/gidMappings", maps);
    let said = runtime.run(&bundle).failed(3);

    assert_ne!(&before, bundle.config());
    assert_eq!(adopted, said);
    assert!(said.contains("/linux/uidMappings/0"), "{said}");
}

#[test]
fn a_user_namespace_that_an_engine_made_beforehand_is_joined_and_checked() {
    let maps = json!([{"containerID": 0, "hostID": 300_000, "size": 65536}]);
    let bundle =
        Bundle::new().shell("cat /proc/self/uid_map; cat /proc/sys/user/max_mnt_namespaces");
    let pinned = Pinned::new(&bundle, "0 300000 65536\n");
    let bundle = join(bundle, &[("user", pinned.path())]);
    let runtime = Runtime::new();

    let bundle =
        bundle.set("/linux/uidMappings", maps.clone()).set("/linux/gidMappings", maps.clone());
    let said = runtime.run(&bundle).ok();
    let words: Vec<_> = said.split_whitespace().collect();
    assert_eq!(words, ["0", "300000", "65536", "0"]);

    let lies = json!([{"containerID": 0, "hostID": 400_000, "size": 65536}]);
    let bundle = bundle.set("/linux/uidMappings", lies.clone()).set("/linux/gidMappings", lies);
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    let said = runtime.run(&bundle).failed(1);
    assert!(said.contains("`ids.check-maps` failed"), "{said}");
    assert!(said.contains("maps other ids than the bundle says"), "{said}");
    before.assert_unchanged();
}

#[test]
fn a_user_namespace_somebody_is_in_is_nobodys_to_give() {
    let maps = json!([{"containerID": 0, "hostID": 300_000, "size": 65536}]);
    let mapped = |bundle: Bundle| {
        bundle.set("/linux/uidMappings", maps.clone()).set("/linux/gidMappings", maps.clone())
    };
    let victim = Bundle::new().args(["/bin/sleep", "600"]);
    let pinned = Pinned::new(&victim, "0 300000 65536\n");
    let victim = mapped(join(victim, &[("user", pinned.path())]));
    let theirs = Runtime::new();
    theirs.create(&victim).ok();
    theirs.start(&victim).ok();

    let thief = mapped(join(Bundle::new(), &[("user", pinned.path())]));
    let said = refused(Runtime::new().run(&thief));

    assert!(said.contains("box of no running container of this state root"), "{said}");
}

/// Names of the host's that a neighbour in a shared pid namespace sees while others are made.
#[cfg(feature = "fault")]
fn seen_by_a_neighbour(skip: &str) -> String {
    let watch = "until test -e /tmp/never; do \
                 for p in /proc/[0-9]*; do grep -hso 'cmtm[a]rk[a-z]*' $p/mountinfo $p/cmdline; done; \
                 done";
    let sandbox = Bundle::new().shell(watch);
    let mark = sandbox.dir().join("cmtmarkmount");
    fs::create_dir(&mark).unwrap();
    let id = sandbox.id().to_owned();
    let sandbox = sandbox.set(SANDBOX_ID, json!(id));
    rustix::mount::mount("none", &mark, "tmpfs", rustix::mount::MountFlags::empty(), c"").unwrap();
    let runtime = Runtime::new();
    let created = runtime.create(&sandbox);
    runtime.start(&sandbox).ok();
    let pid = pid(&runtime, &sandbox);
    let pod = Pod { runtime, sandbox, pid };
    let pids = std::path::PathBuf::from("/tmp/cmtmarkfile");
    for _ in 0..15 {
        let app = pod.member(&["pid", "ipc"]);
        let words =
            ["run", "--bundle", app.dir().to_str().unwrap(), "--pid-file", "/tmp/cmtmarkfile"];
        let mut command = pod.runtime.command(words.into_iter().chain([app.id()]));
        command.env("CASEMATE_SKIP", skip);
        pod.runtime.finish(command).ok();
    }
    let _ = fs::remove_file(pids);
    rustix::mount::unmount(&mark, rustix::mount::UnmountFlags::DETACH).unwrap();
    let seen: std::collections::BTreeSet<String> =
        created.printed().lines().map(str::to_owned).collect();
    seen.into_iter().collect::<Vec<_>>().join(" ")
}

#[cfg(feature = "fault")]
#[test]
fn a_neighbour_that_sees_the_new_process_learns_nothing_of_the_host() {
    let seen = seen_by_a_neighbour("");
    assert_eq!(seen, "");

    let seen = seen_by_a_neighbour("ns.enter-pod");
    assert!(seen.contains("cmtmarkmount"), "without the step the attack must succeed: {seen:?}");
    assert!(seen.contains("cmtmarkfile"), "{seen:?}");
}

#[cfg(feature = "fault")]
#[test]
fn every_step_of_a_member_can_fail_and_leaves_the_pod_as_it_was() {
    let pod = Pod::of_kubernetes();
    let app = pod.member(&["network", "ipc", "uts", "pid"]);
    let dir = app.dir().to_str().unwrap().to_owned();
    let explained = pod.runtime.call(["explain", "--json", "--bundle", &dir]).ok();
    let plan: Value = serde_json::from_str(&explained).unwrap();
    let steps = plan["plan"]["steps"].as_array().unwrap().len();
    let before = Snapshot::take(&pod.runtime, &[app.id(), pod.sandbox.id()]);
    for number in 1..=steps {
        let mut command = pod.runtime.command(["run", "--bundle", &dir, app.id()]);
        command.env("CASEMATE_FAULT", number.to_string());

        let said = pod.runtime.finish(command).failed(1);

        assert!(said.contains(&format!("step {number} `")), "step {number}: {said}");
        assert!(said.contains("EUCLEAN"), "step {number}: {said}");
        before.assert_unchanged();
    }
    pod.runtime.run(&app).ok();
    before.assert_unchanged();
}
