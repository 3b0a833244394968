//! Hooks: when they are run, what they are told, what they may do, and what becomes of a
//! container whose hooks fail.

mod failures;
mod gpu;
mod inside;
mod points;
mod trust;

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::Bundle;

/// All points of a container's life, in their order.
const STAGES: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook that is a line of shell.
fn shell(line: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", line]})
}

/// A bundle whose hooks and program write to one log.
struct Logged {
    bundle: Bundle,
    log: PathBuf,
}

impl Logged {
    /// A bundle with a volume for the log, writable by everyone.
    fn new() -> Self {
        let bundle = Bundle::new();
        let volume = bundle.dir().join("volume");
        fs::create_dir(&volume).unwrap();
        let log = volume.join("log");
        fs::write(&log, "").unwrap();
        let bundle = bundle.mount("/volume", "bind", volume.to_str().unwrap(), &["rbind", "rw"]);
        Self { bundle, log }
    }

    /// Has a hook of this point run a line of shell, in which `$log` is the log.
    fn hook(self, stage: &str, line: &str) -> Self {
        let log = match stage {
            "startContainer" => "/volume/log",
            _ => self.log.to_str().unwrap(),
        };
        let hook = shell(&format!("log={log}; {line}"));
        let pointer = format!("/hooks/{stage}");
        let first = self.bundle.config().pointer(&pointer).is_none();
        let bundle = if first { self.bundle.set(&pointer, json!([])) } else { self.bundle };
        Self { bundle: bundle.set(&format!("{pointer}/-"), hook), ..self }
    }

    fn shell(self, line: &str) -> Self {
        Self { bundle: self.bundle.shell(line), ..self }
    }

    fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}
