//! Messages of D-Bus, as far as systemd needs them: bytes out of values, and values out of bytes.
//!
//! What arrives is written by somebody else: lengths are checked before anything is reserved, and
//! a message that says more than it has is an error.
//!
//! Reference: D-Bus specification, "Type System" and "Message Protocol". All of ours is
//! little-endian; what arrives may be either.

use super::wire::{Reader, Writer};
use crate::plan::cgroup::{UnitProperty, UnitValue};

/// The largest message that is read, in bytes. systemd's answers have some hundred.
pub(super) const MESSAGE_LIMIT_BYTES: usize = 1 << 20;
/// The part of a message that says how long the rest is.
pub(super) const FIXED_BYTES: usize = 16;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends before what it announced, or announces more than is read.
    #[error("a length in it is wrong")]
    Length,
    /// Not of protocol version 1, or neither little- nor big-endian.
    #[error("it is of another protocol")]
    Protocol,
    /// A string that is not UTF-8 or not ended by a NUL, or a type that is not expected there.
    #[error("a value in it is wrong")]
    Value,
}

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Call,
    Return,
    Error,
    Signal,
    /// One of a later protocol: to be ignored, says the specification.
    Other,
}

/// Whom a call is for, and what it asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    pub(super) destination: &'static str,
    pub(super) path: &'static str,
    pub(super) interface: &'static str,
    pub(super) member: &'static str,
}

/// The arguments of a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body<'a> {
    /// None.
    Empty,
    /// `s`…
    Texts(&'a [&'a str]),
    /// `ssa(sv)a(sa(sv))`: name, mode, properties; no further units.
    Start(&'a str, &'a str, &'a [UnitProperty]),
    /// `sba(sv)`: name, only until reboot, properties.
    Set(&'a str, bool, &'a [UnitProperty]),
}

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) reply_to: Option<u32>,
    pub(super) member: String,
    pub(super) error: String,
    /// The name that the bus has given whoever sent it; empty where there is no bus.
    pub(super) sender: String,
    pub(super) signature: String,
    body: Vec<u8>,
    little: bool,
}

const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SENDER: u8 = 7;
const SIGNATURE: u8 = 8;

/// Writes a call. `serial` is not 0; a call on a connection without a bus has no destination.
pub(super) fn call(method: &Method, body: Body<'_>, serial: u32, with_bus: bool) -> Vec<u8> {
    let (signature, body) = write_body(body);
    let mut out = Writer::default();
    // Little-endian, a call, no flags, protocol 1.
    out.bytes(&[b'l', 1, 0, 1]);
    out.u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    out.u32(serial);
    out.array(8, |fields| {
        let mut field = |code: u8, kind: &str, value: &str| {
            fields.align(8);
            fields.bytes(&[code]);
            fields.signature(kind);
            if kind == "g" { fields.signature(value) } else { fields.text(value) }
        };
        field(PATH, "o", method.path);
        field(INTERFACE, "s", method.interface);
        field(MEMBER, "s", method.member);
        if with_bus {
            field(DESTINATION, "s", method.destination);
        }
        if !signature.is_empty() {
            field(SIGNATURE, "g", &signature);
        }
    });
    out.align(8);
    out.bytes(&body);
    out.into_bytes()
}

fn write_body(body: Body<'_>) -> (String, Vec<u8>) {
    let mut out = Writer::default();
    let signature = match body {
        Body::Empty => String::new(),
        Body::Texts(texts) => {
            texts.iter().for_each(|text| out.text(text));
            "s".repeat(texts.len())
        }
        Body::Start(name, mode, properties) => {
            out.text(name);
            out.text(mode);
            write_properties(&mut out, properties);
            out.array(8, |_| {});
            "ssa(sv)a(sa(sv))".to_owned()
        }
        Body::Set(name, runtime, properties) => {
            out.text(name);
            out.u32(u32::from(runtime));
            write_properties(&mut out, properties);
            "sba(sv)".to_owned()
        }
    };
    (signature, out.into_bytes())
}

fn write_properties(out: &mut Writer, properties: &[UnitProperty]) {
    out.array(8, |out| {
        for property in properties {
            out.align(8);
            out.text(&property.name);
            write_variant(out, &property.value);
        }
    });
}

