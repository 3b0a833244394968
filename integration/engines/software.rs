//! Real software of Debian's, as an image, run by Podman at the default level: it does its work,
//! goes on with it after a stop and a start, and is boxed all the while.
//!
//! What each needs is the table of profiles/engines/README.md.

use std::fs;
use std::process::Stdio;

use super::podman::Podman;
use super::support::{assert_boxed, eventually};
use crate::support::services_root;

const IMAGE: &str = "localhost/debian:1";

/// One service.
struct Service {
    name: &'static str,
    /// Options of `podman run`: what the README says that it needs.
    options: &'static [&'static str],
    /// A line of shell.
    start: &'static str,
    /// Work, as a line of shell inside, and what is read of it in the end.
    work: (&'static str, &'static str),
    /// What is still there after a stop and a start.
    kept: (&'static str, &'static str),
    /// A page that the host's side of the bridge reads.
    page: Option<&'static str>,
}

const NGINX: Service = Service {
    name: "nginx",
    options: &["--annotation", "org.example.service=nginx"],
    start: "exec nginx -g 'daemon off;'",
    work: (
        "for i in 1 2 3; do busybox wget -qO /tmp/page http://127.0.0.1/; done; \
         nginx -s reload; sleep 0.5; busybox wget -qO- http://127.0.0.1/ | grep -c 'Welcome to nginx'; \
         busybox wget -qO- http://127.0.0.1/none || echo absent",
        "2\nabsent",
    ),
    kept: ("ps() { cat /proc/[0-9]*/comm; }; ps | grep -c nginx", "3"),
    page: Some("80/index.nginx-debian.html"),
};

/// As the official image does it: root makes the directory ready, and becomes `postgres`.
const POSTGRES: Service = Service {
    name: "postgres",
    options: &["-v", "pg:/var/lib/postgresql", "--shm-size", "64m"],
    start: "cd /tmp; d=/var/lib/postgresql/data; p=$(echo /usr/lib/postgresql/*/bin); \
            be() { setpriv --reuid postgres --regid postgres --init-groups \"$@\"; }; \
            mkdir -p $d && chown postgres:postgres $d && chmod 700 $d; \
            test -e $d/PG_VERSION || be $p/initdb -A trust -D $d; \
            exec setpriv --reuid postgres --regid postgres --init-groups $p/postgres -D $d",
    work: (
        "sql() { psql -qtA -U postgres -h /var/run/postgresql \"$@\"; }; \
         sql -c 'create table t (n int primary key, s text)'; \
         sql -c 'insert into t select n, md5(n::text) from generate_series(1, 20000) n'; \
         for i in 1 2 3; do sql -c \"update t set s = 'x' where n % 3 = $i - 1\" & done; wait; \
         sql -c 'create index on t (s)' -c 'vacuum analyze t' -c 'checkpoint'; \
         sql -c 'select count(*), sum(n) from t'",
        "20000|200010000",
    ),
    kept: (
        "psql -qtA -U postgres -h /var/run/postgresql -c 'select count(*) from t where s = $$x$$'",
        "20000",
    ),
    page: None,
};

const REDIS: Service = Service {
    name: "redis",
    options: &["-v", "redis:/var/lib/redis", "--user", "redis"],
    start: "exec redis-server --dir /var/lib/redis --appendonly yes",
    work: (
        "redis-cli set key value > /tmp/out; redis-benchmark -q -n 1000 -c 20 -t incr > /dev/null; \
         redis-cli bgsave >> /tmp/out; sleep 1; redis-cli bgrewriteaof >> /tmp/out; sleep 1; \
         redis-cli save; redis-cli get key",
        "OK\nvalue",
    ),
    kept: ("redis-cli get key; redis-cli get counter:__rand_int__", "value\n1000"),
    page: None,
};

const PYTHON: Service = Service {
    name: "python",
    options: &["--user", "1000:1000"],
    start: "mkdir /tmp/www; cd /tmp/www; echo page > index.html; exec python3 -m http.server 80",
    work: (
        "python3 -c 'import multiprocessing as m, sqlite3; \
         d = sqlite3.connect(\"/tmp/db\"); d.execute(\"create table t (n)\"); \
         d.executemany(\"insert into t values (?)\", [(n,) for n in range(1000)]); d.commit(); \
         print(d.execute(\"select sum(n) from t\").fetchone()[0]); \
         print(sum(m.Pool(2).map(abs, range(-9, 9))))'",
        "499500\n81",
    ),
    kept: ("ls /tmp", "www"),
    page: Some("80/"),
};

