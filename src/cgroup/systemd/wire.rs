//! Bytes in the order and with the padding of D-Bus.

use super::message::Malformed;

/// Bytes to be sent, little-endian.
#[derive(Debug, Default)]
pub(super) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Zeros up to a multiple of `to`, counted from the beginning.
    pub(super) fn align(&mut self, to: usize) {
        self.out.resize(self.out.len().next_multiple_of(to), 0);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.align(8);
        self.bytes(&value.to_le_bytes());
    }

    /// A string or an object path.
    pub(super) fn text(&mut self, text: &str) {
        self.u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.bytes(text.as_bytes());
        self.bytes(&[0]);
    }

    /// A signature: shorter than 256 bytes, as all of ours are.
    pub(super) fn signature(&mut self, text: &str) {
        self.bytes(&[u8::try_from(text.len()).unwrap_or(u8::MAX)]);
        self.bytes(text.as_bytes());
        self.bytes(&[0]);
    }

    /// An array whose elements are aligned to `to`. Its length is that of the elements alone.
    pub(super) fn array(&mut self, to: usize, elements: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length_at = self.out.len().saturating_sub(4);
        self.align(to);
        let begin = self.out.len();
        elements(self);
        let length = u32::try_from(self.out.len().saturating_sub(begin)).unwrap_or(u32::MAX);
        if let Some(place) = self.out.get_mut(length_at..length_at.saturating_add(4)) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

/// Bytes that arrived, read from the front.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    little: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], little: bool) -> Self {
        Self { bytes, at: 0, little }
    }

    /// The beginning of a message, whose first byte says the order of the others.
    pub(super) fn of_message(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match (bytes.first(), bytes.get(3)) {
            (Some(b'l'), Some(1)) => Ok(Self::new(bytes, true)),
            (Some(b'B'), Some(1)) => Ok(Self::new(bytes, false)),
            (None, _) | (_, None) => Err(Malformed::Length),
            (Some(_), Some(_)) => Err(Malformed::Protocol),
        }
    }

    pub(super) fn is_little(&self) -> bool {
        self.little
    }

    /// How far reading has come.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(Malformed::Length)?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed::Length)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn skip(&mut self, length: usize) -> Result<(), Malformed> {
        self.take(length).map(drop)
    }

    pub(super) fn align(&mut self, to: usize) -> Result<(), Malformed> {
        let next = self.at.checked_next_multiple_of(to).ok_or(Malformed::Length)?;
        self.skip(next.saturating_sub(self.at))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.take(1)?.first().copied().ok_or(Malformed::Length)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.align(4)?;
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed::Length)?;
        Ok(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    /// A number that is a length.
    pub(super) fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.u32()?).map_err(|_| Malformed::Length)
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let length = self.length()?;
        self.ended(length)
    }

    pub(super) fn signature(&mut self) -> Result<String, Malformed> {
        let length = usize::from(self.byte()?);
        self.ended(length)
    }

    fn ended(&mut self, length: usize) -> Result<String, Malformed> {
        let text = self.take(length)?;
        if self.byte()? != 0 {
            return Err(Malformed::Value);
        }
        std::str::from_utf8(text).map(str::to_owned).map_err(|_| Malformed::Value)
    }
}
