//! Findings, grouped by promise: a table for people, JSON for programs, one verdict for scripts.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::outcome::{Finding, Promise, Verdict};

/// How much of a report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// A line for each promise; below it what failed, and what could not be tried.
    Promises,
    /// Every attempt as well.
    Attempts,
}

/// Whether the table may use the terminal's colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Text only.
    Plain,
    /// Verdicts in green, yellow and red.
    Colour,
}

/// What was found, for all promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    findings: Vec<Finding>,
    absent: Vec<(Promise, String)>,
}

impl Report {
    /// Puts a report together. A promise for which nothing was tried is broken, unless it is
    /// among the `absent` ones, which say why there was nothing to try.
    #[must_use]
    pub fn new(findings: Vec<Finding>, absent: Vec<(Promise, String)>) -> Self {
        Self { findings, absent }
    }

    /// The findings of one promise.
    fn of(&self, promise: Promise) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.promise == promise)
    }

    fn absence(&self, promise: Promise) -> Option<&str> {
        let mut absent = self.absent.iter();
        absent.find(|(of, _)| *of == promise).map(|(_, why)| why.as_str())
    }

    /// The verdict on one promise: the worst finding; not proven only if nothing is.
    #[must_use]
    pub fn verdict(&self, promise: Promise) -> Verdict {
        let verdicts: Vec<_> = self.of(promise).map(Finding::verdict).collect();
        if verdicts.contains(&Verdict::Broken) {
            Verdict::Broken
        } else if verdicts.contains(&Verdict::Holds) {
            Verdict::Holds
        } else if verdicts.is_empty() && self.absence(promise).is_none() {
            Verdict::Broken
        } else {
            Verdict::Unproven
        }
    }

    /// The verdict on all: holds only if each does, absent ones apart.
    #[must_use]
    pub fn overall(&self) -> Verdict {
        let tried = Promise::ALL.into_iter().filter(|promise| {
            self.absence(*promise).is_none() || self.of(*promise).next().is_some()
        });
        tried.map(|promise| self.verdict(promise)).max().unwrap_or(Verdict::Broken)
    }

    /// The exit status: 0 only if every promise holds, else 1.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        u8::from(self.overall() != Verdict::Holds)
    }

    /// The table for people.
    #[must_use]
    pub fn table(&self, detail: Detail, paint: Paint) -> String {
        let mut out = format!(
            "    {:<36} {:>5}  {:<11} happened (expected)\n",
            "promise", "tried", "verdict"
        );
        for promise in Promise::ALL {
            let happened = match (self.absence(promise), self.of(promise).next()) {
                (Some(why), None) => format!("not attempted: {why}"),
                (None, None) => "nothing was attempted".to_owned(),
                (_, Some(_)) => self.happened(promise),
            };
            line(
                &mut out,
                format_args!(
                    "{:<3} {:<36} {:>5}  {} {happened}",
                    promise.name(),
                    promise.title(),
                    self.of(promise).count(),
                    painted(self.verdict(promise), 11, paint),
                ),
            );
            self.attempts(&mut out, promise, detail, paint);
        }
        let (held, all) = (self.count(Verdict::Holds), self.findings.len());
        line(
            &mut out,
            format_args!(
                "{}: {held} of {all} attempts ended as promised, {} failed, {} could not be tried",
                painted(self.overall(), 0, paint),
                self.count(Verdict::Broken),
                self.count(Verdict::Unproven),
            ),
        );
        out
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict() == verdict).count()
    }

    /// `EPERM 21, ENOSYS 3 (expected EPERM or ENOSYS)`: what happened, most frequent first.
    fn happened(&self, promise: Promise) -> String {
        let mut words = BTreeMap::<_, usize>::new();
        let mut expected = Vec::new();
        for finding in self.of(promise) {
            *words.entry(finding.outcome.word()).or_default() += 1;
            for part in finding.expect.text().split(" or ").map(str::to_owned) {
                if !expected.contains(&part) {
                    expected.push(part);
                }
            }
        }
        let mut words: Vec<_> = words.into_iter().collect();
        words.sort_unstable_by(|(one, few), (other, many)| many.cmp(few).then(one.cmp(other)));
        let words: Vec<_> = words.into_iter().map(|(word, n)| format!("{word} {n}")).collect();
        format!("{} ({})", words.join(", "), expected.join(", "))
    }

    /// The indented lines below a promise.
    fn attempts(&self, out: &mut String, promise: Promise, detail: Detail, paint: Paint) {
        for finding in self.of(promise) {
            let verdict = finding.verdict();
            if verdict == Verdict::Holds && detail == Detail::Promises {
                continue;
            }
            line(
                out,
                format_args!(
                    "      {} {}: {}: {}",
                    painted(verdict, 0, paint),
                    finding.id,
                    finding.what,
                    said(finding),
                ),
            );
            if verdict == Verdict::Broken {
                line(
                    out,
                    format_args!(
                        "        expected {}; {}",
                        finding.expect.text(),
                        promise.remedy(),
                    ),
                );
            }
        }
    }

    /// The report as one JSON document.
    #[must_use]
    pub fn json(&self) -> Value {
        let promises: Vec<_> = Promise::ALL
            .into_iter()
            .map(|promise| {
                json!({
                    "promise": promise.name(),
                    "title": promise.title(),
                    "verdict": self.verdict(promise).name(),
                    "absent": self.absence(promise),
                    "attempts": self.of(promise).map(attempt).collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({"verdict": self.overall().name(), "promises": promises})
    }
}

fn attempt(finding: &Finding) -> Value {
    json!({
        "id": finding.id,
        "what": finding.what,
        "expected": finding.expect.text(),
        "happened": finding.outcome.word(),
        "detail": finding.outcome.detail(),
        "verdict": finding.verdict().name(),
    })
}

/// What happened, with its detail.
fn said(finding: &Finding) -> String {
    match finding.outcome.detail() {
        "" => finding.outcome.word(),
        detail => format!("{}: {detail}", finding.outcome.word()),
    }
}

/// The verdict's word, filled up to a width that colours do not count towards.
fn painted(verdict: Verdict, width: usize, paint: Paint) -> String {
    let word = format!("{:<width$}", verdict.name());
    let colour = match verdict {
        Verdict::Holds => 32,
        Verdict::Unproven => 33,
        Verdict::Broken => 31,
    };
    match paint {
        Paint::Plain => word,
        Paint::Colour => format!("\x1b[{colour}m{word}\x1b[0m"),
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}
