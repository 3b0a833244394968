//! Every option of every subcommand stands before the container's id or after it, as callers
//! like. The options come from the definition itself: a new one cannot be forgotten here.

use std::ffi::OsString;

use clap::{Arg, CommandFactory, Parser};

use super::arguments::Cli;
use super::quick;

/// Words for options that take a value: one of them must make sense to each.
const VALUES: [&str; 11] =
    ["7", "/x", "json", "table", "A=b", "9s", "CAP_KILL", "soft", "1:2", "L3:0=f", "1-2"];

/// What a line is understood as; `None` if it is not.
fn understood(words: &[String]) -> Option<String> {
    let all =
        || ["casemate"].into_iter().map(OsString::from).chain(words.iter().map(OsString::from));
    let cli = Cli::try_parse_from(all()).ok()?;
    let said = format!("{:?}", cli.command?);
    if let Some(quick) = quick::quickly(&all().collect::<Vec<_>>()) {
        assert_eq!(format!("{:?}", quick.command.unwrap()), said, "{words:?}");
    }
    Some(said)
}

/// Every way to write an option with each of its values.
fn spellings(option: &Arg) -> Vec<Vec<String>> {
    let longs = option.get_long_and_visible_aliases().unwrap_or_default();
    let hidden = option.get_all_aliases().unwrap_or_default();
    let mut longs: Vec<_> = longs.into_iter().chain(hidden).map(|it| format!("--{it}")).collect();
    longs.dedup();
    let shorts = option.get_short_and_visible_aliases().unwrap_or_default();
    let shorts: Vec<_> = shorts.into_iter().map(|it| format!("-{it}")).collect();
    if !option.get_action().takes_values() {
        return longs.into_iter().chain(shorts).map(|word| vec![word]).collect();
    }
    let own = option.get_possible_values();
    let own = own.iter().map(|value| value.get_name().to_owned());
    let values: Vec<_> = own.chain(VALUES.map(str::to_owned)).collect();
    let mut all = Vec::new();
    for value in values {
        all.extend(longs.iter().map(|word| vec![format!("{word}={value}")]));
        let apart = longs.iter().chain(&shorts);
        all.extend(apart.map(|word| vec![word.clone(), value.clone()]));
    }
    all
}

fn line(parts: &[&[String]]) -> Vec<String> {
    parts.concat()
}

/// How many spellings of `option` were tried: with none, nobody knows whether it works.
fn sweep(subcommand: &[String], option: &Arg, needed: &[String]) -> usize {
    let id = ["web-1".to_owned()];
    let plain = understood(&line(&[subcommand, &id, needed]));
    let mut tried = 0;
    for spelling in spellings(option) {
        let Some(before) = understood(&line(&[subcommand, &spelling, &id, needed])) else {
            continue;
        };
        // A default, said aloud.
        if Some(&before) == plain.as_ref() {
            continue;
        }
        tried += 1;
        let after = understood(&line(&[subcommand, &id, &spelling, needed]));
        assert_eq!(after.as_ref(), Some(&before), "{subcommand:?} {spelling:?} after the id");
    }
    tried
}

#[test]
fn every_option_stands_before_and_after_the_id() {
    let whole = Cli::command();
    let mut swept = 0;
    for subcommand in whole.get_subcommands() {
        let named = |arg: &&Arg| arg.is_positional() && arg.get_id() == "id";
        if !subcommand.get_arguments().any(|arg| named(&arg)) {
            continue;
        }
        let name = [subcommand.get_name().to_owned()];
        let needs: [&[String]; 2] = [&[], &["sh".to_owned()]];
        for option in subcommand.get_arguments().filter(|arg| !arg.is_positional()) {
            let tried: usize = needs.iter().map(|needed| sweep(&name, option, needed)).sum();
            assert!(tried > 0, "{name:?}: no value for {option:?}: add one to VALUES");
            swept += 1;
        }
    }
    assert!(swept > 70, "only {swept} options have been found");
}
