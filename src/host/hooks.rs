//! Looks at the programs that a bundle's hooks name: whose they are, and who could change them.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

use super::bundle::Bundle;
use crate::plan::hooks::Stage;
use crate::policy::rules::FoundHook;

/// How many links are followed, as the kernel counts.
const LINKS: u32 = 40;

/// What the hooks of the host lead to, in the order of a container's life. Those of the image
/// are left out.
#[must_use]
pub fn found(spec: &Spec, bundle: &Bundle, rootfs: &Path) -> Vec<FoundHook> {
    let Some(hooks) = spec.hooks().as_ref() else { return Vec::new() };
    let of_host = Stage::ALL.into_iter().filter(|stage| *stage != Stage::StartContainer);
    let all = of_host.flat_map(|stage| {
        (0_usize..).zip(stage.of(hooks)).map(move |(index, hook)| {
            let pointer = format!("/hooks/{}/{index}", stage.word());
            let (program, why) = match walk(hook.path()) {
                Ok(program) => {
                    let why = of_bundle(&program.path, bundle, rootfs);
                    (program, why.map(str::to_owned))
                }
                Err(why) => (Program { path: hook.path().clone(), of_process: false }, Some(why)),
            };
            FoundHook {
                pointer,
                program: program.path.to_string_lossy().into_owned(),
                of_process: program.of_process,
                untrusted: why,
            }
        })
    });
    all.collect()
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    /// Its real path.
    path: PathBuf,
    /// Whether it was named as the program of a process.
    of_process: bool,
}

fn of_bundle(program: &Path, bundle: &Bundle, rootfs: &Path) -> Option<&'static str> {
    if program.starts_with(rootfs) {
        Some("lies in the container's root file system")
    } else if program.starts_with(bundle.path()) {
        Some("lies in the bundle")
    } else {
        None
    }
}

