//! Notes for `--debug`: what the layers below say by `tracing`, one line each.
//!
//! A subscriber of our own, since all that is wanted of it is a line in the form of the log: the
//! usual one brings a registry, layers, filters and thread-local storage. It is not there unless
//! the flag is given.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::log::Log;
use super::output;

/// From here on, notes are written.
pub(super) fn begin(log: &Log) {
    if let Ok(log) = log.try_clone() {
        // Fails only if there is one already, and this is called once.
        let _ = tracing::subscriber::set_global_default(Notes { log });
    }
}

/// Writes every event of this program.
#[derive(Debug)]
struct Notes {
    log: Log,
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::DEBUG
    }

    fn event(&self, event: &Event<'_>) {
        let mut note = Note::default();
        event.record(&mut note);
        self.log.note(&output::one_line(&note.text()));
    }

    // No spans: a command does one thing.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// One event as text: its message, and then its other fields.
#[derive(Debug, Default)]
struct Note {
    message: String,
    fields: String,
}

impl Note {
    fn text(&self) -> String {
        format!("{}{}", self.message, self.fields)
    }
}

impl Visit for Note {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string does not fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
