//! `exec`: what enters a container that exists is in the very same box.

mod captured;
mod process;
mod refused;
mod same_box;
mod state;
#[cfg(feature = "fault")]
mod steps;
mod terminal;

use crate::support::{Bundle, Ran, Runtime};

/// A running container whose first process sleeps.
pub(crate) fn sleeper(runtime: &Runtime) -> Bundle {
    started(runtime, Bundle::new())
}

/// The same of another bundle.
pub(crate) fn started(runtime: &Runtime, bundle: Bundle) -> Bundle {
    let bundle = bundle.args(["/bin/sleep", "1000"]);
    runtime.create(&bundle).ok();
    runtime.start(&bundle).ok();
    bundle
}

/// Runs a program in the container, with options before its id.
fn exec(runtime: &Runtime, bundle: &Bundle, options: &[&str], command: &[&str]) -> Ran {
    runtime.call(words(bundle, options, command))
}

fn words<'a>(bundle: &'a Bundle, options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    [&["exec"], options, &[bundle.id()], command].concat()
}

/// Starts a program that stays, and gives its process id.
fn stay(runtime: &Runtime, bundle: &Bundle, options: &[&str], command: &[&str]) -> i32 {
    let file = bundle.dir().join("exec.pid");
    let file = file.to_str().unwrap();
    let options = [&["--detach", "--pid-file", file], options].concat();
    exec(runtime, bundle, &options, command).ok();
    std::fs::read_to_string(file).unwrap().parse().unwrap()
}

fn init(runtime: &Runtime, bundle: &Bundle) -> i32 {
    i32::try_from(runtime.state(bundle)["pid"].as_i64().unwrap()).unwrap()
}