const NODE: Service = Service {
    name: "node",
    options: &[],
    start: "exec node -e 'require(\"http\").createServer((request, answer) => \
            answer.end(\"page \" + request.url)).listen(80)'",
    work: (
        "node -e 'const w = require(\"worker_threads\"), c = require(\"child_process\"); \
         new w.Worker(\"require(\\\"worker_threads\\\").parentPort.postMessage(6 * 7)\", \
         { eval: true }).on(\"message\", (m) => console.log(m, c.execSync(\"id -u\") + \"\"))'",
        "42 0",
    ),
    kept: ("cat /proc/1/comm", "node"),
    page: Some("80/"),
};

/// A program of Go's, with its own threads and a database in mapped memory.
const ETCD: Service = Service {
    name: "etcd",
    options: &["-v", "etcd:/var/lib/etcd"],
    start: "exec etcd --data-dir /var/lib/etcd/data",
    work: (
        "export ETCDCTL_API=3; for i in $(seq 50); do etcdctl put key$i $i; done > /dev/null; \
         etcdctl get --prefix key --keys-only | grep -c key; \
         etcdctl del key1; etcdctl snapshot save /tmp/snapshot > /dev/null 2>&1 && echo saved",
        "50\n1\nsaved",
    ),
    kept: ("ETCDCTL_API=3 etcdctl get key2 --print-value-only", "2"),
    page: None,
};

/// A program of Java's, compiled when it starts: code made at run time, many threads, a file that is
/// mapped, children.
const JAVA: Service = Service {
    name: "java",
    options: &["-v", "java:/data", "--user", "1000:1000"],
    start: JAVA_MAIN,
    work: (
        "page() { busybox wget -qO- http://127.0.0.1:8080/$1; }; \
         page threads; page sum; page map; page gc; page child",
        "200\n1999999000000\n7\ntrue\n1000",
    ),
    kept: ("busybox wget -qO- http://127.0.0.1:8080/count", "7"),
    page: Some("8080/page"),
};

const JAVA_MAIN: &str = r#"mkdir /tmp/main && cat > /tmp/main/Main.java <<'E'
import com.sun.net.httpserver.*;
import java.nio.*;
import java.nio.channels.*;
import java.nio.file.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import java.util.stream.*;

public class Main {
    static final Path DATA = Path.of("/data/counts");

    static Object threads() throws Exception {
        var started = new CountDownLatch(200);
        for (int i = 0; i < 200; i++) new Thread(() -> {
            started.countDown();
            try { started.await(); } catch (InterruptedException e) { }
        }).start();
        started.await();
        return 200 - started.getCount();
    }

