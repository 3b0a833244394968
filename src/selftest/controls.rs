//! The controls: what must work inside. A box in which nothing works would keep every promise.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::id;

use super::inside::field;
use super::outcome::{Outcome, errno};
use super::probes::status_of;

/// The outcome of something that must work.
fn works(result: io::Result<String>) -> Outcome {
    match result {
        Ok(text) => Outcome::Succeeded(text),
        Err(error) => Outcome::Denied(errno(&error)),
    }
}

fn write_and_read(dir: &str) -> Outcome {
    let path = Path::new(dir).join(format!("casemate-try-{}", id()));
    works(
        fs::write(&path, "text")
            .and_then(|()| fs::read_to_string(&path))
            .and_then(|text| fs::remove_file(&path).map(|()| text)),
    )
}

pub(super) fn scratch() -> Outcome {
    write_and_read("/tmp")
}

pub(super) fn shared_memory() -> Outcome {
    write_and_read("/dev/shm")
}

pub(super) fn program() -> Outcome {
    works(status_of("/bin/casemate", None).map(|_| "it ran".to_owned()))
}

pub(super) fn proc() -> Outcome {
    let read = fs::read_to_string("/proc/self/status");
    works(read.map(|text| format!("pid {}", field(&text, "Pid").join(" "))))
}

pub(super) fn plain_devices() -> Outcome {
    let mut two = [1_u8; 2];
    works(
        fs::write("/dev/null", "text")
            .and_then(|()| File::open("/dev/zero")?.read_exact(&mut two))
            .and_then(|()| File::open("/dev/urandom")?.read_exact(&mut two))
            .map(|()| "all three".to_owned()),
    )
}

pub(super) fn terminal() -> Outcome {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let open = || {
        let leader = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&leader)?;
        unlockpt(&leader)?;
        let name = ptsname(&leader, Vec::new())?.to_string_lossy().into_owned();
        // It is there for as long as the leader is open.
        OpenOptions::new().read(true).write(true).open(&name).map(|_| name)
    };
    works(open())
}

pub(super) fn loopback() -> Outcome {
    // By address: a name as text would link the whole resolver.
    let talk = || {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        TcpStream::connect(listener.local_addr()?)?.write_all(b"x")?;
        listener.accept()?.0.read_exact(&mut [0])
    };
    works(talk().map(|()| "one byte".to_owned()))
}
