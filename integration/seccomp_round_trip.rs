//! The round trip: real software of Debian's does real work while it is recorded, does the same
//! under its own profile, and is refused what it did not do.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, Snapshot, software_root};

/// One program at work.
struct Work {
    /// What it is recorded as.
    name: &'static str,
    uid: u32,
    /// A script of the shell: starts it, uses it, ends it. Prints the same each time.
    script: &'static str,
    /// Calls that its profile must have.
    needs: &'static [&'static str],
}

const BUSYBOX: Work = Work {
    name: "busybox",
    uid: 0,
    script: r#"
        set -e
        b=/bin/busybox
        $b mkdir -p /tmp/www/dir; cd /tmp/www
        $b seq 1 2000 > numbers; $b awk '{ s += $1 } END { print s }' numbers
        $b sed -n 's/^1999$/found/p' numbers; $b sort -r numbers | $b head -n 1
        $b gzip -k numbers; $b gunzip -c numbers.gz | $b md5sum
        $b tar cf all.tar numbers dir; $b tar tf all.tar
        $b ln -s numbers link; $b readlink link; $b mv numbers dir/; $b find . -name 'n*' | $b sort
        $b chmod 640 dir/numbers; $b stat -c %a dir/numbers
        $b httpd -p 127.0.0.1:8080 -h /tmp/www
        $b wget -q -O - http://127.0.0.1:8080/dir/numbers | $b wc -l
        $b killall busybox
    "#,
    needs: &["socket", "bind", "listen", "connect", "symlink", "rename", "chmod"],
};

const PYTHON: Work = Work {
    name: "python",
    uid: 1000,
    script: r#"
        cd /tmp && exec python3 - <<'PYTHON'
import hashlib, http.server, multiprocessing, os, sqlite3, subprocess, tempfile, threading
import urllib.request

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"page " + self.path.encode())
    def log_message(self, *args): pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
for number in range(5):
    with urllib.request.urlopen(f"http://127.0.0.1:8000/{number}") as answer:
        print(answer.read().decode())
server.shutdown()
with sqlite3.connect("/tmp/data.sqlite") as db:
    db.execute("create table t (n integer)")
    db.executemany("insert into t values (?)", [(n,) for n in range(1000)])
    print(db.execute("select sum(n) from t").fetchone())
print(subprocess.run(["id", "-u"], capture_output=True, text=True).stdout.strip())
with multiprocessing.Pool(2) as pool:
    print(pool.map(abs, range(-3, 3)))
with tempfile.TemporaryDirectory() as name:
    path = os.path.join(name, "x")
    open(path, "wb").write(os.urandom(100)); os.rename(path, path + "y")
    print(len(os.listdir(name)), hashlib.sha256(b"x").hexdigest()[:8])
PYTHON
    "#,
    needs: &["socket", "bind", "accept4", "clone", "execve", "mkdir", "unlink", "ioctl"],
};