    static long map(int more) throws Exception {
        try (var file = FileChannel.open(DATA, StandardOpenOption.CREATE,
                StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            MappedByteBuffer bytes = file.map(FileChannel.MapMode.READ_WRITE, 0, 8);
            bytes.putLong(0, bytes.getLong(0) + more);
            bytes.force();
            return bytes.getLong(0);
        }
    }

    static Object gc() {
        long sum = 0;
        for (int i = 0; i < 2000; i++) sum += new byte[1 << 20].length;
        return sum == 2000L << 20;
    }

    static Object answer(String path) throws Exception {
        switch (path) {
            case "/threads": return threads();
            case "/sum": return LongStream.range(0, 2_000_000).parallel().filter(n -> n >= 0).sum();
            case "/map": return map(7);
            case "/count": return map(0);
            case "/gc": return gc();
            case "/child":
                var child = new ProcessBuilder("id", "-u").start();
                return new String(child.getInputStream().readAllBytes()).trim();
            default: return "page";
        }
    }

    public static void main(String[] args) throws Exception {
        var server = HttpServer.create(new java.net.InetSocketAddress(8080), 0);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.createContext("/", exchange -> {
            String said;
            try { said = answer(exchange.getRequestURI().getPath()) + "\n"; }
            catch (Exception e) { said = e + "\n"; }
            exchange.sendResponseHeaders(200, said.length());
            exchange.getResponseBody().write(said.getBytes());
            exchange.close();
        });
        server.start();
    }
}
E
javac -d /tmp/main /tmp/main/Main.java && exec java -cp /tmp/main Main"#;

/// Its job is another user's.
const LOOP: Service = Service {
    name: "loop",
    options: &["-v", "loop:/data"],
    start: "while :; do setpriv --reuid 1000 --regid 1000 --clear-groups id -u >> /tmp/ran; \
            date +%s >> /data/beats; sleep 0.2; done",
    work: ("sleep 1; sort -u /tmp/ran; test $(wc -l < /data/beats) -gt 2; echo $?", "1000\n0"),
    kept: ("test $(wc -l < /data/beats) -gt 4; echo $?", "0"),
    page: None,
};

const CRON: Service = Service {
    name: "cron",
    options: &["-v", "cron:/etc/cron.d"],
    start: "printf '* * * * * redis id -un > /tmp/ran\\n' > /etc/cron.d/job; exec cron -f",
    work: ("cat /run/crond.pid", "1"),
    kept: ("until test -s /tmp/ran; do sleep 0.5; done; cat /tmp/ran", "redis"),
    page: None,
};

const ALL: &[&Service] = &[&NGINX, &POSTGRES, &REDIS, &PYTHON, &NODE, &ETCD, &JAVA, &LOOP, &CRON];

/// The one line of policy that any of them needs.
const POLICY: &str = r#"level = "hardened"
[[exception]]
id = "nginx-writes"
reason = "it keeps bodies of requests and logs in its root"
allow = { "rootfs.scratch" = ["/var/lib/nginx", "/var/log/nginx"] }
match = { annotation = { "org.example.service" = "nginx" } }
"#;

fn import(podman: &Podman) {
    let mut tar = std::process::Command::new("tar");
    tar.arg("-C").arg(services_root()).args(["-c", "."]).stdout(Stdio::piped());
    let mut tar = tar.spawn().unwrap();
    let mut import = podman.command(&["import", "-q", "-", IMAGE]);
    let done = import.stdin(tar.stdout.take().unwrap()).stdout(Stdio::null()).status().unwrap();
    assert!(done.success() && tar.wait().unwrap().success());
}

fn begin(podman: &Podman, service: &Service) {
    let start = ["run", "-d", "--name", service.name];
    let command = [IMAGE, "sh", "-c", service.start];
    podman.call(&[&start, service.options, &command].concat()).ok();
}

/// Asks inside, again and again while the service is not up yet.
#[track_caller]
fn ask(podman: &Podman, service: &Service, (line, expected): (&str, &str)) {
    let mut said = String::new();
    let up = format!("{}'s answer to {line}", service.name);
    eventually(&up, || {
        let called = podman.call(&["exec", service.name, "sh", "-c", line]);
        said = format!("{}{}", called.stdout, called.stderr);
        println!("{}: {said}", service.name);
        called.stdout.trim_end() == expected
    });
}

/// Every process of a container, checked from the host.
fn assert_all_boxed(podman: &Podman, service: &Service) {
    let pid = podman.pid(service.name);
    let group = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let group = group.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    let list = podman.place().shell(&format!("cat /sys/fs/cgroup{group}/cgroup.procs")).ok();
    assert!(list.lines().any(|line| line == pid.to_string()), "{list}");
    for pid in list.lines().map(|line| line.parse().unwrap()) {
        if fs::exists(format!("/proc/{pid}/ns")).unwrap()
            && fs::read_link(format!("/proc/{pid}/exe")).is_ok()
        {
            assert_boxed(pid);
        }
    }
}

#[test]
#[ignore = "makes an image of Debian's packages"]
fn debians_services_work_and_go_on_after_a_stop() {
    let Some(podman) = Podman::new() else { return };
    import(&podman);
    // As it is, one of them does not start, and says why not.
    begin(&podman, &NGINX);
    let said = || podman.call(&["logs", "nginx"]);
    eventually("what nginx says", || {
        said().stderr.contains("mkdir() \"/var/lib/nginx/body\" failed (30: Read-only file system)")
    });
    podman.call(&["rm", "-f", "nginx"]).ok();
    let policy = podman.place().dir().join("policy");
    fs::create_dir(&policy).unwrap();
    fs::write(policy.join("policy.toml"), POLICY).unwrap();
    let line = "mkdir -p /etc/casemate && mount --bind $D/policy /etc/casemate";
    podman.place().shell(line).ok();

    ALL.iter().for_each(|service| begin(&podman, service));

    for service in ALL {
        ask(&podman, service, service.work);
        assert_all_boxed(&podman, service);
    }
    for service in ALL {
        podman.call(&["stop", "--time", "5", service.name]).ok();
        podman.call(&["start", service.name]).ok();
    }
    for service in ALL {
        if let Some(page) = service.page {
            let address = podman.inspect(service.name, "NetworkSettings.IPAddress");
            let get = format!("busybox wget -qO- http://{address}:{page}");
            eventually(service.name, || podman.place().shell(&get).stdout.contains("age"));
        }
        assert_all_boxed(&podman, service);
        let name = service.name;
        if name != "cron" {
            ask(&podman, service, service.kept);
        }
    }
    // Its first job is due within a minute.
    let (line, expected) = CRON.kept;
    assert_eq!(podman.call(&["exec", "cron", "sh", "-c", line]).ok(), expected);
}
