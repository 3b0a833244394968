use proptest::prelude::*;

use super::*;

const START: Method = Method {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
    member: "StartTransientUnit",
};

fn property(name: &str, value: UnitValue) -> UnitProperty {
    UnitProperty { name: name.to_owned(), value }
}

/// A message as a peer would write it, of either order.
fn answer(kind: u8, fields: &[(u8, &str, Vec<u8>)], body: &[u8], little: bool) -> Vec<u8> {
    let number = |value: usize| {
        let value = u32::try_from(value).unwrap();
        if little { value.to_le_bytes() } else { value.to_be_bytes() }
    };
    let mut array = Vec::new();
    for (code, signature, value) in fields {
        array.resize(array.len().next_multiple_of(8), 0);
        array.extend([*code, u8::try_from(signature.len()).unwrap()]);
        array.extend(signature.bytes());
        array.push(0);
        if matches!(*signature, "s" | "o") {
            array.resize(array.len().next_multiple_of(4), 0);
            array.extend(number(value.len()));
            array.extend(value);
            array.push(0);
        } else {
            array.resize(array.len().next_multiple_of(if *signature == "u" { 4 } else { 1 }), 0);
            array.extend(value);
        }
    }
    let mut out = vec![if little { b'l' } else { b'B' }, kind, 0, 1];
    out.extend(number(body.len()));
    out.extend(number(7));
    out.extend(number(array.len()));
    out.extend(array);
    out.resize(out.len().next_multiple_of(8), 0);
    out.extend(body);
    out
}

#[test]
fn a_call_is_written_as_the_specification_says() {
    let hello = Method {
        destination: "org.freedesktop.DBus",
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        member: "Hello",
    };

    let bytes = call(&hello, Body::Empty, 1, true);

    // As `busctl monitor` and `dbus-monitor --pcap` record it of other clients.
    let mut expected = b"l\x01\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00m\x00\x00\x00".to_vec();
    expected.extend(b"\x01\x01o\x00\x15\x00\x00\x00/org/freedesktop/DBus\x00\x00\x00");
    expected.extend(b"\x02\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00");
    expected.extend(b"\x03\x01s\x00\x05\x00\x00\x00Hello\x00\x00\x00");
    expected.extend(b"\x06\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00");
    assert_eq!(bytes, expected);
}

#[test]
fn every_type_of_property_is_aligned_as_it_must_be() {
    let properties = [
        property("A", UnitValue::Bool(true)),
        property("PIDs", UnitValue::Uint32s(vec![77])),
        property("MemoryMax", UnitValue::Uint64(5)),
        property("AllowedCPUs", UnitValue::Bytes(vec![3])),
        property("Slice", UnitValue::Text("x.slice".to_owned())),
        property("After", UnitValue::Texts(vec!["a".to_owned(), "b".to_owned()])),
        property("Nice", UnitValue::Int32(-1)),
        property("Far", UnitValue::Int64(-1)),
        property("Near", UnitValue::Uint32(9)),
    ];

    let (signature, body) = write_body(Body::Start("u.scope", "replace", &properties));

    assert_eq!(signature, "ssa(sv)a(sa(sv))");
    let mut expected = b"\x07\x00\x00\x00u.scope\x00\x07\x00\x00\x00replace\x00".to_vec();
    // Written out by hand: each element at a multiple of 8, each value at one of its own size.
    let mut array = b"\x01\0\0\0A\0\x01b\0\0\0\0\x01\0\0\0".to_vec();
    array.extend(b"\x04\0\0\0PIDs\0\x02au\0\0\0\0\x04\0\0\0M\0\0\0");
    array.extend(b"\x09\0\0\0MemoryMax\0\x01t\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0");
    array.extend(b"\x0b\0\0\0AllowedCPUs\0\x02ay\0\x01\0\0\0\x03\0\0\0\0\0\0\0");
    array.extend(b"\x05\0\0\0Slice\0\x01s\0\0\0\0\x07\0\0\0x.slice\0\0\0\0\0");
    array.extend(
        b"\x05\0\0\0After\0\x02as\0\0\0\x0e\0\0\0\x01\0\0\0a\0\0\0\x01\0\0\0b\0\0\0\0\0\0\0",
    );
    assert_eq!(&body[..expected.len()], expected);
    let rest = &body[expected.len()..];
    expected.clear();
    // The array's length, and padding up to its first element.
    assert_eq!(&rest[4..8], [0; 4]);
    assert_eq!(&rest[8..8 + array.len()], array);
    // No further units.
    assert_eq!(&body[body.len() - 4..], [0; 4]);
}