/// Follows a path as the kernel would; gives the real one, or why it cannot be trusted: a clause.
fn walk(path: &Path) -> Result<Program, String> {
    let mut left: VecDeque<OsString> = parts(path);
    let mut at = PathBuf::from("/");
    let mut links = 0_u32;
    trusted(&at, &look(&at)?)?;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        let stat = look(&next)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            trusted(&next, &stat)?;
            at = next;
            continue;
        }
        links = links.saturating_add(1);
        if links > LINKS {
            return Err("is behind too many links".to_owned());
        }
        if is_process_link(&at) {
            return left.is_empty().then_some(()).map_or_else(
                || Err(format!("goes on below {}", next.display())),
                |()| magic(&next, &stat),
            );
        }
        let target = rustix::fs::readlink(&next, Vec::new())
            .map_err(|error| format!("has a link at {} that {error}", next.display()))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        for part in parts(&target).into_iter().rev() {
            left.push_front(part);
        }
    }
    let path = runnable(&at, &look(&at)?)?;
    Ok(Program { path, of_process: false })
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// Whether `dir` is a directory of procfs, whose links are no paths: they lead to open files.
fn is_process_link(dir: &Path) -> bool {
    rustix::fs::statfs(dir).is_ok_and(|fs| fs.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

/// The program of a process, as Docker names its own. The process must be root's, or whoever it
/// belongs to could choose what its link leads to.
///
/// The number is some other process's one day, and a file is called what its own mount namespace
/// calls it: root of a container without ids of its own may call anything `/usr/bin/dockerd`. So
/// the link only tells a path, at which that very file must be here too.
fn magic(link: &Path, of: &Stat) -> Result<Program, String> {
    if link.file_name().map(OsStrExt::as_bytes) != Some(b"exe") {
        return Err(format!("goes through {}", link.display()));
    }
    if of.st_uid != 0 {
        return Err(format!("is the program of a process of user {}", of.st_uid));
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file: OwnedFd = rustix::fs::open(link, flags, Mode::empty())
        .map_err(|error| format!("is {}, which cannot be opened: {error}", link.display()))?;
    let name = rustix::fs::readlink(format!("/proc/self/fd/{}", file.as_raw_fd()), Vec::new());
    let name = name.map_err(|error| format!("is {}, which {error}", link.display()))?;
    let name = PathBuf::from(OsString::from_vec(name.into_bytes()));
    let stat = rustix::fs::fstat(file.as_fd())
        .map_err(|error| format!("is {}, which {error}", link.display()))?;
    let here =
        look(&name).ok().filter(|here| (here.st_dev, here.st_ino) == (stat.st_dev, stat.st_ino));
    if here.is_none() {
        let what = "is not, or no longer, the file of that name here";
        return Err(format!("is {}, and {} {what}", link.display(), name.display()));
    }
    walk(&name).map(|program| Program { of_process: true, ..program })
}

fn look(path: &Path) -> Result<Stat, String> {
    rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| {
        let missing = [rustix::io::Errno::NOENT, rustix::io::Errno::NOTDIR].contains(&error);
        let what = if missing { "is not there" } else { "cannot be looked at" };
        format!("leads to {}, which {what}", path.display())
    })
}

/// Whether nobody but root can change what is here. A sticky directory is no exception: whoever
/// may write to it can take a name before root does.
fn trusted(path: &Path, stat: &Stat) -> Result<(), String> {
    let place = path.display();
    if stat.st_uid != 0 {
        return Err(format!("goes through {place}, which belongs to user {}", stat.st_uid));
    }
    if stat.st_mode & 0o020 != 0 {
        if stat.st_gid != 0 {
            return Err(format!("goes through {place}, which group {} can write", stat.st_gid));
        }
        // Where there is one, these bits are not the group's, but the most that it gives anyone.
        if has_access_list(path) {
            return Err(format!(
                "goes through {place}, which an access control list lets others write"
            ));
        }
    }
    if stat.st_mode & 0o002 != 0 {
        return Err(format!("goes through {place}, which everybody can write"));
    }
    Ok(())
}

fn has_access_list(path: &Path) -> bool {
    let absent = [rustix::io::Errno::NODATA, rustix::io::Errno::OPNOTSUPP];
    match rustix::fs::lgetxattr(path, "system.posix_acl_access", &mut [0_u8; 0]) {
        Ok(_) => true,
        Err(error) => !absent.contains(&error),
    }
}

/// Whether it is a program at all, and root's.
fn runnable(path: &Path, stat: &Stat) -> Result<PathBuf, String> {
    trusted(path, stat)?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if is_file && stat.st_mode & 0o111 != 0 {
        Ok(path.to_owned())
    } else {
        Err(format!("leads to {}, which is no program", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    /// A place whose path only root can write, if the tests run as root.
    fn place() -> Option<tempfile::TempDir> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped, because only root can make files of root's");
            return None;
        }
        Some(tempfile::tempdir_in("/root").unwrap())
    }

    fn own(path: PathBuf) -> Program {
        Program { path, of_process: false }
    }

    fn program(path: &Path, mode: u32) {
        std::fs::write(path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_program_of_roots_is_trusted_through_links_of_roots() {
        let Some(dir) = place() else { return };
        program(&dir.path().join("hook"), 0o755);
        symlink("hook", dir.path().join("link")).unwrap();
        symlink(dir.path(), dir.path().join("dir")).unwrap();

        assert_eq!(
            walk(&dir.path().join("dir/../").join(dir.path()).join("link")),
            Ok(own(dir.path().join("hook")))
        );
        assert_eq!(walk(&dir.path().join("dir/link")), Ok(own(dir.path().join("hook"))));
    }

    #[test]
    fn what_others_could_change_is_not_trusted() {
        let Some(dir) = place() else { return };
        let hook = dir.path().join("hook");
        for (mode, owner, why) in [
            (0o757, 0, "everybody can write"),
            (0o755, 1000, "belongs to user 1000"),
            (0o644, 0, "is no program"),
        ] {
            program(&hook, mode);
            chown(&hook, Some(owner), None).unwrap();
            let said = walk(&hook).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        program(&hook, 0o775);
        chown(&hook, Some(0), Some(50)).unwrap();
        assert!(walk(&hook).unwrap_err().contains("group 50 can write"));
        assert!(walk(Path::new("/tmp/hook")).unwrap_err().contains("/tmp, which everybody"));
        assert!(walk(&dir.path().join("none")).unwrap_err().contains("is not there"));
    }

    #[test]
    fn an_access_control_list_counts_as_the_writing_of_others() {
        let Some(dir) = place() else { return };
        let hook = dir.path().join("hook");
        program(&hook, 0o755);
        // Version 2: user rwx, user 1000 rwx, group r-x, mask rwx, others r-x.
        let entries: [(u16, u16, u32); 5] = [
            (1, 7, u32::MAX),
            (2, 7, 1000),
            (4, 5, u32::MAX),
            (16, 7, u32::MAX),
            (32, 5, u32::MAX),
        ];
        let mut list = 2_u32.to_le_bytes().to_vec();
        for (tag, rights, id) in entries {
            list.extend(tag.to_le_bytes());
            list.extend(rights.to_le_bytes());
            list.extend(id.to_le_bytes());
        }
        let flags = rustix::fs::XattrFlags::empty();
        match rustix::fs::setxattr(&hook, "system.posix_acl_access", &list, flags) {
            Err(rustix::io::Errno::OPNOTSUPP) => println!("skipped, because /root has no lists"),
            set => {
                set.unwrap();
                assert!(walk(&hook).unwrap_err().contains("lets others write"));
            }
        }
    }

    #[test]
    fn the_program_of_a_process_is_looked_at_itself() {
        let Some(_) = place() else { return };
        let own = format!("/proc/{}/exe", std::process::id());

        let found = walk(Path::new(&own));

        // The tests' own program may lie where others can write; the link is not the reason.
        assert!(found.as_ref().map_or_else(
            |why| !why.contains("goes through /proc"),
            |found| found.of_process && found.path == std::env::current_exe().unwrap()
        ));
        let said = walk(Path::new("/proc/self/root/bin/sh")).unwrap_err();
        assert!(said.contains("goes on below") || said.contains("/proc/self"), "{said}");
    }
}
