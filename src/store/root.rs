//! Finds or makes a directory that only we can write: the state root, the range registry.
//!
//! Whoever can write that directory can swap the record that `delete` and `kill` believe. So it
//! must be ours, closed to the writing of others, and reached without a link that somebody else
//! could point elsewhere.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};

use super::dir::{self, OPEN_DIR, OTHERS_WRITE, PERMISSIONS};
use super::error::StoreError;
use crate::sys::{Errno, errno};

/// Links on the way before we give up, as the kernel does: path_resolution(7).
const LINKS_MAX: u32 = 40;
const STEP: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What to do about a component that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Tell,
    Make,
}

/// Opens a directory that must be safe; `None` if there is none.
pub(super) fn find(path: &Path) -> Result<Option<OwnedFd>, StoreError> {
    // The walk of an empty path would end where it begins, in the current directory.
    if path.as_os_str().is_empty() {
        return Err(StoreError::RootKind { path: path.to_owned() });
    }
    // The usual path has no link in it: one call then does the whole walk.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let direct = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    match direct {
        Ok(dir) => check(path, &dir).map(|()| Some(dir)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(_) => walk(path, Missing::Tell),
    }
}

/// Opens a directory that must be safe, after making it, 0700, with what is missing above it.
pub(super) fn make(path: &Path) -> Result<OwnedFd, StoreError> {
    if let Some(dir) = find(path)? {
        return Ok(dir);
    }
    let made = walk(path, Missing::Make)?;
    made.ok_or_else(|| failed("create", path, Errno::ENOENT))
}

fn check(path: &Path, root: &OwnedFd) -> Result<(), StoreError> {
    let stat = rustix::fs::fstat(root).map_err(|error| failed("stat", path, errno(error)))?;
    let ours = rustix::process::geteuid().as_raw();
    if stat.st_uid != ours {
        return Err(StoreError::RootOwner { path: path.to_owned(), owner: stat.st_uid, ours });
    }
    if stat.st_mode & OTHERS_WRITE != 0 {
        let mode = stat.st_mode & PERMISSIONS;
        return Err(StoreError::RootMode { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Goes from component to component, so that each link is seen before it is followed.
fn walk(path: &Path, missing: Missing) -> Result<Option<OwnedFd>, StoreError> {
    let start = |absolute: bool| {
        let from = if absolute { "/" } else { "." };
        rustix::fs::openat(CWD, from, STEP, Mode::empty())
            .map_err(|error| failed("open", path, errno(error)))
    };
    let mut at = start(path.is_absolute())?;
    let mut rest = components(path);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        match rustix::fs::openat(&at, &name, STEP, Mode::empty()) {
            Ok(next) => at = next,
            Err(rustix::io::Errno::NOENT) if missing == Missing::Tell => return Ok(None),
            Err(rustix::io::Errno::NOENT) => make_component(&at, &mut rest, name, path)?,
            Err(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
                links += 1;
                let target = read_link(&at, &name, path)?;
                if links > LINKS_MAX {
                    return Err(failed("follow links to", path, Errno::ELOOP));
                }
                if target.is_absolute() {
                    at = start(true)?;
                }
                rest.extend(components(&target));
            }
            Err(error) => return Err(failed("open", path, errno(error))),
        }
    }
    let opened = rustix::fs::openat(&at, ".", OPEN_DIR, Mode::empty());
    let dir = opened.map_err(|error| failed("open", path, errno(error)))?;
    check(path, &dir).map(|()| Some(dir))
}

/// The last component first.
fn components(path: &Path) -> Vec<OsString> {
    let plain = |component: Component<'_>| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(plain).collect()
}

/// Makes what is missing and puts it back on the list, to be opened like the others: whoever
/// was faster made it too.
fn make_component(
    at: &OwnedFd,
    rest: &mut Vec<OsString>,
    name: OsString,
    path: &Path,
) -> Result<(), StoreError> {
    let text = name.to_str().ok_or_else(|| failed("create", path, Errno::EILSEQ))?;
    match dir::make_dir(at, text) {
        Ok(_) | Err(Errno::EEXIST) => {
            rest.push(name);
            Ok(())
        }
        Err(source) => Err(failed("create", path, source)),
    }
}

/// Where a link leads, if it is one and nobody but root or we could have made it.
fn read_link(at: &OwnedFd, name: &OsString, path: &Path) -> Result<std::path::PathBuf, StoreError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let io = |error: rustix::io::Errno| failed("read link on the way to", path, errno(error));
    let link = rustix::fs::openat(at, name, flags, Mode::empty()).map_err(io)?;
    let stat = rustix::fs::fstat(&link).map_err(io)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        return Err(StoreError::RootKind { path: path.to_owned() });
    }
    if stat.st_uid != 0 && stat.st_uid != rustix::process::geteuid().as_raw() {
        let component = name.to_string_lossy().into_owned();
        return Err(StoreError::RootLink { path: path.to_owned(), component, owner: stat.st_uid });
    }
    let target = rustix::fs::readlinkat(link.as_fd(), "", Vec::new()).map_err(io)?;
    Ok(OsString::from_vec(target.into_bytes()).into())
}

fn failed(action: &'static str, path: &Path, source: Errno) -> StoreError {
    StoreError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn said(path: &Path) -> String {
        find(path).unwrap_err().to_string()
    }

    #[test]
    fn a_root_that_others_could_change_is_refused_with_a_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir(&root).unwrap();

        for wrong in [0o1777, 0o770, 0o702] {
            std::fs::set_permissions(&root, PermissionsExt::from_mode(wrong)).unwrap();
            let error = find(&root).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "state root {} can be written by other users (mode {wrong:04o})",
                    root.display()
                )
            );
            assert!(error.hint().unwrap().contains(&format!("chmod go-w {}", root.display())));
        }
        std::fs::set_permissions(&root, PermissionsExt::from_mode(0o755)).unwrap();
        assert!(find(&root).is_ok());
        chown(&root, Some(12345), None).unwrap();
        assert!(said(&root).ends_with("belongs to uid 12345, not to us (uid 0)"));
    }

    #[test]
    fn an_empty_path_is_not_the_current_directory() {
        assert!(matches!(find(Path::new("")), Err(StoreError::RootKind { .. })));
        assert!(matches!(make(Path::new("")), Err(StoreError::RootKind { .. })));
    }

    #[test]
    fn a_link_on_the_way_must_be_ours() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        symlink("real", &link).unwrap();

        make(&link.join("root/x")).unwrap();
        assert!(real.join("root/x").is_dir(), "our own link is followed");
        std::os::unix::fs::lchown(&link, Some(12345), None).unwrap();
        assert!(said(&link.join("root")).ends_with("\"link\" is a symbolic link of uid 12345"));
        assert!(said(&link).ends_with("\"link\" is a symbolic link of uid 12345"));
        let circle = dir.path().join("circle");
        symlink("circle", &circle).unwrap();
        assert!(said(&circle).starts_with("follow links to"));
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(said(&dir.path().join("file")).ends_with("is not a directory"));
        assert!(said(&dir.path().join("file/x")).ends_with("is not a directory"));
    }
}
