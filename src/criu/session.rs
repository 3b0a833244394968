//! One request to CRIU, from its start to its end.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use super::message::{self, Answer};
use super::{Criu, CriuError, Kind, Options, Outcome};
use crate::sys::{Errno, fd, socket};

/// The largest answer: mostly a clause about what went wrong.
const ANSWER_BYTES: usize = 64 << 10;

/// Where its helpers are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a line of CRIU's log has to say, if it tells of an error that matters.
#[must_use]
pub fn error_in(line: &str) -> Option<&str> {
    // Without more descriptors or tunnels it goes on; the others tell of what was told before.
    const HARMLESS: [&str; 4] = ["rlimit: ", "tun: Unable to create", "exited, status=", " FAILED"];
    let (_, rest) = line.split_once("Error (")?;
    let (_, message) = rest.split_once("): ")?;
    let harmless = HARMLESS.iter().any(|harmless| message.contains(harmless));
    (!harmless).then(|| message.trim())
}

/// A point of CRIU's work at which it waits for us.
#[derive(Debug)]
pub struct Notice<'a> {
    /// The point's name, as in criu(8), `--action-script`.
    pub point: &'a str,
    /// Init's process id here, at the points that have one.
    pub pid: Option<i32>,
    /// The descriptor that came along: a terminal's.
    pub descriptor: Option<OwnedFd>,
}

/// What is done at a point of CRIU's work.
pub type OnNotice<'a> = &'a mut dyn FnMut(Notice<'_>) -> Result<(), String>;

/// Where CRIU works, and who watches it.
#[derive(Default)]
pub struct Seat<'a> {
    /// Whether it, and with it what is restored, has our standard input, output and error.
    pub keeps_stdio: bool,
    /// Called with its process id before it begins.
    pub settle: Option<&'a mut dyn FnMut(i32) -> Result<(), String>>,
    /// Called at each point; what it fails with ends the work.
    pub notice: Option<OnNotice<'a>>,
}

impl std::fmt::Debug for Seat<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("keeps_stdio", &self.keeps_stdio).finish_non_exhaustive()
    }
}

impl Criu {
    /// Has CRIU do one thing. Descriptors that `options` name by number must be kept across exec.
    ///
    /// # Errors
    /// Any [`CriuError`] but those of looking for it.
    pub fn ask(
        &self,
        kind: Kind,
        options: Option<&Options>,
        seat: &mut Seat<'_>,
    ) -> Result<Outcome, CriuError> {
        let (ours, theirs) = socket::pair().map_err(conversation)?;
        let mut child = self.start(theirs, seat.keeps_stdio)?;
        let done = converse(&child, ours.as_fd(), &message::request(kind, options), seat);
        // A CRIU that waits for more requests ends when nobody is there to make them.
        drop(ours);
        let _ = child.wait();
        done
    }

    /// Has it say whether this kernel has what it needs.
    pub(super) fn check(&self) -> Result<(), CriuError> {
        let mut command = self.command();
        let start = |source| CriuError::Start { program: self.program.clone(), source };
        let output = command.arg("check").stdin(Stdio::null()).output().map_err(start)?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        // It goes on after the first ones.
        let said = text.lines().filter_map(error_in).next().map(ToOwned::to_owned);
        Err(failed(0, said))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Its helpers (tar, ip, iptables) are found there; nothing else may steer it.
        command.env_clear().env("PATH", PATH);
        command
    }

    fn start(&self, socket: OwnedFd, keeps_stdio: bool) -> Result<Child, CriuError> {
        let number = socket.as_raw_fd();
        fd::keep_across_exec(number).map_err(conversation)?;
        let mut command = self.command();
        command.arg("swrk").arg(number.to_string());
        if !keeps_stdio {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        }
        // Ours is closed on return: when CRIU dies, the other end is told.
        command.spawn().map_err(|source| CriuError::Start { program: self.program.clone(), source })
    }
}

fn conversation(errno: Errno) -> CriuError {
    CriuError::Conversation { errno }
}

fn converse(
    child: &Child,
    socket: BorrowedFd<'_>,
    request: &[u8],
    seat: &mut Seat<'_>,
) -> Result<Outcome, CriuError> {
    if let Some(settle) = &mut seat.settle {
        let pid = i32::try_from(child.id()).unwrap_or_default();
        settle(pid).map_err(|said| CriuError::Stopped { said })?;
    }
    socket::send(socket, request).map_err(conversation)?;
    let mut buffer = vec![0; ANSWER_BYTES];
    let mut stopped = None;
    loop {
        let (length, descriptor) =
            socket::receive_maybe_fd(socket, &mut buffer).map_err(conversation)?;
        if length == 0 {
            return Err(stopped.unwrap_or(CriuError::Ended));
        }
        let bytes = buffer.get(..length).unwrap_or_default();
        match message::answer(bytes).ok_or(CriuError::Answer)? {
            Answer::Done(outcome) => return stopped.map_or(Ok(outcome), Err),
            // What we stopped it for is the cause, not that it stopped.
            Answer::Failed { errno, message } => {
                return Err(stopped.unwrap_or_else(|| failed(errno, message)));
            }
            Answer::Notice { point, pid } => {
                tracing::debug!("criu: {point}");
                let told = Notice { point: &point, pid, descriptor };
                let answer = seat.notice.as_mut().map_or(Ok(()), |notice| notice(told));
                let go_on = answer.is_ok();
                if let Err(said) = answer {
                    stopped.get_or_insert(CriuError::Stopped { said });
                }
                let acknowledged = message::acknowledgement(go_on);
                socket::send(socket, &acknowledged).map_err(conversation)?;
            }
        }
    }
}

fn failed(errno: i32, message: Option<String>) -> CriuError {
    let said = match message.filter(|message| !message.trim().is_empty()) {
        Some(message) => message.trim().to_owned(),
        None if errno != 0 => format!("{:?}", Errno::from_raw(errno)),
        None => "it does not say why".to_owned(),
    };
    CriuError::Failed { said }
}

#[cfg(test)]
mod tests {
    use super::error_in;

    #[test]
    fn an_error_of_the_log_is_told_without_its_place() {
        let line = "(00.066) Error (criu/files-reg.c:1790): Can't lookup mount=24 for fd=0\n";
        assert_eq!(error_in(line), Some("Can't lookup mount=24 for fd=0"));
        assert_eq!(error_in("Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE"), None);
        assert_eq!(error_in("(00.1) Warn  (criu/kerndat.c:1): x"), None);
    }
}
