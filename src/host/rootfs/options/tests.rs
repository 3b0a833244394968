use proptest::prelude::*;

use super::*;

fn parsed(options: &[&str]) -> Result<Options, String> {
    parse(&options.iter().map(|option| option.as_bytes().to_vec()).collect::<Vec<_>>())
}

fn names(layers: &[Vec<u8>]) -> Vec<&str> {
    layers.iter().map(|layer| str::from_utf8(layer).unwrap()).collect()
}

/// As an engine writes the name of a layer into `lowerdir`.
fn escape(name: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        b':' | b'\\' | b',' => vec![b'\\', *byte],
        byte => vec![*byte],
    };
    name.iter().flat_map(escape).collect()
}

#[test]
fn colons_separate_layers_unless_a_backslash_takes_their_meaning() {
    let options = parsed(&[r"lowerdir=/a\:b\,c:/d\\:/e\\\:f"]).unwrap();

    assert_eq!(names(&options.lower), ["/a:b,c", r"/d\", r"/e\:f"]);
    assert!(options.data.is_empty());
}

#[test]
fn two_colons_come_before_each_layer_that_holds_only_data() {
    let options = parsed(&["lowerdir=/a:/b::/c::/d"]).unwrap();

    assert_eq!(names(&options.lower), ["/a", "/b"]);
    assert_eq!(names(&options.data), ["/c", "/d"]);
}

#[test]
fn an_equals_sign_belongs_to_the_name_of_the_layer() {
    let options = parsed(&["lowerdir=/a=b", "upperdir=/c=d"]).unwrap();

    assert_eq!(names(&options.lower), ["/a=b"]);
    assert_eq!(options.upper.as_deref(), Some(&b"/c=d"[..]));
}

#[test]
fn layers_given_one_by_one_have_no_escapes() {
    let given = [r"lowerdir+=/a\:b", "lowerdir+=/c:d", "datadir+=/e::f", r"upperdir=/u\:v"];

    let options = parsed(&given).unwrap();

    assert_eq!(names(&options.lower), [r"/a\:b", "/c:d"]);
    assert_eq!(names(&options.data), ["/e::f"]);
    assert_eq!(options.upper.as_deref(), Some(&b"/u:v"[..]));
}

#[test]
fn lists_that_the_kernel_would_not_take_are_not_understood() {
    for list in ["", ":/a", "/a:", "/a:::/b", "/a::/b:/c", "::/a", "/a::"] {
        let options = parsed(&[&format!("lowerdir={list}")]);

        assert_eq!(options.unwrap_err(), "is an overlay whose `lowerdir` is not understood");
    }
}

#[test]
fn options_without_meaning_for_a_read_only_copy_are_dropped() {
    let given = "rw,lowerdir=/l,upperdir=/u,workdir=/w,redirect_dir=nofollow,index=on,uuid=on,\
                 nfs_export=on,xino=auto,volatile,fsync=volatile,userxattr,metacopy=off";

    let options = parsed(&given.split(',').collect::<Vec<_>>()).unwrap();

    let expected = Options {
        upper: Some(b"/u".to_vec()),
        lower: vec![b"/l".to_vec()],
        metacopy: Some(false),
        userxattr: true,
        ..Options::default()
    };
    assert_eq!(options, expected);
}

#[test]
fn an_option_that_is_not_known_is_named() {
    let error = parsed(&["lowerdir=/l", "sideways=on"]).unwrap_err();

    assert_eq!(error, "is an overlay with the option `sideways`, which is not known");
}

#[test]
fn files_that_are_checked_by_their_digest_are_not_given_up() {
    let error = parsed(&["lowerdir=/l", "verity=require"]).unwrap_err();

    assert!(error.contains("fs-verity"), "{error}");
    assert!(parsed(&["lowerdir=/l", "verity=off"]).is_ok());
}

fn a_name() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        prop_oneof![Just(b':'), Just(b'\\'), Just(b','), Just(b'='), 1_u8..],
        1..10,
    )
}

proptest! {
    #[test]
    fn what_an_engine_escapes_is_put_back(
        lower in prop::collection::vec(a_name(), 1..5),
        data in prop::collection::vec(a_name(), 0..3),
        upper in a_name(),
    ) {
        let mut list = lower.iter().map(|it| escape(it)).collect::<Vec<_>>().join(&b':');
        for layer in &data {
            list.extend([b"::", &escape(layer)[..]].concat());
        }
        let given = [
            [b"lowerdir=", &list[..]].concat(),
            [b"upperdir=", &escape(&upper)[..]].concat(),
        ];

        let options = parse(&given).unwrap();

        prop_assert_eq!(options, Options { lower, data, upper: Some(upper), ..Options::default() });
    }

    #[test]
    fn no_option_makes_the_reader_panic(option in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = parse(&[[b"lowerdir=", &option[..]].concat(), option]);
    }
}
