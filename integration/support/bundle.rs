//! Bundles, from a default that an engine could have written.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{busybox_root, tagged_dir, unique_tag};

/// A bundle in a directory of its own. Each change is on disk at once.
pub(crate) struct Bundle {
    dir: TempDir,
    tag: String,
    config: Value,
}

impl Bundle {
    /// A busybox root, and a config.json that runs `/bin/true` in it.
    pub(crate) fn new() -> Self {
        let bundle = Self::without_root();
        busybox_root(&bundle.rootfs());
        bundle
    }

    /// The same config.json over a root that lies elsewhere.
    pub(crate) fn with_root(root: &Path) -> Self {
        Self::without_root().set("/root/path", json!(root))
    }

    /// A config.json and nothing else: `rootfs` is not there.
    pub(crate) fn without_root() -> Self {
        let tag = unique_tag();
        let config = serde_json::from_str(include_str!("config.json")).unwrap();
        let bundle = Self { dir: tagged_dir(&tag), config, tag: tag.clone() };
        bundle.set("/linux/cgroupsPath", json!(format!("/{tag}")))
    }

    /// What the container runs.
    pub(crate) fn args<const N: usize>(self, args: [&str; N]) -> Self {
        self.set("/process/args", json!(args.as_slice()))
    }

    /// Runs a line of shell.
    pub(crate) fn shell(self, line: &str) -> Self {
        self.args(["/bin/sh", "-c", line])
    }

    /// Puts a value at a JSON pointer (RFC 6901). Objects on the way are made; `-` appends.
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        let mut at = &mut self.config;
        for word in pointer.split('/').skip(1) {
            let word = word.replace("~1", "/").replace("~0", "~");
            at = if let Value::Array(list) = at {
                if word == "-" {
                    list.push(Value::Null);
                }
                let last = list.len() - 1;
                &mut list[word.parse().unwrap_or(last)]
            } else {
                &mut at[word]
            };
        }
        *at = value;
        self.save();
        self
    }

    /// Takes away the member at a JSON pointer, which must be there.
    pub(crate) fn unset(mut self, pointer: &str) -> Self {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = self.config.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.remove(name).unwrap();
        self.save();
        self
    }

    /// Adds a mount.
    pub(crate) fn mount(self, to: &str, kind: &str, source: &str, options: &[&str]) -> Self {
        let mount = json!({"destination": to, "type": kind, "source": source, "options": options});
        self.set("/mounts/-", mount)
    }

    /// Writes these bytes as config.json instead.
    pub(crate) fn raw(self, bytes: &[u8]) -> Self {
        fs::write(self.dir().join("config.json"), bytes).unwrap();
        self
    }

    fn save(&self) {
        fs::write(self.dir().join("config.json"), self.config.to_string()).unwrap();
    }

    /// The container's id, which is also the tag in every path.
    pub(crate) fn id(&self) -> &str {
        &self.tag
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.dir().join("rootfs")
    }

    pub(crate) fn config(&self) -> &Value {
        &self.config
    }
}

#[test]
fn a_bundle_is_on_disk_as_it_was_built() {
    let bundle = Bundle::new()
        .args(["/bin/echo", "a"])
        .set("/process/env/-", json!("A=b"))
        .set("/annotations/a~1b", json!("c"))
        .unset("/hostname")
        .mount("/data", "tmpfs", "tmpfs", &["nosuid"]);

    let text = fs::read_to_string(bundle.dir().join("config.json")).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(&config, bundle.config());
    assert_eq!(config["process"]["args"], json!(["/bin/echo", "a"]));
    assert_eq!(config["process"]["env"][2], "A=b");
    assert_eq!(config["annotations"]["a/b"], "c");
    assert_eq!(config["mounts"].as_array().unwrap().last().unwrap()["destination"], "/data");
    assert!(config.get("hostname").is_none());
    assert!(bundle.rootfs().join("bin/sh").exists());
    assert!(bundle.dir().to_str().unwrap().contains(bundle.id()));
}

#[test]
fn a_broken_config_can_be_written_too() {
    let bundle = Bundle::without_root().raw(b"{");

    assert_eq!(fs::read(bundle.dir().join("config.json")).unwrap(), b"{");
    assert!(!bundle.rootfs().exists());
}
