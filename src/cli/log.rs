//! The log that an engine names, and what stands in it.
//!
//! Engines parse it: Podman reads the whole file as one JSON object, containerd takes the last
//! line and gives up at the first that it cannot decode. So a command that is done writes nothing,
//! and one that fails writes exactly one record. Only `--debug` asks for more.

use std::fmt::Write as _;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use clap::ValueEnum;
use serde::Serialize;

use super::output;
use crate::ops::OpsError;
use crate::store::rfc3339;

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// `time="..." level=error msg="..."`
    Text,
    /// `{"level":"error","msg":"...","time":"..."}`
    Json,
}

/// How much a record matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// The command failed.
    Error,
    /// Said because `--debug` was given.
    Debug,
}

/// One record.
#[derive(Debug, Serialize)]
struct Record<'a> {
    level: Severity,
    msg: &'a str,
    time: String,
}

/// Where records go.
#[derive(Debug)]
pub(super) struct Log {
    file: Option<File>,
    format: Format,
    /// How much was in it already, in bytes.
    stale: u64,
}

impl Log {
    /// No log: errors are on standard error alone.
    pub(super) const fn none() -> Self {
        Self { file: None, format: Format::Text, stale: 0 }
    }

    /// Opens the log for appending, and makes it if it is not there.
    ///
    /// Links are followed: `/dev/stderr` is one, and whoever may name the file here may write to
    /// it anyway.
    pub(super) fn open(path: Option<&Path>, format: Format) -> Result<Self, OpsError> {
        let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
            return Ok(Self { file: None, format, stale: 0 });
        };
        // Not blocking: a pipe without a reader must not hold a container up.
        let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
        let opened =
            OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path);
        match opened {
            Ok(file) => {
                let stale = file.metadata().map_or(0, |found| found.len());
                Ok(Self { file: Some(file), format, stale })
            }
            Err(error) => {
                let doing = format!("open the log {}", path.display());
                Err(OpsError::failed(doing, output::number(&error))
                    .hint("name a file in a directory that is there with `--log`"))
            }
        }
    }

    /// Another handle on the same log.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let file = self.file.as_ref().map(File::try_clone).transpose()?;
        Ok(Self { file, format: self.format, stale: self.stale })
    }

    /// Writes an error down, if there is a log. What an earlier command left in a file goes:
    /// Podman names the same one when it tries again, and reads it as one document.
    pub(super) fn error(&self, message: &str) {
        if let Some(file) = &self.file {
            let stale = |found: Metadata| found.is_file() && found.len() == self.stale;
            if self.format == Format::Json && file.metadata().is_ok_and(stale) {
                let _ = file.set_len(0);
            }
            append(file, &self.line(Severity::Error, message));
        }
    }

    /// Writes a note to the log, or to standard error if there is none.
    pub(super) fn note(&self, message: &str) {
        let line = self.line(Severity::Debug, message);
        match &self.file {
            Some(file) => append(file, &line),
            None => append(io::stderr().lock(), &line),
        }
    }

    fn line(&self, level: Severity, message: &str) -> String {
        line(self.format, &Record { level, msg: message, time: rfc3339(SystemTime::now()) })
    }
}

/// One record in one call, so that records of several commands do not mix.
fn append(mut file: impl Write, line: &str) {
    // Nobody is left to tell: what matters is on standard error as well.
    let _ = file.write_all(line.as_bytes());
}

fn line(format: Format, record: &Record<'_>) -> String {
    let mut line = String::new();
    // Neither fails: a string takes everything, and all that is written is text.
    let _ = match format {
        Format::Json => {
            let json = serde_json::to_string(record).unwrap_or_default();
            writeln!(line, "{json}")
        }
        Format::Text => {
            let level = match record.level {
                Severity::Error => "error",
                Severity::Debug => "debug",
            };
            let quoted = serde_json::to_string(record.msg).unwrap_or_default();
            writeln!(line, "time=\"{}\" level={level} msg={quoted}", record.time)
        }
    };
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(level: Severity) -> Record<'static> {
        let time = "2026-08-01T09:30:00.000000001Z".to_owned();
        Record { level, msg: "create `a`: no \"b\"", time }
    }

    #[test]
    fn a_record_in_json_is_the_object_that_engines_decode() {
        assert_eq!(
            line(Format::Json, &record(Severity::Error)),
            "{\"level\":\"error\",\"msg\":\"create `a`: no \\\"b\\\"\",\
             \"time\":\"2026-08-01T09:30:00.000000001Z\"}\n"
        );
    }

    #[test]
    fn a_record_in_text_is_as_other_runtimes_write_it() {
        assert_eq!(
            line(Format::Text, &record(Severity::Debug)),
            "time=\"2026-08-01T09:30:00.000000001Z\" level=debug msg=\"create `a`: no \\\"b\\\"\"\n"
        );
    }

    #[test]
    fn an_empty_name_means_no_log() {
        assert!(Log::open(Some(Path::new("")), Format::Json).unwrap().file.is_none());
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_an_error() {
        let path = Path::new("/proc/no/such/directory");

        let error = Log::open(Some(path), Format::Json).unwrap_err();

        assert_eq!(error.to_string(), "open the log /proc/no/such/directory: ENOENT");
    }
}
