//! casemate's own places: the program, the policy, the state, the audit record.

use std::path::Path;

use super::{Finding, Health, Places};
use crate::host::policy_file;
use crate::policy::{self, Exception, Level, Policy};
use crate::store::Store;

const AREA: &str = "casemate";

/// How long before an exception ends it is worth a line.
const SOON_DAYS: u32 = 14;

pub(super) fn look(places: &Places<'_>) -> Vec<Finding> {
    let mut findings = vec![program(), state(places), audit(places)];
    match read_policy(places) {
        Ok(policy) => {
            findings.push(level(&policy));
            findings.extend(policy.exceptions.iter().filter_map(|it| ending(it, places.today)));
        }
        Err(why) => findings.push(
            Finding::ill(AREA, why).remedy("mend the policy file, or take it away for `hardened`"),
        ),
    }
    findings
}

fn program() -> Finding {
    let path = std::env::current_exe().unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    Finding::well(AREA, format!("version {version} at {}", path.display()))
}

fn state(places: &Places<'_>) -> Finding {
    let listed = Store::open(places.root).and_then(|store| store.list());
    match listed {
        Ok(all) => {
            Finding::well(AREA, format!("{} containers in {}", all.len(), places.root.display()))
        }
        Err(error) => {
            let remedy = error.hint().unwrap_or_else(|| "look at its owner and mode".to_owned());
            Finding::ill(AREA, error.to_string()).remedy(remedy)
        }
    }
}

fn audit(places: &Places<'_>) -> Finding {
    let dir = places.audit.parent().unwrap_or(Path::new("/"));
    let near = if dir.exists() { dir } else { dir.parent().unwrap_or(Path::new("/")) };
    if rustix::fs::access(near, rustix::fs::Access::WRITE_OK).is_ok() {
        return Finding::well(AREA, format!("the audit record is {}", places.audit.display()));
    }
    Finding::poor(AREA, format!("the audit record {} cannot be written", places.audit.display()))
        .remedy(format!("mount {} writable", near.display()))
}

fn read_policy(places: &Places<'_>) -> Result<Policy, String> {
    let read = policy_file::read(places.policy).map_err(|error| error.to_string())?;
    let Some((file, text)) = read else { return Ok(Policy::default()) };
    policy::parse(&file, &text).map_err(|error| error.to_string())
}

fn level(policy: &Policy) -> Finding {
    let exceptions = match policy.exceptions.len() {
        0 => String::new(),
        1 => ", with one exception".to_owned(),
        count => format!(", with {count} exceptions"),
    };
    let found = format!("the level is `{}` ({}){exceptions}", policy.level, policy.source);
    match policy.level {
        Level::Hardened => Finding::well(AREA, found),
        Level::Audit => Finding::poor(AREA, format!("{found}: nothing is held back")).remedy(
            "read what would be refused in the audit record, then set level = \"hardened\"",
        ),
    }
}

fn ending(exception: &Exception, today: &str) -> Option<Finding> {
    let day = exception.expires.as_ref()?.to_string();
    let (id, line) = (&exception.id, exception.line);
    if today > day.as_str() {
        let found = format!("exception `{id}` (line {line}) ended on {day}");
        return Some(
            Finding::new(AREA, Health::Poor, found)
                .remedy("renew it, or take it out of the policy"),
        );
    }
    let left = days(&day)?.checked_sub(days(today)?)?;
    (left <= SOON_DAYS).then(|| {
        Finding::note(AREA, format!("exception `{id}` (line {line}) ends on {day}"))
            .remedy("renew it if it is still needed")
    })
}

/// Days of a date from a day in the past, to compare: months count 31 days, so that a wait is
/// never longer than it seems.
fn days(date: &str) -> Option<u32> {
    let mut parts = date.split('-').map(str::parse::<u32>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    year.checked_mul(372)?.checked_add(month.checked_mul(31)?)?.checked_add(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(expires: &str, today: &str) -> Option<String> {
        let text = format!(
            "level = \"hardened\"\n[[exception]]\nid = \"e\"\nreason = \"r\"\nexpires = {expires}\n\
             waive = [\"ns.no-host-ipc\"]\n"
        );
        let policy = policy::parse("p.toml", &text).unwrap();
        ending(&policy.exceptions[0], today).map(|finding| finding.found)
    }

    #[test]
    fn an_exception_is_told_of_before_and_after_its_end() {
        assert_eq!(said("2030-06-30", "2030-06-01"), None);
        let soon = said("2030-07-02", "2030-06-25").unwrap();
        assert_eq!(soon, "exception `e` (line 2) ends on 2030-07-02");
        let over = said("2030-06-30", "2030-07-01").unwrap();
        assert_eq!(over, "exception `e` (line 2) ended on 2030-06-30");
    }
}
