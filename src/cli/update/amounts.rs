//! Numbers as people write them: bytes with a unit, numbers below zero.

/// Reads bytes: a plain number, or one with a unit such as `64k`, `64M`, `1.5GiB`; -1 is no limit.
pub(super) fn parse_bytes(text: &str) -> Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    let wrong = || format!("`{text}` is no amount such as `67108864`, `64M` or `1.5g`");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = factor(unit.trim_start()).ok_or_else(wrong)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 {
        return Err(wrong());
    }
    let digits = |text: &str| if text.is_empty() { Ok(0) } else { text.parse::<u128>() };
    let (whole, part) =
        (digits(whole).map_err(|_| wrong())?, digits(fraction).map_err(|_| wrong())?);
    let divisor = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| wrong())?);
    let scaled = whole.checked_mul(divisor).and_then(|whole| whole.checked_add(part));
    let bytes = scaled.and_then(|scaled| scaled.checked_mul(factor)).ok_or_else(wrong)? / divisor;
    i64::try_from(bytes).map_err(|_| wrong())
}

/// How many bytes a unit has; the empty one has one.
fn factor(unit: &str) -> Option<u128> {
    let unit = unit.to_ascii_lowercase();
    let mut letters = unit.chars();
    let power = match letters.next() {
        None | Some('b') => 0,
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        Some(_) => return None,
    };
    match (power, letters.as_str()) {
        (_, "") | (1.., "b" | "ib") => 1024_u128.checked_pow(power),
        _ => None,
    }
}

/// Reads a number that may be below zero.
pub(super) fn parse_signed(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units_of_1024() {
        for (text, bytes) in [
            ("67108864", 67_108_864),
            ("64m", 67_108_864),
            ("64M", 67_108_864),
            ("64 MiB", 67_108_864),
            ("1.5g", 1_610_612_736),
            ("10b", 10),
            ("0", 0),
            ("-1", -1),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "m", "-2", "1x", "1.2.3", "64mm", "99999999999p", "0x10", "1e3"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
