//! One pass over the bytes, before any type is filled: what the types would not tell us.
//!
//! It finds members that stand twice, NULs, nesting and size beyond bounds, members that are
//! missing, unknown, or not applied. It allocates only for what it has to report, and for the
//! member names of free-form objects. It must never recurse deeper than [`MAX_DEPTH`].

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::pointer::Pointer;
use super::properties::{Property, Shape, Status};
use super::{NotApplied, SpecError, Unknown};

/// Deepest nesting of objects and arrays. The specification's own needs eight.
pub const MAX_DEPTH: usize = 32;

/// Most values in one document: bounds what its types take in memory. Real ones have about 1,000.
pub const MAX_VALUES: usize = 131_072;

/// Longest name of a member, in bytes: addresses are made of names, and findings keep addresses.
pub const MAX_NAME_BYTES: usize = 4096;

/// Most findings of each kind that are kept; the rest is only counted.
const MAX_FINDINGS: usize = 32;

/// What the pass found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<SpecError>,
    pub(super) unknown: Vec<Unknown>,
    pub(super) not_applied: Vec<NotApplied>,
    /// Addresses of what is for other platforms.
    pub(super) ignored: Vec<Pointer>,
    /// Findings that were not kept.
    pub(super) dropped: usize,
    /// Why the pass stopped before the end, if it was not the syntax.
    pub(super) exceeded: Option<&'static str>,
    values: usize,
}

impl Findings {
    fn fault(&mut self, at: &Path<'_>, what: impl Into<String>) {
        if self.errors.len() < MAX_FINDINGS {
            self.errors.push(SpecError::Property { at: at.pointer(), what: what.into() });
        } else {
            self.dropped += 1;
        }
    }

    fn unknown(&mut self, at: &Path<'_>, near: Option<&'static str>) {
        if self.unknown.len() < MAX_FINDINGS {
            self.unknown.push(Unknown { at: at.pointer(), near });
        } else {
            self.dropped += 1;
        }
    }

    /// Records what `property` having the value `seen` means.
    fn judge(&mut self, property: &Property, seen: Seen, at: &Path<'_>) {
        let reason = match (property.status, seen) {
            (Status::NotApplied { reason }, Seen::Something) => reason,
            (Status::OtherPlatform, Seen::Something) => {
                // As many as the table has; cannot grow with the document but by lists.
                if self.ignored.len() < MAX_FINDINGS {
                    self.ignored.push(at.pointer());
                }
                return;
            }
            _ => return,
        };
        if self.not_applied.len() < MAX_FINDINGS {
            self.not_applied.push(NotApplied { at: at.pointer(), reason });
        } else {
            self.dropped += 1;
        }
    }
}

/// Where the pass is: a list on the stack, turned into a pointer only when there is a finding.
struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    segment: Segment<'p>,
}

enum Segment<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

impl Path<'_> {
    fn pointer(&self) -> Pointer {
        let parent = self.parent.map(Path::pointer).unwrap_or_default();
        match self.segment {
            Segment::Root => parent,
            Segment::Key(name) => parent.key(name),
            Segment::Index(index) => parent.index(index),
        }
    }
}

/// What a value asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// `null`: as good as absent.
    Null,
    /// An empty string, array or free-form object: asks for nothing.
    Empty,
    /// Anything else. An object with named members asks for something even when it is empty.
    Something,
}

/// Checks the whole document. The error is the syntax error, or follows from `exceeded`.
pub(super) fn walk(text: &str, shape: &'static Shape) -> (Findings, serde_json::Result<()>) {
    let mut findings = Findings::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let root = Path { parent: None, segment: Segment::Root };
    let walk = Walk { shape, path: &root, depth: 0, findings: &mut findings };
    let result = walk.deserialize(&mut json).and_then(|_| json.end());
    (findings, result)
}

struct Walk<'a, 'p> {
    shape: &'static Shape,
    path: &'a Path<'p>,
    /// Objects and arrays around this value.
    depth: usize,
    findings: &'a mut Findings,
}

impl Walk<'_, '_> {
    fn enter<E: Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(self.exceed(TOO_DEEP)) } else { Ok(()) }
    }

    fn exceed<E: Error>(&mut self, what: &'static str) -> E {
        self.findings.exceeded = Some(what);
        E::custom(what)
    }

    fn bound_name<E: Error>(&mut self, name: &str) -> Result<(), E> {
        if name.len() > MAX_NAME_BYTES { Err(self.exceed(LONG_NAME)) } else { Ok(()) }
    }

    /// Reports the wrong type; what is inside is then nobody's.
    fn mistyped(&mut self, what: &str) -> &'static Shape {
        self.findings.fault(self.path, what);
        &Shape::Opaque
    }

    fn string(text: &str) -> Seen {
        if text.is_empty() { Seen::Empty } else { Seen::Something }
    }

    /// Reports the members that `members` requires and `present` does not have.
    fn missing(&mut self, members: &[Property], present: u64) {
        for (property, bit) in members.iter().zip(bits()) {
            if property.required && present & bit == 0 {
                let segment = Segment::Key(property.name);
                let at = Path { parent: Some(self.path), segment };
                self.findings.fault(&at, "missing; the specification requires it");
            }
        }
    }
}