fn write_variant(out: &mut Writer, value: &UnitValue) {
    match value {
        UnitValue::Bool(value) => {
            out.signature("b");
            out.u32(u32::from(*value));
        }
        UnitValue::Int32(value) => {
            out.signature("i");
            out.u32(value.cast_unsigned());
        }
        UnitValue::Uint32(value) => {
            out.signature("u");
            out.u32(*value);
        }
        UnitValue::Int64(value) => {
            out.signature("x");
            out.u64(value.cast_unsigned());
        }
        UnitValue::Uint64(value) => {
            out.signature("t");
            out.u64(*value);
        }
        UnitValue::Text(value) => {
            out.signature("s");
            out.text(value);
        }
        UnitValue::Bytes(value) => {
            out.signature("ay");
            out.array(1, |out| out.bytes(value));
        }
        UnitValue::Uint32s(value) => {
            out.signature("au");
            out.array(4, |out| value.iter().for_each(|number| out.u32(*number)));
        }
        UnitValue::Texts(value) => {
            out.signature("as");
            out.array(4, |out| value.iter().for_each(|text| out.text(text)));
        }
    }
}

/// How many bytes follow the fixed part of a message.
///
/// # Errors
/// [`Malformed`], also for a message that is larger than any we expect.
pub(super) fn rest_bytes(fixed: &[u8; FIXED_BYTES]) -> Result<usize, Malformed> {
    let mut reader = Reader::of_message(fixed)?;
    reader.skip(4)?;
    let body = reader.length()?;
    reader.skip(4)?;
    let fields = reader.length()?;
    let rest = fields.checked_next_multiple_of(8).and_then(|fields| fields.checked_add(body));
    rest.filter(|rest| *rest <= MESSAGE_LIMIT_BYTES).ok_or(Malformed::Length)
}

/// Reads a whole message.
///
/// # Errors
/// [`Malformed`].
pub(super) fn parse(bytes: &[u8]) -> Result<Message, Malformed> {
    let mut reader = Reader::of_message(bytes)?;
    reader.skip(1)?;
    let kind = match reader.byte()? {
        1 => Kind::Call,
        2 => Kind::Return,
        3 => Kind::Error,
        4 => Kind::Signal,
        _ => Kind::Other,
    };
    reader.skip(2)?;
    let body_bytes = reader.length()?;
    reader.skip(4)?;
    let mut message = Message {
        kind,
        reply_to: None,
        member: String::new(),
        error: String::new(),
        sender: String::new(),
        signature: String::new(),
        body: Vec::new(),
        little: reader.is_little(),
    };
    let length = reader.length()?;
    let end = reader.at().checked_add(length).ok_or(Malformed::Length)?;
    while reader.at() < end {
        reader.align(8)?;
        let code = reader.byte()?;
        let kind = reader.signature()?;
        match (code, kind.as_str()) {
            (MEMBER, "s") => message.member = reader.text()?,
            (ERROR_NAME, "s") => message.error = reader.text()?,
            (SENDER, "s") => message.sender = reader.text()?,
            (REPLY_SERIAL, "u") => message.reply_to = Some(reader.u32()?),
            (SIGNATURE, "g") => message.signature = reader.signature()?,
            (_, "s" | "o") => drop(reader.text()?),
            (_, "u") => drop(reader.u32()?),
            (_, "g") => drop(reader.signature()?),
            _ => return Err(Malformed::Value),
        }
    }
    if reader.at() != end {
        return Err(Malformed::Length);
    }
    reader.align(8)?;
    message.body = reader.take(body_bytes)?.to_vec();
    Ok(message)
}

impl Message {
    /// The strings that the body begins with, object paths included, and one inside a variant.
    /// Numbers between them are passed over.
    pub(super) fn texts(&self) -> Result<Vec<String>, Malformed> {
        let mut reader = Reader::new(&self.body, self.little);
        let mut texts = Vec::new();
        for kind in self.signature.chars() {
            match kind {
                's' | 'o' => texts.push(reader.text()?),
                'u' => drop(reader.u32()?),
                'v' => match reader.signature()?.as_str() {
                    "s" | "o" => texts.push(reader.text()?),
                    _ => return Ok(texts),
                },
                _ => return Ok(texts),
            }
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests;
