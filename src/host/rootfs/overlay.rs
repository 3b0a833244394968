//! Takes an overlay apart: finds the directories that it is made of, and makes sure of them.

use rustix::fs::{FileType, Stat, stat, statfs};

use super::filesystem::{Class, Filesystem};
use super::options::{self, Options};
use crate::plan::action::Overlay;
use crate::plan::text::{HostPath, RootedPath};
use crate::sys::statmount::Mount;

/// The kernel's `OVL_MAX_STACK`: the most lower layers of an overlay.
const MOST_LAYERS: usize = 500;

/// What the kernel does where an overlay has no `metacopy` option.
const METACOPY_DEFAULT: &str = "/sys/module/overlay/parameters/metacopy";

/// Why an overlay cannot be put together from its layers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The reason, as a clause about the root file system.
    Unmappable(String),
    /// The top layer's path leads to another directory now.
    Replaced {
        /// That path.
        layer: String,
    },
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Unmappable(why)
    }
}

/// Finds the layers of the overlay `mount` that `path` lies on; `inode` is that of `path`.
pub(super) fn take_apart(mount: &Mount, path: &HostPath, inode: u64) -> Result<Overlay, Fault> {
    let options = options::parse(&mount.options)?;
    let (root, point) = (text(&mount.root)?, text(&mount.mount_point)?);
    let subdirectory = subdirectory(root, point, path.as_str())?;
    let inode = root_inode(root, point, path, inode);
    let names = Names::of(&options)?;
    let anchor = names.anchor(point, inode);
    let mut overlay = Overlay {
        layers: names.resolve(&names.layers, anchor.as_deref())?,
        data_layers: names.resolve(&names.data, anchor.as_deref())?,
        subdirectory,
        metacopy: false,
        userxattr: options.userxattr,
    };
    check(&overlay, inode)?;
    overlay.metacopy = options.metacopy.unwrap_or_else(|| {
        !options.userxattr && std::fs::read(METACOPY_DEFAULT).is_ok_and(|it| it.starts_with(b"Y"))
    });
    Ok(overlay)
}

/// Layers by the names that the mount has for them.
struct Names<'mount> {
    upper: Option<&'mount str>,
    /// The upper one too.
    layers: Vec<&'mount str>,
    data: Vec<&'mount str>,
}

impl<'mount> Names<'mount> {
    fn of(options: &'mount Options) -> Result<Self, Fault> {
        let upper = options.upper.as_deref().map(text).transpose()?;
        let lower = options.lower.iter().map(|layer| text(layer));
        let layers = upper.into_iter().map(Ok).chain(lower).collect::<Result<Vec<_>, _>>()?;
        let data = options.data.iter().map(|layer| text(layer)).collect::<Result<_, _>>()?;
        if layers.is_empty() {
            return Err("is an overlay that does not say what its layers are".to_owned().into());
        }
        if layers.len() > MOST_LAYERS {
            let count = layers.len();
            let why = format!("is an overlay of {count} layers, more than {MOST_LAYERS}");
            return Err(why.into());
        }
        Ok(Self { upper, layers, data })
    }

    /// The directory that relative names were meant from, if it can be told.
    ///
    /// Engines go there to mount, to keep the list of layers short. One that gives its upper
    /// directory in full means the directory of all layers' directories. Otherwise it is one
    /// above the mount point, the one where the top layer is the directory that is mounted.
    fn anchor(&self, point: &str, inode: Option<u64>) -> Option<String> {
        let names = self.layers.iter().chain(&self.data);
        if names.copied().all(|name| name.starts_with('/')) {
            return None;
        }
        if let Some(upper) = self.upper.filter(|upper| upper.starts_with('/')) {
            return parent(parent(upper)?).map(str::to_owned);
        }
        let top = self.layers.first()?;
        let above = std::iter::successors(parent(point), |dir| parent(dir));
        let same = |dir: &&str| {
            let found = stat(format!("{dir}/{top}"));
            inode.is_some() && found.ok().map(|found| found.st_ino) == inode
        };
        above.filter(|dir| !dir.is_empty()).find(same).map(str::to_owned)
    }

