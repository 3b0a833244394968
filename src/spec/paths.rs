//! Paths as a config writes them, treated as text.

use std::path::{Component, Path, PathBuf};

/// The path `written`, meant inside a root directory, without `.` and `..`: absolute, clean, and
/// never above the root, as if the root were `/`. A relative path starts at the root.
///
/// This is about text. Symbolic links in the root are not looked at: resolve the result with
/// `RESOLVE_IN_ROOT`.
///
/// Reference: runtime-spec, config.md, "Mounts" (a relative `destination`).
#[must_use]
pub fn inside_root(written: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in written.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// Whether some component of `path` is `..`.
#[must_use]
pub fn climbs(path: &Path) -> bool {
    path.components().any(|c| c == Component::ParentDir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_inside_the_root_never_climbs_above_it() {
        let inside = |text: &str| inside_root(Path::new(text)).display().to_string();

        assert_eq!(inside("/../../etc"), "/etc");
        assert_eq!(inside("/a/b/../../../c"), "/c");
        assert_eq!(inside("data/./x//"), "/data/x");
        assert_eq!(inside("/"), "/");
        assert_eq!(inside(".."), "/");
    }

    #[test]
    fn three_dots_are_a_name() {
        assert!(!climbs(Path::new("/a/.../b")));
        assert!(climbs(Path::new("/a/../b")));
    }
}
