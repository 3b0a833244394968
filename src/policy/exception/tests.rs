use super::*;
use crate::policy::{Policy, parse};

fn policy(exception: &str) -> Result<Policy, String> {
    let text = format!("level = \"hardened\"\n\n[[exception]]\n{exception}");
    parse("p.toml", &text).map_err(|error| error.to_string())
}

fn one(exception: &str) -> Exception {
    policy(exception).unwrap().exceptions.remove(0)
}

const BASE: &str = "id = \"e\"\nreason = \"r\"\nwaive = [\"ns.no-host-network\"]\n";

fn subject(today: &str) -> Subject {
    Subject {
        id: Some("web-1".to_owned()),
        bundle: "/srv/b/web".to_owned(),
        today: today.to_owned(),
    }
}

fn state(extra: &str, today: &str) -> State {
    let annotations = |name: &str| match name {
        "io.kubernetes.cri.image-name" => Some("docker.io/prom/node-exporter:v1"),
        "team" => Some("metrics"),
        _ => None,
    };
    one(&format!("{BASE}{extra}")).state(&subject(today), &annotations)
}

#[test]
fn an_exception_holds_through_its_last_day() {
    let until = "expires = 2030-01-31\n";

    assert_eq!(state(until, "2030-01-31"), State::Holds);
    assert_eq!(state(until, "2030-02-01"), State::Expired(Day("2030-01-31".to_owned())));
    assert!(matches!(state(until, ""), State::Expired(_)), "no clock, no exception");
    assert_eq!(state("", ""), State::Holds);
}

#[test]
fn all_of_a_selector_must_fit() {
    for (selector, fits) in [
        ("image = \"docker.io/prom/*\"", true),
        ("image = \"*node-exporter*\"", true),
        ("image = \"node-exporter*\"", false),
        ("bundle = \"/srv/b\"", true),
        ("bundle = \"/srv/b/\"", true),
        ("bundle = \"/srv/bb\"", false),
        ("id = \"web-*\"", true),
        ("id = \"web\"", false),
        ("namespace = \"*\"", false),
        ("annotation = { team = \"met*\" }", true),
        ("annotation = { team = \"met*\", other = \"*\" }", false),
        ("id = \"web-1\", bundle = \"/elsewhere\"", false),
    ] {
        let expected = if fits { State::Holds } else { State::Elsewhere };
        assert_eq!(state(&format!("match = {{ {selector} }}\n"), ""), expected, "{selector}");
    }
}

#[test]
fn what_cannot_be_waived_is_an_error_with_its_line() {
    for (exception, said) in [
        ("id = \"e\"\nreason = \"r\"\n", "exception `e` names nothing that it waives"),
        (
            "id = \"e\"\nreason = \"\"\nwaive = [\"ns.no-host-ipc\"]\n",
            "an exception needs an `id` and a `reason`",
        ),
        (
            "id = \"e\"\nreason = \"r\"\nwaive = [\"ns.no-host-pid\"]\n",
            "exception `e`: `ns.no-host-pid` cannot be waived",
        ),
        (
            "id = \"e\"\nreason = \"r\"\nallow = { \"caps.ceiling\" = [\"CAP_SYS_ADMIN\"] }\n",
            "exception `e`: no exception gives CAP_SYS_ADMIN",
        ),
        (
            "id = \"e\"\nreason = \"r\"\nallow = { \"dev.standard-only\" = [\"c *:1\"] }\n",
            "exception `e`: `c *:1` is no device: write c 10:229",
        ),
        (
            "id = \"e\"\nreason = \"r\"\nallow = { \"rootfs.scratch\" = [\"/proc/x\"] }\n",
            "exception `e`: `/proc/x` is no place for scratch memory",
        ),
        (
            "id = \"e\"\nreason = \"r\"\nallow = { \"proc.masked\" = [\"/x\"] }\n",
            "exception `e`: nothing can be added to `proc.masked`",
        ),
    ] {
        assert_eq!(policy(exception).unwrap_err(), format!("policy p.toml, line 3: {said}"));
    }
    let unknown = policy(&format!("{BASE}until = 3\n")).unwrap_err();
    assert!(unknown.starts_with("policy p.toml, line 7: unknown field `until`"), "{unknown}");
    let bad = policy(&format!("{BASE}expires = 10:00:00\n")).unwrap_err();
    assert!(bad.contains("is not a day"), "{bad}");
}

#[test]
fn the_promise_that_is_lowered_is_known() {
    assert_eq!(lowers("ids.no-host-root"), "P1");
    assert_eq!(lowers("caps.ceiling"), "P4");
    assert_eq!(lowers("seccomp.baseline/x"), "P5");
    assert_eq!(lowers("ns.no-host-network"), "");
}

#[test]
fn a_pattern_may_have_stars_anywhere() {
    for (pattern, text, fits) in [
        ("", "", true),
        ("a", "a", true),
        ("a*", "a", true),
        ("*a", "ba", true),
        ("a*c*e", "abcde", true),
        ("a*c*e", "abde", false),
        ("*aa", "a", false),
        ("ab*b", "ab", false),
    ] {
        assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
    }
}
