//! Against the other side of a socket pair that speaks from a script.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use super::*;
use crate::cgroup::systemd::manager::Manager;
use crate::plan::cgroup::{UnitProperty, UnitValue};

/// What a fake systemd answers to one call.
enum Says {
    /// A return with these strings, the first of them an object path if it looks like one.
    Return(&'static [&'static str]),
    /// A return with one variant.
    Variant(&'static str),
    /// An error.
    Error(&'static str, &'static str),
    /// First, the end of a job; then the answer.
    Job(&'static str, &'static str, &'static [&'static str]),
    /// A return with this object path, and some time later the ends of these jobs.
    Later(&'static str, &'static [&'static str]),
    /// First, the end of a job as another user of the bus tells it, as often as it takes to have
    /// true ones forgotten, and one that says nothing; then as [`Says::Job`].
    Forged(&'static str, &'static str),
    /// Bytes as they are.
    Raw(Vec<u8>),
}

const LATER: Duration = Duration::from_millis(30);

fn text(out: &mut Vec<u8>, text: &str) {
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    out.extend(text.bytes());
    out.push(0);
}

fn field(out: &mut Vec<u8>, code: u8, kind: &str, value: &[u8]) {
    out.resize(out.len().next_multiple_of(8), 0);
    out.extend([code, 1, kind.as_bytes()[0], 0]);
    out.extend(value);
}

fn message(
    kind: u8,
    reply_to: Option<u32>,
    texts: &[(u8, &str)],
    signature: &str,
    body: &[u8],
) -> Vec<u8> {
    let mut fields = Vec::new();
    if let Some(serial) = reply_to {
        field(&mut fields, 5, "u", &serial.to_le_bytes());
    }
    for (code, value) in texts {
        let mut bytes = Vec::new();
        text(&mut bytes, value);
        field(&mut fields, *code, "s", &bytes);
    }
    let mut bytes = vec![u8::try_from(signature.len()).unwrap()];
    bytes.extend(signature.bytes());
    bytes.push(0);
    field(&mut fields, 8, "g", &bytes);
    let mut out = vec![b'l', kind, 1, 1];
    out.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    out.extend(9_u32.to_le_bytes());
    out.extend(u32::try_from(fields.len()).unwrap().to_le_bytes());
    out.extend(fields);
    out.resize(out.len().next_multiple_of(8), 0);
    out.extend(body);
    out
}

fn job_removed(job: &str, result: &str) -> Vec<u8> {
    job_removed_by(&[(3, "JobRemoved")], job, result)
}

fn job_removed_by(fields: &[(u8, &str)], job: &str, result: &str) -> Vec<u8> {
    let mut body = 5_u32.to_le_bytes().to_vec();
    [job, "some.scope", result].iter().for_each(|one| text(&mut body, one));
    message(4, None, fields, "uoss", &body)
}

fn answer(says: &Says, serial: u32) -> Vec<u8> {
    let returned = |texts: &[&str]| {
        let (mut body, mut signature) = (Vec::new(), String::new());
        for one in texts {
            text(&mut body, one);
            signature.push(if one.starts_with('/') { 'o' } else { 's' });
        }
        message(2, Some(serial), &[], &signature, &body)
    };
    match says {
        Says::Return(texts) => returned(texts),
        Says::Variant(value) => {
            let mut body = b"\x01s\0".to_vec();
            text(&mut body, value);
            message(2, Some(serial), &[], "v", &body)
        }
        Says::Error(name, why) => {
            let mut body = Vec::new();
            text(&mut body, why);
            message(3, Some(serial), &[(4, name)], "s", &body)
        }
        Says::Job(job, result, texts) => [job_removed(job, result), returned(texts)].concat(),
        Says::Later(job, _) => returned(&[job]),
        Says::Forged(job, result) => {
            let fields = [(3, "JobRemoved"), (7, ":1.99")];
            let forged = job_removed_by(&fields, job, "done").repeat(65);
            let empty = message(4, None, &fields, "uoss", &[]);
            [job_removed(job, result), forged, empty, returned(&[job])].concat()
        }
        Says::Raw(bytes) => bytes.clone(),
    }
}

fn read_line(peer: &mut UnixStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        peer.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// A peer that lets us in and answers calls in turn; gives back the names of what was called,
/// with the last string that the call carried.
fn systemd(script: Vec<Says>) -> (OwnedFd, JoinHandle<Vec<String>>) {
    let (ours, mut peer) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let talk = std::thread::spawn(move || {
        assert_eq!(read_line(&mut peer), "\0AUTH EXTERNAL 30\r\n");
        assert_eq!(read_line(&mut peer), "BEGIN\r\n");
        peer.write_all(b"OK 0123456789abcdef0123456789abcdef\r\n").unwrap();
        let mut called = Vec::new();
        for says in script {
            let mut fixed = [0; FIXED_BYTES];
            peer.read_exact(&mut fixed).unwrap();
            let mut bytes = fixed.to_vec();
            bytes.resize(FIXED_BYTES + message::rest_bytes(&fixed).unwrap(), 0);
            peer.read_exact(&mut bytes[FIXED_BYTES..]).unwrap();
            let call = message::parse(&bytes).unwrap();
            let serial = u32::from_le_bytes(fixed[8..12].try_into().unwrap());
            called.push(format!("{} {}", call.member, call.texts().unwrap().join(" ")));
            // In pieces, as a socket may hand it over.
            for piece in answer(&says, serial).chunks(7) {
                peer.write_all(piece).unwrap();
            }
            if let Says::Later(_, jobs) = says {
                std::thread::sleep(LATER);
                jobs.iter().for_each(|job| peer.write_all(&job_removed(job, "done")).unwrap());
            }
        }
        called
    });
    (ours.into(), talk)
}

/// The answers to what every conversation with a manager begins with.
fn greeting() -> Vec<Says> {
    vec![Says::Return(&[]), Says::Return(&[]), Says::Variant("252.38-1~deb12u1")]
}

fn manager(script: Vec<Says>) -> (Manager, JoinHandle<Vec<String>>) {
    let script = greeting().into_iter().chain(script).collect();
    let (socket, talk) = systemd(script);
    (Manager::over(Bus::over(socket, true).unwrap()).unwrap(), talk)
}

fn tasks(limit: u64) -> Vec<UnitProperty> {
    vec![UnitProperty { name: "TasksMax".to_owned(), value: UnitValue::Uint64(limit) }]
}

#[test]
fn a_unit_is_started_and_its_job_waited_for() {
    let (mut manager, talk) = manager(vec![Says::Later("/job/2", &["/job/1", "/job/2"])]);
    assert_eq!(manager.version(), 252);
    let begun = Instant::now();

    manager.start("a.scope", &tasks(5)).unwrap();

    assert!(begun.elapsed() >= LATER, "{:?}", begun.elapsed());
    talk.join().unwrap();
}

#[test]
fn the_end_of_a_job_may_come_before_the_answer_that_names_it() {
    let (mut manager, talk) = manager(vec![Says::Job("/job/7", "done", &["/job/7"])]);

    manager.start("a.scope", &tasks(5)).unwrap();

    let called = talk.join().unwrap();
    assert_eq!(called[0].split(' ').next(), Some("AddMatch"));
    assert_eq!(
        &called[1..],
        [
            "Subscribe ",
            "Get org.freedesktop.systemd1.Manager Version",
            "StartTransientUnit a.scope replace"
        ]
    );
}

#[test]
fn a_job_that_fails_is_an_error_and_the_unit_is_reset() {
    let (mut manager, talk) =
        manager(vec![Says::Job("/job/7", "failed", &["/job/7"]), Says::Return(&[])]);

    let error = manager.start("a.scope", &[]).unwrap_err();

    assert_eq!(error.to_string(), "its job ended with `failed`");
    assert_eq!(talk.join().unwrap().last().unwrap(), "ResetFailedUnit a.scope");
}

/// Any user of the host may send a signal to any name on the bus, and names and numbers of jobs
/// are easily guessed.
#[test]
fn what_others_tell_of_jobs_is_not_believed() {
    let (mut manager, talk) = manager(vec![Says::Forged("/job/7", "failed"), Says::Return(&[])]);

    let error = manager.start("a.scope", &[]).unwrap_err();

    assert_eq!(error.to_string(), "its job ended with `failed`");
    talk.join().unwrap();
}

#[test]
fn a_unit_that_failed_earlier_is_reset_once_and_one_that_lives_is_left() {
    let exists = || Says::Error("org.freedesktop.systemd1.UnitExists", "Unit a.scope exists.");
    let (mut again, talk) =
        manager(vec![exists(), Says::Return(&[]), Says::Job("/job/7", "done", &["/job/7"])]);
    again.start("a.scope", &[]).unwrap();
    assert_eq!(talk.join().unwrap().len(), 3 + 3);

    let (mut taken, _) = manager(vec![exists(), Says::Return(&[]), exists()]);
    let error = taken.start("a.scope", &[]).unwrap_err();
    assert_eq!(error.to_string(), "org.freedesktop.systemd1.UnitExists: Unit a.scope exists.");
}

#[test]
fn stopping_what_is_gone_is_no_error() {
    let (mut manager, talk) = manager(vec![Says::Error(
        "org.freedesktop.systemd1.NoSuchUnit",
        "Unit a.scope not loaded.",
    )]);

    manager.stop("a.scope").unwrap();

    assert_eq!(talk.join().unwrap().last().unwrap(), "StopUnit a.scope replace");
}

#[test]
fn properties_are_set_until_the_next_boot() {
    let (mut manager, talk) = manager(vec![Says::Return(&[])]);

    manager.set("a.scope", &[]).unwrap();
    manager.set("a.scope", &tasks(5)).unwrap();

    assert_eq!(talk.join().unwrap().last().unwrap(), "SetUnitProperties a.scope");
}

#[test]
fn a_peer_that_refuses_ends_or_talks_nonsense_is_an_error() {
    let (ours, mut peer) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    peer.write_all(b"REJECTED EXTERNAL\r\n").unwrap();
    let error = Bus::over(ours.into(), true).unwrap_err();
    assert_eq!(error.to_string(), "the bus does not let us in: `REJECTED EXTERNAL`");

    let (ours, peer) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    drop(peer);
    assert!(matches!(Bus::over(ours.into(), true), Err(BusError::System(_))));

    let huge = [b"l\x02\x01\x01".as_slice(), &[0xff; 40]].concat();
    let (socket, _) = systemd(vec![Says::Raw(huge)]);
    let mut bus = Bus::over(socket, true).unwrap();
    let error = bus.call(&HELLO, Body::Empty).unwrap_err();
    assert!(matches!(error, BusError::Message(message::Malformed::Length)), "{error}");

    let (ours, mut peer) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    peer.write_all(&vec![b'x'; 4096]).unwrap();
    assert!(matches!(Bus::over(ours.into(), true), Err(BusError::Message(_))));
}

#[test]
fn nobody_at_the_socket_is_an_error_with_its_path() {
    let error = Bus::greet(Path::new("/nonexistent/bus"), true).unwrap_err();

    assert_eq!(error.to_string(), "connect to /nonexistent/bus");
}