const NGINX: Work = Work {
    name: "nginx",
    uid: 0,
    script: r#"
        set -e
        mkdir -p /tmp/www /tmp/run; for i in 1 2 3; do echo "page $i" > /tmp/www/$i; done
        head -c 300000 /dev/zero > /tmp/www/large
        cat > /tmp/nginx.conf <<'CONF'
user daemon; worker_processes 2; pid /tmp/run/nginx.pid; error_log /tmp/run/error.log;
events { worker_connections 64; }
http {
    access_log /tmp/run/access.log; root /tmp/www; sendfile on;
    client_body_temp_path /tmp/run/body; proxy_temp_path /tmp/run/proxy;
    fastcgi_temp_path /tmp/run/fastcgi; uwsgi_temp_path /tmp/run/uwsgi; scgi_temp_path /tmp/run/scgi;
    server { listen 127.0.0.1:8080; location /moved { return 302 /1; }
             location /proxy/ { proxy_pass http://127.0.0.1:8080/; } }
}
CONF
        /usr/sbin/nginx -c /tmp/nginx.conf -e /tmp/run/error.log
        get() { busybox wget -q -O - "http://127.0.0.1:8080/$1"; }
        get 1; get 2; get moved; get proxy/3; get large | wc -c; get none || echo absent
        /usr/sbin/nginx -c /tmp/nginx.conf -e /tmp/run/error.log -s reload; sleep 0.5; get 1
        /usr/sbin/nginx -c /tmp/nginx.conf -e /tmp/run/error.log -s quit
        while [ -e /tmp/run/nginx.pid ]; do sleep 0.1; done
        wc -l < /tmp/run/access.log
    "#,
    needs: &["socket", "bind", "accept4", "setuid", "setgid", "setgroups", "sendfile"],
};

const POSTGRES: Work = Work {
    name: "postgres",
    uid: 1000,
    script: r#"
        set -e
        p=$(echo /usr/lib/postgresql/*/bin); export PGDATA=/tmp/db PGHOST=/tmp PGUSER=u LC_ALL=C TZ=UTC
        $p/initdb -A trust -U u --no-locale > /tmp/initdb.log
        $p/pg_ctl -w -l /tmp/log -o '-k /tmp -c listen_addresses=127.0.0.1' start > /dev/null
        sql() { $p/psql -qtA -d postgres "$@"; }
        sql -c 'create table t (n int primary key, s text)'
        sql -c "insert into t select n, md5(n::text) from generate_series(1, 20000) n"
        sql -c 'select count(*), sum(n) from t'
        for i in 1 2 3 4; do sql -h 127.0.0.1 -c "update t set s = 'x$i' where n % 4 = $i - 1" & done; wait
        sql -c 'select s, count(*) from t group by s order by s'
        sql -c 'create index on t (s)' -c 'vacuum analyze t' -c 'checkpoint'
        sql -c "copy t to '/tmp/dump'"; wc -l < /tmp/dump
        sql -c "select pg_reload_conf()"
        $p/pg_ctl -w stop > /dev/null; $p/pg_ctl -w -l /tmp/log -o '-k /tmp -c listen_addresses=127.0.0.1' start > /dev/null
        sql -c 'select count(*) from t'
        $p/pg_ctl -w -m immediate stop > /dev/null; echo stopped
    "#,
    needs: &["socket", "shmget", "fdatasync", "mkdir", "rename", "setsid"],
};

const REDIS: Work = Work {
    name: "redis",
    uid: 1000,
    script: r#"
        set -e
        cd /tmp; redis-server --port 6379 --bind 127.0.0.1 --dir /tmp --appendonly yes \
            --daemonize yes --logfile /tmp/log > /dev/null
        until [ "$(redis-cli ping 2> /dev/null)" = PONG ]; do sleep 0.1; done
        redis-cli set key value; redis-cli get key; redis-cli incr n; redis-cli lpush l a b c
        redis-cli --raw eval 'return redis.call("lrange", "l", 0, -1)' 0
        redis-benchmark -q -n 500 -c 10 -t set,get > /dev/null
        redis-cli bgsave; sleep 1; redis-cli lastsave > /dev/null; redis-cli save
        redis-cli bgrewriteaof > /dev/null; sleep 1; redis-cli dbsize
        redis-cli shutdown nosave; sleep 0.5; ls /tmp/dump.rdb
    "#,
    needs: &["socket", "bind", "accept4", "fsync", "rename", "clone", "setsid"],
};

/// A container that runs `script` in Debian's root.
fn at_work(root: &Path, work: &Work, script: &str) -> Bundle {
    Bundle::with_root(root)
        .set("/root/readonly", json!(false))
        .set("/process/user", json!({"uid": work.uid, "gid": work.uid}))
        .set("/process/env/-", json!("HOME=/tmp"))
        .set("/process/rlimits", json!([]))
        .args(["/bin/sh", "-c", script])
}

fn round_trip(work: &Work) {
    let root = software_root();
    let runtime = Runtime::new().with_limit(Duration::from_secs(120));
    let bundle = at_work(&root, work, work.script);
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    let profile = bundle.dir().join(format!("{}.json", work.name));
    let dir = bundle.dir().to_str().unwrap().to_owned();

    let file = profile.to_str().unwrap();
    let recorded = runtime.call(["run", "--record", file, "--bundle", &dir, bundle.id()]);
    assert_eq!(recorded.status, Some(0), "{}: {recorded:?}", work.name);
    let found: Value = serde_json::from_slice(&fs::read(&profile).unwrap()).unwrap();
    let rules = found["syscalls"].as_array().unwrap();
    let names: Vec<&str> = rules.iter().map(|rule| rule["names"][0].as_str().unwrap()).collect();
    for name in work.needs {
        assert!(names.contains(name), "{}: no {name} in {names:?}", work.name);
    }
    println!("{}: {} rules, {} names", work.name, rules.len(), {
        let mut names = names.clone();
        names.sort_unstable();
        names.dedup();
        names.len() - 1
    });

    let bundle = bundle.set("/linux/seccomp", found.clone());
    let again = runtime.call(["run", "--seccomp-report", "--bundle", &dir, bundle.id()]);
    assert_eq!(
        (again.status, &again.stdout),
        (Some(0), &recorded.stdout),
        "{}: {again:?}",
        work.name
    );

    let bundle = bundle.args(["/bin/busybox", "mkfifo", "/tmp/pipe"]);
    let refused = runtime.call(["run", "--seccomp-report", "--bundle", &dir, bundle.id()]);
    assert_eq!(refused.status, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("mknod"), "{refused:?}");
    assert!(refused.stderr.contains("0x1000) failed with EPERM"), "{refused:?}");
    assert!(refused.stderr.contains("program  busybox (/"), "{refused:?}");
    assert!(refused.stderr.contains("by       /linux/seccomp/defaultAction"), "{refused:?}");
    before.assert_unchanged();
}

#[test]
#[ignore = "fetches packages where there is no cached root yet"]
fn busybox_works_under_its_own_profile() {
    round_trip(&BUSYBOX);
}

#[test]
#[ignore = "fetches packages where there is no cached root yet"]
fn python_works_under_its_own_profile() {
    round_trip(&PYTHON);
}

#[test]
#[ignore = "fetches packages where there is no cached root yet"]
fn nginx_works_under_its_own_profile() {
    round_trip(&NGINX);
}

#[test]
#[ignore = "fetches packages where there is no cached root yet"]
fn postgres_works_under_its_own_profile() {
    round_trip(&POSTGRES);
}

#[test]
#[ignore = "fetches packages where there is no cached root yet"]
fn redis_works_under_its_own_profile() {
    round_trip(&REDIS);
}
