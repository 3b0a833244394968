use super::*;

#[test]
fn no_object_names_a_property_twice_and_none_has_more_than_the_walk_can_count() {
    fn see(shape: &Shape) {
        match shape {
            Shape::Scalar | Shape::Opaque => {}
            Shape::List(inner) | Shape::Map(inner) => see(inner),
            Shape::Object(members) => {
                assert!(members.len() <= 64);
                for (i, member) in members.iter().enumerate() {
                    assert!(members[..i].iter().all(|m| m.name != member.name));
                    see(&member.shape);
                }
            }
        }
    }
    see(&CONFIG);
    see(&ENGINE_PROFILE);
}

#[test]
fn the_table_lists_addresses_as_patterns() {
    let all = list(&CONFIG);

    let find = |at: &str| all.iter().find(|(here, _)| here == at).map(|(_, p)| p.status);
    assert!(matches!(find("/linux/intelRdt/enableCMT"), Some(Status::NotApplied { .. })));
    assert_eq!(find("/mounts/*/uidMappings"), Some(Status::Applied));
    assert_eq!(find("/linux/seccomp/syscalls/*/args/*/op"), Some(Status::Applied));
    assert_eq!(find("/windows"), Some(Status::OtherPlatform));
}

#[test]
fn a_reason_is_a_sentence_without_capital_and_full_stop() {
    for (at, property) in list(&CONFIG) {
        let reason = match property.status {
            Status::NotApplied { reason } => reason,
            Status::Applied | Status::OtherPlatform => continue,
        };
        assert!(reason.starts_with("casemate ") && !reason.ends_with('.'), "{at}: {reason}");
    }
}
