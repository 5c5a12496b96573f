//! Looks up a program.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// `PATH` of a service by default (`DEFAULT_PATH`, systemd.exec(5)).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the paths to try in order, as execvp(3) does: a name with a slash is a path, any other is looked
/// up in the directories of `path`.
pub(crate) fn candidates(program: &OsStr, path: Option<&OsStr>) -> Vec<PathBuf> {
    if program.is_empty() || program.as_bytes().contains(&b'/') {
        return vec![PathBuf::from(program)];
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let directories = path.as_bytes().split(|byte| *byte == b':');
    // An empty part means the working directory.
    directories.map(|directory| Path::new(OsStr::from_bytes(directory)).join(program)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(program: &str, path: Option<&str>) -> Vec<PathBuf> {
        candidates(OsStr::new(program), path.map(OsStr::new))
    }

    #[test]
    fn a_bare_name_is_looked_up_in_every_directory() {
        assert_eq!(lookup("x", Some("/a:/b")), [Path::new("/a/x"), Path::new("/b/x")]);
        assert_eq!(lookup("x", Some("/a::/b"))[1], Path::new("x"));
        assert_eq!(lookup("x", Some("")), [Path::new("x")]);
        assert!(lookup("x", None).contains(&PathBuf::from("/usr/bin/x")));
    }

    #[test]
    fn a_path_is_not_looked_up() {
        for path in ["/a/b", "./a", "a/b", "/a//b/./c", ""] {
            assert_eq!(lookup(path, Some("/x")), [Path::new(path)]);
        }
    }
}
