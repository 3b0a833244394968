//! Ranges that the containers of a pod share.

use super::*;

#[test]
fn a_pod_has_one_range_until_its_last_container_is_gone() {
    let host = Host::new();
    let ranges = host.ranges();
    let (pause, app) = (host.owner("pause"), host.owner("app"));
    let range = ranges.take(&pause).unwrap();
    ranges.join(range, &app, &pause).unwrap();
    ranges.join(range, &app, &pause).unwrap();
    assert_eq!(ranges.owners(range), [pause.clone(), app.clone()]);
    let stranger = ranges.join(range, &host.owner("x"), &host.owner("y")).unwrap_err();
    assert_eq!(
        stranger.to_string(),
        format!("container `y` no longer has the host ids from {} on", range.base())
    );
    ranges.release(range, &pause).unwrap();
    assert_eq!(host.blocks(), 1, "the app still has it");
    ranges.release(range, &app).unwrap();

    assert_eq!(host.blocks(), 0);
}

#[test]
fn a_pods_range_is_freed_though_a_member_was_killed_half_way() {
    let host = Host::new();
    let ranges = host.ranges();
    let (pause, app) = (host.owner("pause"), host.owner("app"));
    let range = ranges.take(&pause).unwrap();
    ranges.join(range, &app, &pause).unwrap();
    host.forget(&app);
    as_if_taker_ended(&host, range);

    ranges.release(range, &pause).unwrap();

    assert_eq!(host.blocks(), 0);
    assert_eq!(ranges.owners(range), []);
}
