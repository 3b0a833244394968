//! The built-in allow-list: what programs do with it. It is for a level to come, and must be
//! ready then.

use serde_json::Value;

use crate::support::{Bundle, Runtime};

const ALLOW_LIST: &str = include_str!("../../profiles/seccomp/allowlist.json");

fn under_it() -> Bundle {
    let list: Value = serde_json::from_str(ALLOW_LIST).unwrap();
    Bundle::new().set("/linux/seccomp", list).set("/root/readonly", false.into())
}

#[test]
fn ordinary_programs_work_under_the_allow_list() {
    let bundle = under_it().shell(
        "set -e; cd /tmp; mkdir d; echo hello >d/f; cp d/f g; mv g h; ln -s h l; cat l; chmod 600 h; \
         find . -type f | sort | xargs wc -c | tail -n 1; tar cf - d | tar tf - | wc -l; \
         sleep 0.01; (sleep 60 & kill $!; wait $!) || true; date >/dev/null; \
         seq 3 | sed -n '$p' | awk '{print $1 * 2}'; (nc -l -p 7777 <h >/dev/null & \
         while ! nc 127.0.0.1 7777 </dev/null; do sleep 0.01; done); stat -c %s h; \
         ps | grep -c sh >/dev/null; uname -s; id -u; timeout 1 true; echo done",
    );

    let said = Runtime::new().run(&bundle).ok();

    let words: Vec<_> = said.split_whitespace().collect();
    assert_eq!(words.first(), Some(&"hello"), "{said}");
    assert_eq!(words.last(), Some(&"done"), "{said}");
    assert!(said.contains("\n6\n") && said.contains("Linux\n0\n"), "{said}");
}

#[test]
fn what_is_not_on_the_list_is_refused() {
    let bundle = under_it().shell(
        "unshare -U true 2>&1 | tail -n 1; chroot / true 2>&1; adjtimex 2>&1 | tail -n 1; true",
    );

    let said = Runtime::new().run(&bundle).ok();

    assert!(said.contains("unshare: unshare(0x10000000): "), "{said}");
    assert!(said.contains("chroot: can't change root directory"), "{said}");
    assert!(said.contains("adjtimex: "), "{said}");
}
