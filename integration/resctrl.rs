//! Shares of processor caches and memory bandwidth. Hardly any machine has resctrl: without it the
//! refusal is tested, and what is written where, in a directory that stands in for it.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime};

#[cfg(feature = "fault")]
mod stand_in;

fn with(asked: Value) -> Bundle {
    Bundle::new().set("/linux/intelRdt", asked)
}

fn is_mounted() -> bool {
    fs::read_to_string("/proc/self/mountinfo").unwrap().contains(" - resctrl ")
}

// rows: linux.intelRdt
#[test]
fn without_resctrl_a_share_is_refused_and_with_it_the_policy_decides() {
    let said = Runtime::new().run(&with(json!({}))).failed(3);
    assert!(said.contains("refused by rule `task.no-resctrl`: /linux/intelRdt"), "{said}");
    if is_mounted() {
        println!("skipped in part, because resctrl is mounted here");
        return;
    }
    let allowed = Runtime::under("level = \"hardened\"\nhost.resctrl = true\n");
    for runtime in [allowed, Runtime::audit()] {
        let said = runtime.run(&with(json!({"closID": "gold"}))).failed(1);
        assert!(said.contains("/linux/intelRdt: no `resctrl` file system is mounted"), "{said}");
    }
}

// rows: linux.intelRdt.enableCMT, linux.intelRdt.enableMBM
#[test]
fn what_the_specification_has_taken_back_is_refused_by_name() {
    for name in ["enableCMT", "enableMBM"] {
        let said = Runtime::audit().run(&with(json!({name: true}))).failed(1);
        assert!(said.contains(&format!("`/linux/intelRdt/{name}` is not applied")), "{said}");
        assert!(said.contains("enableMonitoring"), "{said}");
    }
}
