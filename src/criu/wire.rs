//! The wire format of protocol buffers, as far as CRIU's messages need it: numbers, texts and
//! messages within messages.
//!
//! By hand because it is so little: a generator and its library would be more code than this, and
//! a message of CRIU's is read by nobody else here.

/// A message that is being written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Writer(Vec<u8>);

/// How a value is written.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

impl Writer {
    /// A number. Negative ones are written as 64 bits, as the format wants them.
    pub(super) fn number(&mut self, field: u64, value: i64) {
        self.varint(field << 3 | VARINT);
        self.varint(value.cast_unsigned());
    }

    /// A flag, if it is set: unset is what every flag of CRIU's means when it is missing.
    pub(super) fn flag(&mut self, field: u64, value: bool) {
        if value {
            self.number(field, 1);
        }
    }

    /// A text.
    pub(super) fn text(&mut self, field: u64, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// A message within this one.
    pub(super) fn message(&mut self, field: u64, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }

    /// What was written.
    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | BYTES);
        self.varint(u64::try_from(value.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(value);
    }

    fn varint(&mut self, mut value: u64) {
        loop {
            let low = u8::try_from(value & 0x7f).unwrap_or_default();
            value >>= 7;
            if value == 0 {
                self.0.push(low);
                return;
            }
            self.0.push(low | 0x80);
        }
    }
}

/// A value as it stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A number, a flag or a member of an enumeration.
    Number(i64),
    /// A text or a message.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The number, if it is one.
    pub(super) fn number(self) -> Option<i64> {
        match self {
            Self::Number(value) => Some(value),
            Self::Bytes(_) => None,
        }
    }

    /// The bytes, if it is a text or a message.
    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Number(_) => None,
            Self::Bytes(value) => Some(value),
        }
    }

    /// The text, if it is one.
    pub(super) fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

/// Splits a message into its fields, in their order; `None` if it is not a message.
pub(super) fn fields(mut message: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let value = match key & 7 {
            VARINT => Value::Number(varint(&mut message)?.cast_signed()),
            BYTES => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                Value::Bytes(take(&mut message, length)?)
            }
            FIXED64 => Value::Bytes(take(&mut message, 8)?),
            FIXED32 => Value::Bytes(take(&mut message, 4)?),
            _ => return None,
        };
        found.push((key >> 3, value));
    }
    Some(found)
}

fn take<'a>(from: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(taken)
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(from, 1)?.first().copied()?;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mut writer = Writer::default();
        writer.number(1, 300);
        writer.number(2, -1);
        writer.flag(3, false);
        writer.text(16, "mnt[/a]:b");
        writer.message(4, |inner| inner.number(1, 7));

        let bytes = writer.finish();

        let read = fields(&bytes).unwrap();
        assert_eq!(read[0], (1, Value::Number(300)));
        assert_eq!(read[1], (2, Value::Number(-1)));
        assert_eq!(read[2].1.text(), Some("mnt[/a]:b"));
        assert_eq!(read[2].0, 16);
        let inner = fields(read[3].1.bytes().unwrap()).unwrap();
        assert_eq!(inner, [(1, Value::Number(7))]);
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        // The examples of the encoding's own documentation.
        let mut writer = Writer::default();
        writer.number(1, 150);
        writer.text(2, "testing");

        assert_eq!(writer.finish(), b"\x08\x96\x01\x12\x07testing");
    }

    #[test]
    fn a_message_that_is_cut_short_is_none() {
        for bytes in
            [&b"\x08"[..], b"\x08\x96", b"\x12\x07test", b"\x0b", b"\x12\xff\xff\xff\xff\x7f"]
        {
            assert_eq!(fields(bytes), None, "{bytes:?}");
        }
        assert_eq!(fields(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), None);
    }
}
