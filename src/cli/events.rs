//! `events`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{Outcome, output};
use crate::ops::{self, Context, EventSpan};

/// Print what a container uses, and when it runs out of memory
///
/// One JSON object on each line, until the container has ended: `stats` at each interval, `oom` as
/// it happens.
#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,

    /// How often, as in `500ms`, `5s` or `1m30s`
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_interval)]
    interval: Duration,

    /// Print what it uses now, and nothing else
    #[arg(long)]
    stats: bool,
}

pub(super) fn perform(context: &Context, args: &EventsArgs) -> Outcome {
    let span = if args.stats { EventSpan::Once } else { EventSpan::Every(args.interval) };
    ops::events(context, &args.id, span, &mut |event| output::print_line(event))?;
    Ok(ExitCode::SUCCESS)
}

/// Units, the longest name first where one begins another.
const UNITS: [(&str, f64); 7] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Reads a time as Go writes it: numbers, with fractions, each followed by its unit.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time such as `500ms`, `5s` or `1m30s`");
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let unit =
            UNITS.iter().find_map(|(unit, length)| Some((after.strip_prefix(unit)?, length)));
        let (after, length) = unit.ok_or_else(wrong)?;
        seconds += number * length;
        rest = after;
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(interval) if !interval.is_zero() => Ok(interval),
        Ok(_) => Err("duration interval must be greater than 0".to_owned()),
        Err(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_engines_write_them() {
        for (text, millis) in
            [("5s", 5000), ("100ms", 100), ("1.5s", 1500), ("1m30s", 90_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse_interval(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_or_none_at_all_is_refused() {
        for text in ["5", "s", "-1s", "1x", "1.2.3s", "99999999999999999999h"] {
            assert!(parse_interval(text).unwrap_err().contains("is no time"), "{text}");
        }
        for text in ["0s", ""] {
            assert!(parse_interval(text).unwrap_err().contains("greater than 0"), "{text}");
        }
    }
}
