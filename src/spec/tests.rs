mod captured;

use serde_json::{Value, json};

use super::*;

/// A config without fault, to be spoiled.
fn good() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/true"],
            "cwd": "/",
        },
        "root": {"path": "rootfs"},
        "linux": {"namespaces": [{"type": "pid"}]},
    })
}

/// `good` with `value` at `at`, whose parent must exist.
fn with(at: &str, value: Value) -> Value {
    let mut config = good();
    let (parent, name) = at.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[name] = value;
    config
}

fn parse_value(config: &Value) -> Result<Config, SpecErrors> {
    parse(&serde_json::to_vec(config).unwrap())
}

fn fault(bytes: impl AsRef<[u8]>) -> String {
    parse(bytes.as_ref()).unwrap_err().to_string()
}

fn fault_at(at: &str, value: Value) -> String {
    parse_value(&with(at, value)).unwrap_err().to_string()
}

fn refused(config: &Value) -> Vec<String> {
    parse_value(config).unwrap().not_applied().iter().map(|n| n.at.to_string()).collect()
}

fn unknown(config: &Value) -> Vec<String> {
    parse_value(config).unwrap().unknown().iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_config_has_no_findings() {
    let config = parse_value(&good()).unwrap();

    assert!(config.unknown().is_empty() && config.not_applied().is_empty());
    assert!(config.ignored().is_empty());
    assert_eq!(config.spec().version(), "1.0.2");
    assert_eq!(check(config.spec()), []);
}

#[test]
fn a_syntax_error_says_line_and_column() {
    assert_eq!(fault(""), "line 1, column 0: EOF while parsing a value");
    assert_eq!(fault("{\n  \"root\": {,}\n}"), "line 2, column 12: key must be a string");
    let whole = serde_json::to_vec(&good()).unwrap();
    assert!(fault(&whole[..whole.len() - 40]).contains("EOF while parsing"));
    assert_eq!(fault("{} {}"), "line 1, column 4: trailing characters");
}

#[test]
fn bytes_that_are_no_text_are_counted() {
    assert_eq!(fault(b"{\"ociVersion\": \"\xff\"}"), "not UTF-8 at byte 16");
}

#[test]
fn deep_nesting_is_refused_at_once() {
    let deep = |n: usize| {
        format!(r#"{{"ociVersion":"1.0.2","annotations":{}{}}}"#, "[".repeat(n), "]".repeat(n))
    };

    assert_eq!(fault(deep(100_000)), "line 1, column 68: nested deeper than 32 levels");
    assert!(!fault(deep(31)).contains("nested"));
}

#[test]
fn too_many_values_are_refused_before_types_take_memory() {
    let many =
        format!(r#"{{"linux":{{"resources":{{"devices":[{}{{}}]}}}}}}"#, "{},".repeat(200_000));

    assert!(fault(many).contains("more than 131072 values"));
}

#[test]
fn a_name_as_long_as_a_book_is_refused() {
    let text = fault_at("/annotations", json!({"k".repeat(4097): ""}));

    assert!(text.ends_with("a member's name of more than 4096 bytes"), "{text}");
    assert!(parse_value(&with("/annotations", json!({"k".repeat(4096): ""}))).is_ok());
}

#[test]
fn a_member_that_stands_twice_is_refused_wherever_it_is() {
    let twice = "stands twice; which of the two is meant cannot be known";
    assert_eq!(fault(r#"{"ociVersion":"1","ociVersion":"2"}"#), format!("/ociVersion: {twice}"));
    assert_eq!(fault(r#"{"annotations":{"a":"1","a":"1"}}"#), format!("/annotations/a: {twice}"));
    assert_eq!(fault(r#"{"new":{"x":{"a":1,"\u0061":1}}}"#), format!("/new/x/a: {twice}"));
    assert_eq!(fault(r#"{"new":1,"new":null}"#), format!("/new: {twice}"));
}

#[test]
fn a_nul_is_refused_in_any_string_and_in_any_name() {
    assert_eq!(fault_at("/root/path", json!("/a\0/x")), "/root/path: contains a NUL");
    assert_eq!(
        fault_at("/process/args", json!(["/b\0x", "id"])),
        "/process/args/0: contains a NUL"
    );
    let text = fault_at("/annotations", json!({"k\0": "v"}));
    assert_eq!(text, "/annotations/k\\u{0}: has a NUL in its name");
}

#[test]
fn a_wrong_type_is_told_by_address() {
    let text = fault_at("/process/args", json!("/bin/pb id"));
    assert_eq!(text, "/process/args: invalid type: string \"/bin/pb id\", expected a sequence");
    let text = fault_at("/linux/namespaces", json!([{"type": "bogus"}]));
    assert!(
        text.starts_with(
            "/linux/namespaces/0/type: unknown variant `bogus`, expected one of `mount`"
        )
    );
    let text =
        fault_at("/process/rlimits", json!([{"type": "RLIMIT_BOGUS", "hard": 1, "soft": 1}]));
    assert!(text.starts_with("/process/rlimits/0/type: unknown variant `RLIMIT_BOGUS`"), "{text}");
    let text = fault_at("/process/capabilities", json!({"bounding": [5]}));
    assert!(text.starts_with("/process/capabilities/bounding/0: "), "{text}");
    let text = fault_at("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_BOGUS"}));
    assert!(text.starts_with("/linux/seccomp/defaultAction: unknown variant"), "{text}");
    let text = fault_at("/hostname", json!(5));
    assert_eq!(text, "/hostname: invalid type: integer `5`, expected a string");
}

#[test]
fn a_capability_that_nobody_knows_is_told_of_and_granted_to_nobody() {
    let sets = json!({"bounding": ["CAP_BOGUS", "CAP_KILL"], "permitted": ["CAP_BOGUS"]});
    let config = parse_value(&with("/process/capabilities", sets)).unwrap();

    assert_eq!(config.unknown_capabilities(), ["CAP_BOGUS"]);
    let sets = config.spec().process().as_ref().unwrap().capabilities().clone().unwrap();
    assert_eq!(sets.bounding().as_ref().unwrap().len(), 1);
    assert!(sets.permitted().as_ref().unwrap().is_empty());
}

/// Both are what `serde` reads, and neither is what the specification says.
#[test]
fn an_array_is_no_object_and_an_object_is_no_word() {
    assert_eq!(fault("[]"), "the document: invalid type: array, expected an object");
    let text = fault_at("/root", json!(["/", false]));
    assert_eq!(text, "/root: invalid type: array, expected an object");
    let text = fault_at("/linux/namespaces", json!([{"type": {"time": null}}]));
    assert_eq!(text, "/linux/namespaces/0/type: invalid type: object, expected a single value");
    let text = fault_at("/process/args", json!({"0": "x"}));
    assert_eq!(text, "/process/args: invalid type: object, expected an array");
}

#[test]
fn an_id_that_does_not_fit_is_refused_and_never_wraps() {
    for id in [json!(4_294_967_296_u64), json!(-1), json!(1.5), json!("0"), json!(1e3)] {
        let text = fault_at("/process/user", json!({"uid": id, "gid": 0}));
        assert!(text.starts_with("/process/user/uid: invalid "), "{text}");
    }
}

#[test]
fn what_the_specification_requires_must_be_there() {
    let text = fault_at("/process", json!({"args": ["x"], "user": {"gid": 0}}));
    let missing = "missing; the specification requires it";
    assert_eq!(text, format!("/process/user/uid: {missing}; /process/cwd: {missing}"));
    let text =
        fault_at("/process/rlimits", json!([{"type": "RLIMIT_CPU", "soft": 1, "hard": null}]));
    assert!(text.starts_with(&format!("/process/rlimits/0/hard: {missing}")), "{text}");
}

#[test]
fn foreign_text_in_a_message_is_harmless_and_short() {
    let text = fault_at("/linux/namespaces", json!([{"type": format!("a\n{}", "x".repeat(9999))}]));

    assert!(!text.contains('\n') && text.len() < 400, "{text}");
}

#[test]
fn every_property_that_is_not_applied_is_refused_by_name() {
    for name in ["enableCMT", "enableMBM"] {
        let config = with("/linux/intelRdt", json!({ name: true }));
        assert_eq!(refused(&config), [format!("/linux/intelRdt/{name}")]);
    }
}

#[test]
fn a_flag_of_a_scheduler_is_spelled_as_the_specification_spells_it() {
    let flags = json!([
        "SCHED_FLAG_RESET_ON_FORK",
        "SCHED_FLAG_RECLAIM",
        "SCHED_FLAG_DL_OVERRUN",
        "SCHED_FLAG_KEEP_POLICY",
        "SCHED_FLAG_KEEP_PARAMS",
        "SCHED_FLAG_UTIL_CLAMP_MIN",
        "SCHED_FLAG_UTIL_CLAMP_MAX",
    ]);
    let config = with("/process/scheduler", json!({"policy": "SCHED_FIFO", "flags": flags}));

    let parsed = parse_value(&config).unwrap();
    let process = parse_process(config["process"].to_string().as_bytes()).unwrap();

    let asked = parsed.spec().process().as_ref().unwrap().scheduler().clone().unwrap();
    assert_eq!(asked.flags().as_ref().unwrap().len(), 7);
    assert_eq!(process.value().scheduler().as_ref(), Some(&asked));
}

#[test]
fn asking_for_nothing_is_not_asking() {
    for (at, value) in [
        ("/process/apparmorProfile", json!("")),
        ("/process/scheduler", json!(null)),
        ("/process/execCPUAffinity", json!({})),
        ("/linux/timeOffsets", json!({})),
        ("/linux/intelRdt", json!(null)),
        ("/linux/rootfsPropagation", json!("")),
        ("/linux/rootfsPropagation", json!("rslave")),
        ("/hooks", json!({"prestart": []})),
        ("/mounts", json!([{"destination": "/x", "uidMappings": [], "gidMappings": null}])),
    ] {
        assert_eq!(refused(&with(at, value)), [""; 0], "{at}");
    }
}

#[test]
fn a_refusal_is_a_sentence_that_names_the_property() {
    let config = parse_value(&with("/linux/intelRdt", json!({"enableCMT": true}))).unwrap();
    let text = "`/linux/intelRdt/enableCMT` is not applied by this version: \
                casemate has `enableMonitoring`, which the specification put in its place";
    assert_eq!(config.not_applied()[0].to_string(), text);
}

#[test]
fn a_property_that_nobody_knows_is_listed_and_its_content_is_not() {
    let config = with("/process/landlock", json!({"rules": [{"x": 1}]}));
    assert_eq!(unknown(&config), ["`/process/landlock` is not known to this version"]);
    let config = with("/sandbox", json!(true));
    assert_eq!(unknown(&config), ["`/sandbox` is not known to this version"]);
    let config = with("/mounts", json!([{"destination": "/x", "flags": 1}]));
    assert_eq!(unknown(&config), ["`/mounts/0/flags` is not known to this version"]);
    assert_eq!(unknown(&with("/annotations", json!({"any": "thing"}))), [""; 0]);
}

#[test]
fn a_name_in_other_letters_is_unknown_and_the_known_one_is_told() {
    let config = with("/process/NoNewPrivileges", json!(false));
    let text = "`/process/NoNewPrivileges` is not known to this version; `noNewPrivileges` is";
    assert_eq!(unknown(&config), [text]);
}

#[test]
fn other_platforms_are_ignored_whatever_they_hold() {
    let mut config = with("/windows", json!({"layerFolders": 5, "x": null}));
    config["freebsd"] = json!({"jail": {}});
    config["process"]["commandLine"] = json!("x");

    let parsed = parse_value(&config).unwrap();

    let ignored: Vec<_> = parsed.ignored().iter().map(Pointer::as_str).collect();
    assert_eq!(ignored, ["/freebsd", "/process/commandLine", "/windows"]);
    assert!(parsed.unknown().is_empty());
}

#[test]
fn findings_stop_growing() {
    let names: String = (0..5000).map(|i| format!(r#""n{i}":0,"#)).collect();
    let text = format!(r#"{{{names}"ociVersion":"1.0.0"}}"#);

    let parsed = parse(text.as_bytes()).unwrap();

    assert_eq!((parsed.unknown().len(), parsed.dropped()), (32, 4968));
}

#[test]
fn a_process_document_has_addresses_of_its_own() {
    let text = br#"{"user":{"uid":0,"gid":0},"cwd":"/","args":["sh"],"label":"x"}"#;

    let process = parse_process(text).unwrap();

    assert_eq!(process.unknown()[0].at.as_str(), "/label");
    assert_eq!(check_process(process.value()), []);
    assert!(parse_process(b"{}").unwrap_err().to_string().starts_with("/user: missing"));
}

#[test]
fn who_enters_need_not_say_who_it_is() {
    let (document, names_user) = parse_entering(br#" {"cwd":"/","args":["sh"]}"#).unwrap();
    assert!(!names_user);
    assert_eq!(document.value().args().as_deref().unwrap(), ["sh"]);

    let (document, names_user) =
        parse_entering(br#"{"cwd":"/","user":{"uid":7,"gid":8}}"#).unwrap();
    assert!(names_user);
    assert_eq!(document.value().user().uid(), 7);

    for (text, why) in [
        ("{}", "/cwd: missing"),
        (r#"{"cwd":"/","cwd":"/"}"#, "/cwd"),
        (r#"{"cwd":"/","user":null}"#, "/user"),
        (r#"[{"cwd":"/"}]"#, ""),
        ("", ""),
    ] {
        assert!(
            parse_entering(text.as_bytes()).unwrap_err().to_string().starts_with(why),
            "{text}"
        );
    }
}

#[test]
fn a_resources_document_is_read_alone() {
    let spelled = |text: &str| {
        let parsed = parse_resources(text.as_bytes()).map_err(|errors| errors.to_string())?;
        Ok::<_, String>((
            parsed.unknown().len(),
            serde_json::to_value(parsed.into_value()).unwrap(),
        ))
    };
    let limits = serde_json::json!({"cpu": {"cpus": "1"}, "pids": {"limit": 5}});
    assert_eq!(spelled(r#"{"CPU":{"Cpus":"1"},"Pids":{"Limit":5}}"#), Ok((0, limits)));
    assert_eq!(spelled(r#"{"CPU":{"cpus":"1"},"new":1}"#).unwrap().0, 1);
    for twice in [r#"{"CPU":{},"cpu":{}}"#, r#"{"cpu":{"Cpus":"1","CPUS":"2"}}"#] {
        let said = spelled(twice).unwrap_err();
        assert!(said.contains("stands twice, in different letter case"), "{said}");
    }

    let resources = parse_resources(br#"{"pids":{"limit":5},"new":1}"#).unwrap();

    assert_eq!(resources.value().pids().unwrap().limit(), 5);
    assert_eq!(resources.unknown()[0].at.as_str(), "/new");
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = parse(&bytes).map(|config| check(config.spec()));
    }

    /// Bytes of a config that is almost right reach further than arbitrary ones.
    #[test]
    fn a_config_with_some_bytes_exchanged_never_panics(
        places in proptest::collection::vec((0_usize..2500, b' '..b'~'), 1..4),
    ) {
        let mut bytes = serde_json::to_vec(&default::config(default::Groups::Other)).unwrap();
        for (place, byte) in places {
            let len = bytes.len();
            bytes[place % len] = byte;
        }
        let _ = parse(&bytes).map(|config| check(config.spec()));
    }
}
