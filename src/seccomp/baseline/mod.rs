//! The denials that stand whatever a profile says: `profiles/seccomp/baseline.json`, as data.

mod table;

use super::condition::Test;
use super::error::SeccompError;
use table::RULES;

/// One denial.
#[derive(Debug, PartialEq, Eq)]
pub struct BaselineRule {
    /// Its name, stable once released: what a policy waives it by.
    pub id: &'static str,
    /// The calls that it is about.
    pub calls: &'static [&'static str],
    /// Any of these must hold, each of them being a list that must hold whole; none: always.
    pub(crate) when: &'static [&'static [Low]],
    /// The error number that a denied call fails with.
    pub errno: u16,
    /// When it stands.
    pub(crate) part: Part,
    /// Why the calls are denied.
    pub reason: &'static str,
    /// What is known to miss them.
    pub breaks: &'static str,
}

/// When a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Always.
    Standing,
    /// Under the level `hardened`, where writable volumes are id-mapped.
    SetIdBits,
}

/// One comparison of the low 32 bits of an argument: the kernel takes no more of these
/// arguments, so a filter that compared more could be walked around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Low {
    pub(crate) arg: u8,
    pub(crate) op: Op,
    pub(crate) value: u32,
}

/// How a [`Low`] compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// It is the value.
    Equal,
    /// It is not.
    NotEqual,
    /// It has one or more of the value's bits.
    AnyBits,
}

impl Low {
    pub(crate) fn test(self) -> Test {
        match self.op {
            Op::Equal => Test::low_equals(self.arg, self.value),
            Op::NotEqual => Test::low_equals(self.arg, self.value).not(),
            Op::AnyBits => Test::low_masked(self.arg, self.value, 0).not(),
        }
    }
}

/// Rules that the set-id rules would be worth nothing without.
const SET_ID_NEEDS: [&str; 1] = ["io-uring"];

/// Every rule, in the order of the file.
#[must_use]
pub fn baseline_rules() -> &'static [BaselineRule] {
    &RULES
}

/// The rule of that name.
#[must_use]
pub fn baseline_rule(id: &str) -> Option<&'static BaselineRule> {
    RULES.iter().find(|rule| rule.id == id)
}

/// Whether a policy may waive the rule.
pub(crate) fn may_waive(rule: &BaselineRule, set_id_bits: SetIdBits) -> bool {
    let needed = rule.part == Part::SetIdBits || SET_ID_NEEDS.contains(&rule.id);
    !(needed && set_id_bits == SetIdBits::Denied)
}

/// Checks that every waived name is that of a rule that may be waived.
///
/// # Errors
/// [`SeccompError::UnknownWaiver`] and, while set-id bits are to be denied,
/// [`SeccompError::NeededRule`].
pub fn check_waivers(waived: &[&str], set_id_bits: SetIdBits) -> Result<(), SeccompError> {
    for id in waived {
        let Some(rule) = baseline_rule(id) else {
            return Err(SeccompError::UnknownWaiver { id: (*id).to_owned() });
        };
        if !may_waive(rule, set_id_bits) {
            return Err(SeccompError::NeededRule { id: rule.id });
        }
    }
    Ok(())
}

/// Whether calls may carry the set-user-id and set-group-id bits of a file mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetIdBits {
    /// As the profile has it.
    AsGiven,
    /// Refused: needed while a writable volume is id-mapped.
    Denied,
}

#[cfg(test)]
mod tests {
    use super::super::table::lookup;
    use super::*;
    use serde_json::Value;

    fn number(value: &Value) -> u32 {
        let text = value.as_str().map(|text| text.strip_prefix("0x").unwrap());
        text.map_or_else(
            || value.as_u64().unwrap().try_into().unwrap(),
            |digits| u32::from_str_radix(digits, 16).unwrap(),
        )
    }

    fn low(test: &Value) -> Low {
        let op = match test["op"].as_str().unwrap() {
            "eq" => Op::Equal,
            "ne" => Op::NotEqual,
            "any-bits" => Op::AnyBits,
            other => panic!("{other}"),
        };
        let arg = test["arg"].as_u64().unwrap().try_into().unwrap();
        Low { arg, op, value: number(&test["value"]) }
    }

    #[test]
    fn the_file_and_the_table_agree() {
        let file: Value =
            serde_json::from_str(include_str!("../../../profiles/seccomp/baseline.json")).unwrap();
        let rules = file["rules"].as_array().unwrap();

        assert_eq!(rules.len(), RULES.len());
        for (json, rule) in rules.iter().zip(&RULES) {
            assert_eq!(json["id"], rule.id);
            assert_eq!(json["reason"], rule.reason);
            assert_eq!(json["breaks"], rule.breaks);
            let calls: Vec<_> =
                json["calls"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
            assert_eq!(calls, rule.calls);
            let errno = match json["errno"].as_str().unwrap() {
                "EPERM" => 1,
                "ENOSYS" => 38,
                "EPROTONOSUPPORT" => 93,
                "EAFNOSUPPORT" => 97,
                other => panic!("{other}"),
            };
            assert_eq!(errno, rule.errno, "{}", rule.id);
            let part = json.get("part").map_or(Part::Standing, |_| Part::SetIdBits);
            assert_eq!(part, rule.part, "{}", rule.id);
            let when: Vec<Vec<Low>> = json.get("when").map_or(Vec::new(), |alternatives| {
                let lists = alternatives.as_array().unwrap().iter();
                lists.map(|list| list.as_array().unwrap().iter().map(low).collect()).collect()
            });
            assert_eq!(when, rule.when.iter().map(|l| l.to_vec()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_rule_has_a_name_of_its_own_and_known_calls() {
        for (place, rule) in RULES.iter().enumerate() {
            assert!(RULES[..place].iter().all(|other| other.id != rule.id), "{}", rule.id);
            for call in rule.calls {
                assert!(lookup(call).is_some(), "{call}");
            }
        }
    }

    #[test]
    fn waivers_are_checked() {
        let said = |waived: &[&str], bits| {
            check_waivers(waived, bits).map_err(|error| error.to_string()).err()
        };

        assert_eq!(said(&["io-uring", "mount.chroot"], SetIdBits::AsGiven), None);
        assert_eq!(
            said(&["chroot"], SetIdBits::AsGiven).unwrap(),
            "no rule of the baseline is called `chroot`"
        );
        assert_eq!(
            said(&["io-uring"], SetIdBits::Denied).unwrap(),
            "`io-uring` cannot be waived: set-id files could be made on id-mapped volumes"
        );
    }
}
