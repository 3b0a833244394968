//! Values of `org.systemd.property.NAME` annotations: GVariant's text form, as engines use it.
//!
//! Only plain values: booleans, numbers with or without their type, strings, and lists of
//! strings or numbers. What is anything else is refused.

use super::property::{UnitProperty, UnitValue};

/// What such an annotation begins with.
pub const PROPERTY_ANNOTATION: &str = "org.systemd.property.";

/// Reads one annotation. A name that ends in `Sec` is given in seconds, and the unit has it in
/// microseconds under a name that ends in `USec`.
///
/// # Errors
/// What is wrong, as a clause.
pub fn parse_property(name: &str, value: &str) -> Result<UnitProperty, String> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err("is not the name of a property".to_owned());
    }
    let wrong = || format!("{value:?} is no plain value such as `true`, `uint64 5` or `'text'`");
    let parsed = parse_value(value.trim()).ok_or_else(wrong)?;
    match name.strip_suffix("Sec") {
        Some(stem) if !stem.ends_with('U') => {
            let value = UnitValue::Uint64(microseconds(&parsed).ok_or_else(wrong)?);
            Ok(UnitProperty { name: format!("{stem}USec"), value })
        }
        Some(_) | None => Ok(UnitProperty { name: name.to_owned(), value: parsed }),
    }
}

fn microseconds(seconds: &UnitValue) -> Option<u64> {
    let seconds = match seconds {
        UnitValue::Int32(seconds) => u64::try_from(*seconds).ok()?,
        UnitValue::Uint32(seconds) => u64::from(*seconds),
        UnitValue::Int64(seconds) => u64::try_from(*seconds).ok()?,
        UnitValue::Uint64(seconds) => *seconds,
        UnitValue::Bool(_)
        | UnitValue::Text(_)
        | UnitValue::Bytes(_)
        | UnitValue::Uint32s(_)
        | UnitValue::Texts(_) => return None,
    };
    seconds.checked_mul(1_000_000)
}

fn parse_value(text: &str) -> Option<UnitValue> {
    if let Some(list) = text.strip_prefix('[') {
        return parse_list(list.strip_suffix(']')?);
    }
    match text {
        "true" => return Some(UnitValue::Bool(true)),
        "false" => return Some(UnitValue::Bool(false)),
        _ => {}
    }
    if let Some((string, "")) = parse_string(text) {
        return Some(UnitValue::Text(string));
    }
    match text.split_once(char::is_whitespace) {
        None => text.parse().ok().map(UnitValue::Int32),
        Some((kind, number)) => {
            let number = number.trim();
            match kind {
                "boolean" => number.parse().ok().map(UnitValue::Bool),
                "int32" => number.parse().ok().map(UnitValue::Int32),
                "uint32" => number.parse().ok().map(UnitValue::Uint32),
                "int64" => number.parse().ok().map(UnitValue::Int64),
                "uint64" => number.parse().ok().map(UnitValue::Uint64),
                _ => None,
            }
        }
    }
}

/// Strings, or numbers of 32 bits without a sign.
fn parse_list(mut text: &str) -> Option<UnitValue> {
    text = text.trim();
    if let Some(numbers) = text.strip_prefix("uint32 ") {
        let numbers: Result<Vec<u32>, _> = numbers.split(',').map(|n| n.trim().parse()).collect();
        return numbers.ok().map(UnitValue::Uint32s);
    }
    let mut strings = Vec::new();
    while !text.is_empty() {
        let (string, rest) = parse_string(text)?;
        strings.push(string);
        let rest = rest.trim_start();
        text = match rest.strip_prefix(',') {
            Some(rest) => rest.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    Some(UnitValue::Texts(strings)).filter(|_| !text.ends_with(','))
}

/// A string in single or double quotes, and what follows it. Backslashes quote one character.
fn parse_string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut string = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((string, text.get(at.checked_add(1)?..)?));
        }
        let c = if c == '\\' { chars.next()?.1 } else { c };
        // What the bus would not take in a string.
        if c == '\0' {
            return None;
        }
        string.push(c);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<UnitValue> {
        parse_property("Some", text).ok().map(|property| property.value)
    }

    #[test]
    fn plain_values_are_read_with_their_types() {
        assert_eq!(value("true"), Some(UnitValue::Bool(true)));
        assert_eq!(value("-5"), Some(UnitValue::Int32(-5)));
        assert_eq!(value("uint64 123456789"), Some(UnitValue::Uint64(123_456_789)));
        assert_eq!(
            value("'inactive-or-failed'"),
            Some(UnitValue::Text("inactive-or-failed".into()))
        );
        assert_eq!(value(r#""it's \"so\"""#), Some(UnitValue::Text("it's \"so\"".into())));
        assert_eq!(
            value("['a.service', \"b.service\"]"),
            Some(UnitValue::Texts(vec!["a.service".into(), "b.service".into()]))
        );
        assert_eq!(value("[uint32 1, 2]"), Some(UnitValue::Uint32s(vec![1, 2])));
    }

    #[test]
    fn what_is_no_plain_value_is_refused() {
        for text in [
            "",
            "'open",
            "text",
            "[",
            "[1]",
            "{'a': 1}",
            "('a', 1)",
            "uint32 -1",
            "1.5",
            "<5>",
            "'a' 'b'",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
        assert!(parse_property("Bad Name", "true").is_err());
        assert!(parse_property("", "true").is_err());
    }

    #[test]
    fn seconds_become_microseconds() {
        let property = parse_property("TimeoutStopSec", "30").unwrap();

        assert_eq!(
            (property.name.as_str(), property.value),
            ("TimeoutStopUSec", UnitValue::Uint64(30_000_000))
        );
        let plain = parse_property("TimeoutStopUSec", "uint64 5").unwrap();
        assert_eq!((plain.name.as_str(), plain.value), ("TimeoutStopUSec", UnitValue::Uint64(5)));
        assert!(parse_property("TimeoutStopSec", "'soon'").is_err());
        assert!(parse_property("TimeoutStopSec", "-1").is_err());
    }
}
