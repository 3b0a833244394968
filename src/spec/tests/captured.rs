//! The configs that engines really write, read as they are.

use super::*;

macro_rules! captured {
    ($($name:literal),* $(,)?) => {
        &[$((
            $name,
            include_bytes!(concat!("../../../integration/golden/captured/", $name, ".json")),
        )),*]
    };
}

const WHOLLY_APPLIED: &[(&str, &[u8])] = captured![
    "cri-pod-default-container",
    "cri-pod-default-sandbox",
    "cri-pod-userns-sandbox",
    "ctr-default",
    "docker-default",
    "docker-init",
    "docker-no-net",
    "podman-5-default",
    "podman-default",
    "podman-hostns",
    "podman-init",
    "podman-pod-container",
    "podman-pod-infra",
    "podman-privileged",
    "podman-tty",
    "podman-userns-auto",
    "podman-volume",
];

#[test]
fn what_engines_write_is_read_and_wholly_applied() {
    for (name, bytes) in WHOLLY_APPLIED {
        let config = parse(bytes).unwrap();

        assert_eq!(check(config.spec()), [], "{name}");
        assert_eq!(config.not_applied(), [], "{name}");
        assert_eq!(config.unknown(), [], "{name}");
    }
}

/// Nothing that an engine wrote is lost between the bytes and the types.
#[test]
fn what_was_read_is_what_was_written() {
    for (name, bytes) in WHOLLY_APPLIED {
        let written: Value = serde_json::from_slice(bytes).unwrap();

        let read = serde_json::to_value(parse(bytes).unwrap().spec()).unwrap();

        assert_covers(name, &written, &read);
    }
}

/// Whether `read` has all that `written` has; sets of capabilities have no order.
fn assert_covers(at: &str, written: &Value, read: &Value) {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (key, value) in written {
                let found = read.get(key).unwrap_or(&Value::Null);
                assert_covers(&format!("{at}/{key}"), value, found);
            }
        }
        (Value::Array(written), Value::Array(read)) if at.contains("/process/capabilities/") => {
            assert_eq!(written.len(), read.len(), "{at}");
            assert!(written.iter().all(|name| read.contains(name)), "{at}");
        }
        (Value::Array(written), Value::Array(read)) => {
            assert_eq!(written.len(), read.len(), "{at}");
            for (i, (written, read)) in written.iter().zip(read).enumerate() {
                assert_covers(&format!("{at}/{i}"), written, read);
            }
        }
        (written, read) => assert_eq!(written, read, "{at}"),
    }
}
