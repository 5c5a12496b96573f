//! The environment of the executed program, and the search for the program in its `$PATH`.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// Variables by name, as bytes: names and values need not be UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment(BTreeMap<Vec<u8>, Vec<u8>>);

impl Environment {
    /// Returns the environment of this process, as systemd made it.
    pub(crate) fn from_process() -> Self {
        let variables = std::env::vars_os();
        Self(variables.map(|(name, value)| (name.into_vec(), value.into_vec())).collect())
    }

    /// Sets the variables of an environment file: `NAME=VALUE`, each ended by a NUL. Of two entries with the
    /// same name the later one counts. Entries without a name or without `=` are ignored.
    pub(crate) fn override_from(&mut self, file: &[u8]) {
        for entry in file.split(|byte| *byte == 0) {
            let Some(at) = entry.iter().position(|byte| *byte == b'=').filter(|at| *at > 0) else {
                continue;
            };
            self.0.insert(entry[..at].to_vec(), entry[at + 1..].to_vec());
        }
    }

    /// Returns the entries `NAME=VALUE` for execve(2).
    pub(crate) fn into_c_strings(self) -> Vec<CString> {
        let entry = |(name, value): (Vec<u8>, Vec<u8>)| {
            let entry = [name, vec![b'='], value].concat();
            CString::new(entry).expect("entries are split at NULs, and execve(2) passes none on")
        };
        self.0.into_iter().map(entry).collect()
    }
}

/// Returns the value of `PATH`; `None` if it is not set.
pub(crate) fn path_of(environment: &[CString]) -> Option<&OsStr> {
    let value = environment.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="))?;
    Some(OsStr::from_bytes(value))
}

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
    use proptest::prelude::*;

    use super::*;

    fn merged(own: &[(&str, &str)], file: &[u8]) -> Vec<String> {
        let own =
            own.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        let mut environment = Environment(own.collect());
        environment.override_from(file);
        environment.into_c_strings().into_iter().map(|entry| entry.into_string().unwrap()).collect()
    }

    #[test]
    fn the_file_overrides_the_environment_and_later_entries_override_earlier_ones() {
        let entries = merged(&[("A", "own"), ("B", "own")], b"A=file\0C=1\0C=2\0");
        assert_eq!(entries, ["A=file", "B=own", "C=2"]);
    }

    #[test]
    fn malformed_entries_are_ignored() {
        assert_eq!(merged(&[("A", "own")], b""), ["A=own"]);
        assert_eq!(merged(&[], b"\0\0=x\0novalue\0E=\0=\0"), ["E="]);
        assert_eq!(merged(&[], b"CUT=off"), ["CUT=off"]);
    }

    #[test]
    fn the_path_is_that_of_the_experiment() {
        let mut environment = Environment::default();
        environment.override_from(b"PATHS=/no\0PATH=/a:/b\0");
        let environment = environment.into_c_strings();
        assert_eq!(path_of(&environment), Some(OsStr::new("/a:/b")));
        assert_eq!(path_of(&[]), None);
    }

    proptest! {
        #[test]
        fn every_value_is_passed_on_unchanged(value in "[^\0]{0,60}") {
            let file = format!("NAME={value}\0");
            prop_assert_eq!(merged(&[("NAME", "own")], file.as_bytes()), [format!("NAME={value}")]);
        }
    }

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
