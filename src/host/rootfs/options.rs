//! Reads the options of an overlay, as the kernel shows them.
//!
//! Reference: Documentation/filesystems/overlayfs.rst, "Multiple lower layers", "Data-only lower
//! layers".

/// The options that say what an overlay is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// The writable layer.
    pub(super) upper: Option<Vec<u8>>,
    /// Layers below it, topmost first.
    pub(super) lower: Vec<Vec<u8>>,
    /// Layers below all, which only give data to files that layers above name.
    pub(super) data: Vec<Vec<u8>>,
    /// `metacopy`, if it is not the kernel's default.
    pub(super) metacopy: Option<bool>,
    /// `userxattr`.
    pub(super) userxattr: bool,
}

/// Options without meaning for a read-only overlay of the same layers, or that every file system
/// has. `redirect_dir` is among them because following redirections is always asked for.
const DROPPED: &[&[u8]] = &[
    b"workdir",
    b"index",
    b"nfs_export",
    b"uuid",
    b"xino",
    b"volatile",
    b"fsync",
    b"redirect_dir",
    b"default_permissions",
    b"override_creds",
    b"nooverride_creds",
    b"ro",
    b"rw",
    b"sync",
    b"dirsync",
    b"lazytime",
    b"mand",
    b"seclabel",
];

/// Reads options; each is a word or `key=value`.
///
/// # Errors
/// A clause that says what is not understood: what is not known might change what is seen.
pub(super) fn parse(options: &[Vec<u8>]) -> Result<Options, String> {
    let mut parsed = Options::default();
    for option in options {
        let at = option.iter().position(|byte| *byte == b'=').unwrap_or(option.len());
        let (key, value) = option.split_at_checked(at).unwrap_or((option, &[]));
        let value = value.strip_prefix(b"=").unwrap_or(value);
        match key {
            b"lowerdir" => {
                let faulty = || "is an overlay whose `lowerdir` is not understood".to_owned();
                (parsed.lower, parsed.data) = split_layers(value).ok_or_else(faulty)?;
            }
            // One layer each, and nothing in it is escaped.
            b"lowerdir+" => parsed.lower.push(value.to_vec()),
            b"datadir+" => parsed.data.push(value.to_vec()),
            b"upperdir" => parsed.upper = Some(unescape(value)),
            b"metacopy" => parsed.metacopy = Some(value == b"on"),
            b"userxattr" => parsed.userxattr = true,
            b"verity" if value != b"off" => {
                let why = "is an overlay that checks files by fs-verity (`verity`), which one \
                           put together from its layers would not";
                return Err(why.to_owned());
            }
            b"verity" => {}
            key if DROPPED.contains(&key) => {}
            key => {
                let key = String::from_utf8_lossy(key);
                return Err(format!("is an overlay with the option `{key}`, which is not known"));
            }
        }
    }
    Ok(parsed)
}

/// Layers, and layers that hold only data.
type Layers = (Vec<Vec<u8>>, Vec<Vec<u8>>);

/// Splits `a:b::c`: a colon between layers, two before each that holds only data; a backslash
/// takes what is special from the next byte.
fn split_layers(value: &[u8]) -> Option<Layers> {
    let (mut lower, mut data) = (Vec::new(), Vec::new());
    let mut rest = value;
    let mut is_data = false;
    loop {
        let end = end_of_layer(rest);
        let (layer, after) = rest.split_at_checked(end)?;
        if layer.is_empty() {
            return None;
        }
        if is_data {
            data.push(unescape(layer));
        } else if data.is_empty() {
            lower.push(unescape(layer));
        } else {
            return None;
        }
        (is_data, rest) = match after {
            [] => return Some((lower, data)),
            [b':', b':', rest @ ..] => (true, rest),
            [_, rest @ ..] => (false, rest),
        };
    }
}

/// Where the first colon is that has no backslash before it, or the end.
fn end_of_layer(text: &[u8]) -> usize {
    let mut escaped = false;
    let ends = |byte: &u8| {
        let ends = *byte == b':' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    };
    text.iter().position(ends).unwrap_or(text.len())
}

/// Takes each backslash away that another byte follows, keeping that byte.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => plain.extend(bytes.next()),
            byte => plain.push(byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests;