/// One bit for each member of an object, in the order of the table.
fn bits() -> impl Iterator<Item = u64> {
    std::iter::successors(Some(1_u64), |bit| bit.checked_mul(2))
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        self.findings.values += 1;
        if self.findings.values > MAX_VALUES {
            let mut this = self;
            return Err(this.exceed(TOO_MANY));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Seen, E> {
        Ok(Seen::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Seen, E> {
        Ok(Seen::Something)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen::Something)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Seen, E> {
        Ok(Seen::Something)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen::Something)
    }

    /// A string without escapes; JSON forbids a bare NUL, so it has none.
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Seen, E> {
        Ok(Self::string(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Seen, E> {
        if text.contains('\0') {
            self.findings.fault(self.path, "contains a NUL");
        }
        Ok(Self::string(text))
    }

    /// `serde` takes an array for a struct, its fields in order: here it is no object.
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Seen, A::Error> {
        self.enter()?;
        let shape = match self.shape {
            Shape::List(inner) => inner,
            Shape::Opaque => &Shape::Opaque,
            Shape::Scalar => self.mistyped("invalid type: array, expected a single value"),
            Shape::Object(_) | Shape::Map(_) => {
                self.mistyped("invalid type: array, expected an object")
            }
        };
        let mut index = 0;
        loop {
            let path = Path { parent: Some(self.path), segment: Segment::Index(index) };
            let depth = self.depth;
            let walk = Walk { shape, path: &path, depth, findings: self.findings };
            if seq.next_element_seed(walk)?.is_none() {
                return Ok(if index == 0 { Seen::Empty } else { Seen::Something });
            }
            index += 1;
        }
    }

    /// `serde` takes an object with one member for an enum: here it is no word.
    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<Seen, A::Error> {
        self.enter()?;
        let shape = match self.shape {
            Shape::Object(members) => return self.object(members, map),
            Shape::Map(inner) => inner,
            Shape::Opaque => &Shape::Opaque,
            Shape::Scalar => self.mistyped("invalid type: object, expected a single value"),
            Shape::List(_) => self.mistyped("invalid type: object, expected an array"),
        };
        self.free_form(shape, map)
    }
}

impl Walk<'_, '_> {
    fn object<'de, A: MapAccess<'de>>(
        mut self,
        members: &'static [Property],
        mut map: A,
    ) -> Result<Seen, A::Error> {
        let (mut named, mut present) = (0, 0);
        let mut strangers = BTreeSet::new();
        while let Some(name) = map.next_key_seed(Name)? {
            self.bound_name(&name)?;
            let path = Path { parent: Some(self.path), segment: Segment::Key(&name) };
            let known = members.iter().zip(bits()).find(|(property, _)| property.name == name);
            let (property, bit) = known.unwrap_or((&STRANGER, 0));
            let twice = if bit == 0 { strangers.contains(&name) } else { named & bit != 0 };
            if twice {
                self.findings.fault(&path, STANDS_TWICE);
            } else if bit == 0 {
                self.findings.unknown(&path, near(members, &name));
            }
            let walk = Walk {
                shape: &property.shape,
                path: &path,
                depth: self.depth,
                findings: self.findings,
            };
            let seen = map.next_value_seed(walk)?;
            self.findings.judge(property, seen, &path);
            named |= bit;
            if seen != Seen::Null {
                present |= bit;
            }
            if bit == 0 {
                strangers.insert(name);
            }
        }
        self.missing(members, present);
        Ok(Seen::Something)
    }

    fn free_form<'de, A: MapAccess<'de>>(
        mut self,
        shape: &'static Shape,
        mut map: A,
    ) -> Result<Seen, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key_seed(Name)? {
            self.bound_name(&name)?;
            let path = Path { parent: Some(self.path), segment: Segment::Key(&name) };
            if name.contains('\0') {
                self.findings.fault(&path, "has a NUL in its name");
            }
            if names.contains(&name) {
                self.findings.fault(&path, STANDS_TWICE);
            }
            let depth = self.depth;
            let walk = Walk { shape, path: &path, depth, findings: self.findings };
            map.next_value_seed(walk)?;
            names.insert(name);
        }
        Ok(if names.is_empty() { Seen::Empty } else { Seen::Something })
    }
}

/// Stands in for the property of a member that the table does not name.
static STRANGER: Property =
    Property { name: "", status: Status::Applied, shape: Shape::Opaque, required: false };

const STANDS_TWICE: &str = "stands twice; which of the two is meant cannot be known";
const TOO_DEEP: &str = "nested deeper than 32 levels";
const LONG_NAME: &str = "a member's name of more than 4096 bytes";
const TOO_MANY: &str = "more than 131072 values";

/// The known name that differs only in letter case, which other runtimes take for the same.
fn near(members: &'static [Property], name: &str) -> Option<&'static str> {
    members.iter().map(|m| m.name).find(|known| known.eq_ignore_ascii_case(name))
}

/// Reads a member's name without copying it, unless it has escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
