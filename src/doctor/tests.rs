use super::*;

#[test]
fn an_area_is_named_once_and_a_remedy_stands_below() {
    let findings = [
        Finding::well("kernel", "it is new"),
        Finding::poor("kernel", "it is slow").remedy("wait"),
        Finding::ill("ids", "there are none").remedy("find some"),
    ];

    assert_eq!(
        text(&findings),
        "kernel      well  it is new\n            POOR  it is slow\n                  do: wait\n\
         ids         ILL   there are none\n                  do: find some\n"
    );
}

#[test]
fn whatever_is_not_well_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(at("usr/bin")).unwrap();
    for program in ["podman", "containerd", "dockerd", "crio"] {
        std::fs::write(at("usr/bin").join(program), "").unwrap();
    }
    let (root, ranges, audit) = (at("state"), at("ranges"), at("log/audit.jsonl"));
    let places = Places {
        root: &root,
        ranges: &ranges,
        policy: None,
        audit: &audit,
        caller: None,
        today: "2030-01-01",
        etc: dir.path().to_owned(),
    };

    let findings = examine(&places);

    for finding in &findings {
        let needs = finding.health >= Health::Poor;
        assert!(!needs || !finding.remedy.is_empty(), "{finding:?}");
    }
    for engine in ["podman", "containerd", "docker", "cri-o"] {
        let found = findings.iter().find(|finding| finding.area == engine).unwrap();
        assert_eq!(found.health, Health::Poor, "{found:?}");
    }
    assert!(!ranges.exists() && !root.exists(), "nothing was made");
}
