//! Messages in the encoding of protocol buffers.

/// A message that is being written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap());
    }

    pub(crate) fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    pub(crate) fn text(mut self, field: u64, text: &str) -> Self {
        self.varint((field << 3) | 2);
        self.varint(u64::try_from(text.len()).unwrap());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(crate) fn texts(self, field: u64, texts: &[&str]) -> Self {
        texts.iter().fold(self, |message, text| message.text(field, text))
    }

    pub(crate) fn message(mut self, field: u64, message: &Self) -> Self {
        self.varint((field << 3) | 2);
        self.varint(u64::try_from(message.0.len()).unwrap());
        self.0.extend_from_slice(&message.0);
        self
    }
}

/// A message that was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Vec<(u64, Value)>);

#[derive(Debug, Clone)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Fields {
    pub(crate) fn read(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let value = match key & 7 {
                0 => Value::Number(varint(&mut bytes)),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)).unwrap();
                    let (value, rest) = bytes.split_at(length);
                    bytes = rest;
                    Value::Bytes(value.to_vec())
                }
                other => panic!("a field of wire type {other}"),
            };
            fields.push((key >> 3, value));
        }
        Self(fields)
    }

    /// A number; one that is missing is 0.
    pub(crate) fn number(&self, field: u64) -> u64 {
        let found = self.0.iter().find_map(|(number, value)| match value {
            Value::Number(value) if *number == field => Some(*value),
            Value::Number(_) | Value::Bytes(_) => None,
        });
        found.unwrap_or_default()
    }

    fn all(&self, field: u64) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter_map(move |(number, value)| match value {
            Value::Bytes(bytes) if *number == field => Some(bytes.as_slice()),
            Value::Number(_) | Value::Bytes(_) => None,
        })
    }

    /// A text; one that is missing is empty.
    pub(crate) fn text(&self, field: u64) -> String {
        String::from_utf8_lossy(self.all(field).next().unwrap_or_default()).into_owned()
    }

    /// A message; one that is missing is empty.
    pub(crate) fn message(&self, field: u64) -> Self {
        Self::read(self.all(field).next().unwrap_or_default())
    }

    /// A list of messages.
    pub(crate) fn messages(&self, field: u64) -> Vec<Self> {
        self.all(field).map(Self::read).collect()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return value;
        }
    }
    panic!("a number of more than 64 bits")
}

#[test]
fn what_is_written_is_read() {
    let message = Message::new()
        .number(1, 300)
        .text(2, "a")
        .message(20, &Message::new().text(1, "b"))
        .message(20, &Message::new().text(1, "c"));

    let fields = Fields::read(message.bytes());

    assert_eq!((fields.number(1), fields.text(2).as_str()), (300, "a"));
    assert_eq!(fields.messages(20).len(), 2);
    assert_eq!(fields.message(20).text(1), "b");
    assert_eq!(message.bytes()[..3], [8, 0xac, 2]);
}
