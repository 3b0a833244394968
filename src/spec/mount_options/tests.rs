use super::*;

fn parse(options: &[&str]) -> MountOptions {
    parse_as("none", options).unwrap()
}

fn parse_as(typ: &str, options: &[&str]) -> Result<MountOptions, Vec<BadOption>> {
    let options: Vec<_> = options.iter().map(ToString::to_string).collect();
    MountOptions::parse(Some(typ), &options)
}

fn fault(typ: &str, options: &[&str]) -> String {
    let bad = parse_as(typ, options).unwrap_err();
    bad.iter().map(|b| b.what.clone()).collect::<Vec<_>>().join("; ")
}

#[test]
fn the_words_are_in_order_so_that_the_search_finds_each() {
    assert!(WORDS.is_sorted_by(|a, b| a.0 < b.0));
    for word in words() {
        let typ = if word == "tmpcopyup" { "tmpfs" } else { "bind" };
        assert!(parse_as(typ, &[word]).unwrap().data.is_empty(), "{word}");
    }
}

#[test]
fn every_word_of_the_specification_is_known() {
    let spec = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand \
        noatime nodev nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime \
        nosuid nosymfollow private rbind relatime remount ro rprivate rshared rslave runbindable \
        rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable idmap ridmap \
        rro rrw rsuid rnosuid rdev rnodev rexec rnoexec rdiratime rnodiratime rrelatime \
        rnorelatime ratime rnoatime rstrictatime rnostrictatime rsymfollow rnosymfollow";
    for word in spec.split_whitespace() {
        assert!(words().any(|known| known == word), "{word}");
    }
}

#[test]
fn of_two_words_that_contradict_the_later_holds() {
    assert_eq!(parse(&["ro", "rw"]).attributes, Attributes { set: 0, clear: attr::RDONLY });
    assert_eq!(parse(&["suid", "nosuid"]).attributes, Attributes { set: attr::NOSUID, clear: 0 });
}

#[test]
fn an_access_time_mode_clears_the_whole_field_before_it_is_set() {
    let strict = parse(&["noatime", "strictatime"]).attributes;
    assert_eq!(strict, Attributes { set: attr::STRICTATIME, clear: attr::ATIME_MASK });

    let none = parse(&["noatime", "atime"]).attributes;
    assert_eq!(none, Attributes::default());

    let kept = parse(&["strictatime", "atime"]).attributes;
    assert_eq!(kept, Attributes { set: attr::STRICTATIME, clear: attr::ATIME_MASK });
}

#[test]
fn recursive_words_change_the_recursive_attributes_alone() {
    let parsed = parse(&["rbind", "rro", "rnosuid", "rdev", "nodev"]);

    assert_eq!(parsed.bind, Bind::Recursive);
    assert_eq!(
        parsed.recursive,
        Attributes { set: attr::RDONLY | attr::NOSUID, clear: attr::NODEV }
    );
    assert_eq!(parsed.attributes, Attributes { set: attr::NODEV, clear: 0 });
}

#[test]
fn ro_is_for_the_mount_and_for_a_file_system_that_is_made() {
    let parsed = parse(&["ro", "sync"]);

    let keys: Vec<_> = parsed.superblock.iter().filter_map(|o| o.flag.fsconfig_key(o.on)).collect();
    assert_eq!(parsed.attributes.applied_to(attr::NOEXEC), attr::NOEXEC | attr::RDONLY);
    assert_eq!(keys, ["ro", "sync"]);
}

#[test]
fn a_word_that_nobody_knows_is_data_with_its_value_untouched() {
    let parsed = parse(&["size=65536k", "mode=755", "newinstance", "mpol=bind:0,2", "x="]);

    let text: Vec<_> = parsed.data.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect();
    assert_eq!(
        text,
        [
            ("size", Some("65536k")),
            ("mode", Some("755")),
            ("newinstance", None),
            ("mpol", Some("bind:0,2")),
            ("x", Some(""))
        ]
    );
}

#[test]
fn data_on_a_bind_mount_is_refused() {
    let text = "`size` is for a file system, and a bind mount makes none";
    assert_eq!(fault("none", &["rbind", "size=1"]), text);
    assert_eq!(fault("bind", &["size=1"]), text);
}

#[test]
fn options_in_one_string_and_a_second_source_are_refused() {
    assert_eq!(fault("tmpfs", &["nosuid,nodev"]), "`nosuid,nodev` is several options in one");
    assert_eq!(fault("ext4", &["source=/dev/sda"]), "the source of a mount is no option of it");
    assert_eq!(fault("ext4", &["", "=x"]), "an option without a name; an option without a name");
}

#[test]
fn propagations_are_kept_in_their_order_and_three_are_refused() {
    assert_eq!(parse(&["rprivate", "rprivate"]).propagation.len(), 1);
    let modes: Vec<_> = parse(&["slave", "shared"]).propagation.iter().map(|p| p.mode).collect();
    assert_eq!(modes, [PropagationMode::Slave, PropagationMode::Shared]);
    let text = "`private` is the third propagation";
    assert_eq!(fault("bind", &["slave", "shared", "private"]), text);
}

#[test]
fn a_mapping_may_stand_in_the_option() {
    let parsed = parse_as("bind", &["ridmap=uids=0-1000-10#@5-6-1;gids=0-0-1"]).unwrap();

    let mapping = parsed.mapping.unwrap();
    assert_eq!(parsed.idmap, Some(Idmap::Recursive));
    let second = OwnMappingLine { on_disk: 5, seen_as: 6, size: 1, inside: true };
    assert_eq!((mapping.uids.len(), mapping.uids[1], mapping.gids.len()), (2, second, 1));
    for (text, words) in [
        ("idmap=uids=0-1-1", "needs both"),
        ("idmap=users=0-1-1", "`users=0-1-1` is neither"),
        ("idmap=uids=0-1;gids=0-0-1", "`0-1` is not ID-ID-COUNT"),
        ("idmap=uids=0-1-0;gids=0-0-1", "`0-1-0` is not ID-ID-COUNT"),
    ] {
        assert!(fault("bind", &[text]).contains(words), "{text}");
    }
}

#[test]
fn words_on_the_wrong_kind_of_mount_are_refused() {
    assert!(fault("tmpfs", &["idmap"]).contains("bind mount alone"));
    assert!(fault("ext4", &["tmpcopyup"]).contains("tmpfs alone"));
    assert!(fault("tmpfs", &["bind", "tmpcopyup"]).contains("tmpfs alone"));
}