#[test]
fn an_answer_is_read_in_either_order() {
    for little in [true, false] {
        let serial = if little { 3_u32.to_le_bytes() } else { 3_u32.to_be_bytes() };
        let length = if little { 4_u32.to_le_bytes() } else { 4_u32.to_be_bytes() };
        let body = [&length[..], b"/job\0"].concat();
        let fields = [
            (REPLY_SERIAL, "u", serial.to_vec()),
            (SIGNATURE, "g", b"\x01o\0".to_vec()),
            (7, "s", b":1.5".to_vec()),
        ];
        let bytes = answer(2, &fields, &body, little);

        let fixed = bytes[..FIXED_BYTES].try_into().unwrap();
        assert_eq!(rest_bytes(&fixed), Ok(bytes.len() - FIXED_BYTES));
        let message = parse(&bytes).unwrap();
        assert_eq!((message.kind, message.reply_to), (Kind::Return, Some(3)));
        assert_eq!(message.texts().unwrap(), ["/job"]);
    }
}

#[test]
fn what_says_more_than_it_has_is_malformed() {
    let fields = [(SIGNATURE, "g", b"\x01s\0".to_vec())];
    let good = answer(2, &fields, b"\x02\0\0\0hi\0", true);
    assert_eq!(parse(&good).unwrap().texts().unwrap(), ["hi"]);

    for end in 0..good.len() {
        assert!(parse(&good[..end]).is_err(), "{end}");
    }
    let unended = answer(2, &fields, b"\x02\0\0\0hix", true);
    assert_eq!(parse(&unended).unwrap().texts(), Err(Malformed::Value));
    let mut huge = good.clone();
    huge[4..8].copy_from_slice(&[0xff; 4]);
    assert_eq!(rest_bytes(&huge[..FIXED_BYTES].try_into().unwrap()), Err(Malformed::Length));
    let mut other = good;
    other[3] = 2;
    assert_eq!(parse(&other), Err(Malformed::Protocol));
}

fn value() -> impl Strategy<Value = UnitValue> {
    prop_oneof![
        any::<bool>().prop_map(UnitValue::Bool),
        any::<u64>().prop_map(UnitValue::Uint64),
        "[a-z]{0,9}".prop_map(UnitValue::Text),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(UnitValue::Bytes),
        prop::collection::vec(any::<u32>(), 0..5).prop_map(UnitValue::Uint32s),
        prop::collection::vec("[a-z]{0,9}", 0..5).prop_map(UnitValue::Texts),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_fail_otherwise_than_by_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = parse(&bytes) {
            let _ = message.texts();
        }
    }

    #[test]
    fn bytes_of_a_message_with_one_changed_are_read_or_refused(at in 0_usize..80, to in any::<u8>()) {
        let fields = [(SIGNATURE, "g", b"\x02so\0".to_vec()), (ERROR_NAME, "s", b"a.b".to_vec())];
        let mut bytes = answer(3, &fields, b"\x02\0\0\0hi\0\0\x01\0\0\0/\0", true);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
        if let Ok(message) = parse(&bytes) {
            let _ = message.texts();
        }
    }

    #[test]
    fn a_call_says_how_long_it_is(values in prop::collection::vec(value(), 0..6), serial in 1_u32..) {
        let properties: Vec<_> = values.into_iter().map(|value| property("P", value)).collect();
        let bytes = call(&START, Body::Start("a.scope", "fail", &properties), serial, true);

        let fixed = bytes[..FIXED_BYTES].try_into().unwrap();
        prop_assert_eq!(rest_bytes(&fixed), Ok(bytes.len() - FIXED_BYTES));
        let read = parse(&bytes).unwrap();
        prop_assert_eq!(read.kind, Kind::Call);
        prop_assert_eq!(read.signature.as_str(), "ssa(sv)a(sa(sv))");
        prop_assert_eq!(read.texts().unwrap(), ["a.scope", "fail"]);
    }
}