    fn resolve(&self, names: &[&str], anchor: Option<&str>) -> Result<Vec<HostPath>, Fault> {
        let resolve = |name: &&str| {
            let path = match anchor {
                Some(dir) if !name.starts_with('/') => HostPath::new(&format!("{dir}/{name}")),
                Some(_) | None => HostPath::new(name),
            };
            path.map_err(|_| {
                Fault::from(format!(
                    "is an overlay whose layer `{name}` is named relative to a directory that \
                     cannot be told"
                ))
            })
        };
        names.iter().map(resolve).collect()
    }
}

/// The directory above an absolute path; that of the root is empty.
fn parent(path: &str) -> Option<&str> {
    path.trim_end_matches('/').rsplit_once('/').map(|(parent, _)| parent)
}

fn text(bytes: &[u8]) -> Result<&str, Fault> {
    str::from_utf8(bytes).map_err(|_| {
        let name = String::from_utf8_lossy(bytes);
        format!("is an overlay with the path `{name}`, which is not UTF-8").into()
    })
}

/// Where `path` is inside the overlay, of which the mount at `point` shows the directory `root`.
fn subdirectory(root: &str, point: &str, path: &str) -> Result<RootedPath, Fault> {
    if root.ends_with("//deleted") {
        return Err("is a directory of an overlay that was removed".to_owned().into());
    }
    let below = path.strip_prefix(point.trim_end_matches('/'));
    let below = below.filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let inside = below.and_then(|below| RootedPath::new(&format!("{root}{below}")).ok());
    inside.ok_or_else(|| format!("is on an overlay that is mounted elsewhere, at {point}").into())
}

/// The inode number of the overlay's own root, if the mount shows it.
fn root_inode(root: &str, point: &str, path: &HostPath, inode: u64) -> Option<u64> {
    if root != "/" {
        return None;
    }
    if point == path.as_str() { Some(inode) } else { stat(point).ok().map(|stat| stat.st_ino) }
}

/// Makes sure that every layer is there, can be mapped, and that the top one is what is mounted.
///
/// Where all layers are on one file system, the root of an overlay has the inode number of its
/// top layer.
fn check(overlay: &Overlay, inode: Option<u64>) -> Result<(), Fault> {
    let mut seen: Vec<u64> = Vec::new();
    let mut top = None;
    for layer in overlay.layers.iter().chain(&overlay.data_layers) {
        let found = look(layer)?;
        if !seen.contains(&found.st_dev) {
            check_filesystem(layer)?;
            seen.push(found.st_dev);
        }
        top = top.or(Some((layer, found.st_ino)));
    }
    match (top, inode) {
        (Some((layer, found)), Some(inode)) if seen.len() == 1 && found != inode => {
            Err(Fault::Replaced { layer: layer.to_string() })
        }
        _ => Ok(()),
    }
}

fn look(layer: &HostPath) -> Result<Stat, Fault> {
    let found = stat(layer.as_c_str()).map_err(|error| match error {
        rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => {
            format!("is an overlay whose layer `{layer}` is gone")
        }
        error => format!("is an overlay whose layer `{layer}` cannot be looked at: {error}"),
    })?;
    if FileType::from_raw_mode(found.st_mode).is_dir() {
        return Ok(found);
    }
    Err(format!("is an overlay whose layer `{layer}` is no directory any more").into())
}

fn check_filesystem(layer: &HostPath) -> Result<(), Fault> {
    let magic = statfs(layer.as_c_str()).map(|stat| stat.f_type);
    let magic = magic.map_err(|error| format!("is an overlay whose layer `{layer}` {error}"))?;
    let filesystem = Filesystem::of(magic);
    match filesystem.class {
        Class::Mappable => Ok(()),
        Class::Overlay => {
            Err(format!("is an overlay whose layer `{layer}` is on another overlay").into())
        }
        Class::Unmappable => {
            let why = filesystem.why_unmappable();
            Err(format!("is an overlay whose layer `{layer}` {why}").into())
        }
    }
}

#[cfg(test)]
mod tests;
