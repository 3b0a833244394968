//! Host ids: the registry, and who else has claims.

use super::{Finding, Places};
use crate::plan::facts::CallerFacts;
use crate::store::ranges::{Range, Ranges};

const AREA: &str = "ids";

pub(super) fn look(places: &Places<'_>) -> Vec<Finding> {
    match places.caller {
        None => vec![registry(places), subordinates(places)],
        Some(caller) => vec![of_a_user(caller)],
    }
}

/// Whether an engine can give a container ids that are not the user's.
fn of_a_user(caller: &CallerFacts) -> Finding {
    if let (Some(_), Some(_)) = caller.spare(Range::LENGTH) {
        let found = "there are 65536 ids beside yours: `podman run --userns=auto:size=65536` gives them \
                     to a container";
        return Finding::well(AREA, found);
    }
    Finding::poor(AREA, "there are no 65536 ids beside yours: root in every container is you").remedy(
        "have root give you 65536 in /etc/subuid and /etc/subgid, and call `podman system migrate`",
    )
}

fn registry(places: &Places<'_>) -> Finding {
    if !places.ranges.exists() {
        let found = format!("{} is made with the first container", places.ranges.display());
        return Finding::note(AREA, found);
    }
    let counted = Ranges::open(places.ranges).and_then(|ranges| ranges.count());
    match counted {
        Ok(taken) => {
            let found = format!("{taken} of {} ranges are taken", Range::COUNT);
            Finding::well(AREA, found)
        }
        Err(error) => {
            let remedy = error.hint().unwrap_or_else(|| "look at its owner and mode".to_owned());
            Finding::ill(AREA, error.to_string()).remedy(remedy)
        }
    }
}

/// Subordinate ids of people and of other tools: those in our window are passed over.
fn subordinates(places: &Places<'_>) -> Finding {
    let text = std::fs::read_to_string(places.etc.join("etc/subuid")).unwrap_or_default();
    let (window, end) = (u64::from(Range::FIRST), u64::from(Range::END));
    let claimed: u64 = text.lines().filter_map(|line| claimed(line, window, end)).sum();
    let share = claimed.saturating_mul(100) / (end - window);
    if share < 50 {
        let found = format!("/etc/subuid has {share} % of {window}-{end}, which is passed over");
        return Finding::well(AREA, found);
    }
    let found = format!("/etc/subuid has {share} % of {window}-{end}: few ranges are left");
    Finding::poor(AREA, found).remedy("give its lines ids below 524288 or above 1878982655")
}

fn claimed(line: &str, window: u64, end: u64) -> Option<u64> {
    let mut fields = line.split(':').skip(1).map(|field| field.trim().parse::<u64>());
    let (first, length) = (fields.next()?.ok()?, fields.next()?.ok()?);
    let last = first.saturating_add(length).min(end);
    last.checked_sub(first.max(window))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_in_the_window_is_a_claim() {
        assert_eq!(claimed("a:100:50", 120, 1000), Some(30));
        assert_eq!(claimed("a:2000:50", 120, 1000), None);
        assert_eq!(claimed("a:100", 120, 1000), None);
        assert_eq!(claimed("# a comment", 120, 1000), None);
    }
}
