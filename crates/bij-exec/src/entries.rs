//! The environment that a program is executed with.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// Variables by their names, as bytes: neither has to be UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries(BTreeMap<Vec<u8>, Vec<u8>>);

impl Entries {
    /// The environment of this process, which systemd made.
    pub(crate) fn of_process() -> Self {
        let variables = std::env::vars_os();
        Self(variables.map(|(name, value)| (name.into_vec(), value.into_vec())).collect())
    }

    /// Lays the entries of an environment file over these: `NAME=VALUE`, each ended by a NUL, the later
    /// of two with one name in force. What has no name or no `=` is passed over.
    pub(crate) fn lay_over(&mut self, file: &[u8]) {
        for entry in file.split(|byte| *byte == 0) {
            let Some(at) = entry.iter().position(|byte| *byte == b'=').filter(|at| *at > 0) else {
                continue;
            };
            self.0.insert(entry[..at].to_vec(), entry[at + 1..].to_vec());
        }
    }

    /// `NAME=VALUE` each, as execve(2) takes them.
    pub(crate) fn into_c_strings(self) -> Vec<CString> {
        let entry = |(name, value): (Vec<u8>, Vec<u8>)| {
            let entry = [name, vec![b'='], value].concat();
            CString::new(entry).expect("entries are split at NULs, and execve(2) hands none over")
        };
        self.0.into_iter().map(entry).collect()
    }
}

/// The value of `PATH`, if it is set.
pub(crate) fn path_of(environment: &[CString]) -> Option<&OsStr> {
    let value = environment.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="))?;
    Some(OsStr::from_bytes(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn laid_over(own: &[(&str, &str)], file: &[u8]) -> Vec<String> {
        let own =
            own.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        let mut entries = Entries(own.collect());
        entries.lay_over(file);
        entries.into_c_strings().into_iter().map(|entry| entry.into_string().unwrap()).collect()
    }

    #[test]
    fn the_file_is_stronger_and_its_later_entries_are_the_strongest() {
        let told = laid_over(&[("A", "own"), ("B", "own")], b"A=file\0C=1\0C=2\0");
        assert_eq!(told, ["A=file", "B=own", "C=2"]);
    }

    #[test]
    fn odd_files_do_no_harm() {
        assert_eq!(laid_over(&[("A", "own")], b""), ["A=own"]);
        assert_eq!(laid_over(&[], b"\0\0=x\0novalue\0E=\0=\0"), ["E="]);
        assert_eq!(laid_over(&[], b"CUT=off"), ["CUT=off"]);
    }

    #[test]
    fn the_path_is_the_experiments() {
        let mut entries = Entries::default();
        entries.lay_over(b"PATHS=/no\0PATH=/a:/b\0");
        let environment = entries.into_c_strings();
        assert_eq!(path_of(&environment), Some(OsStr::new("/a:/b")));
        assert_eq!(path_of(&[]), None);
    }

    proptest! {
        #[test]
        fn every_value_comes_back(value in "[^\0]{0,60}") {
            let file = format!("NAME={value}\0");
            prop_assert_eq!(laid_over(&[("NAME", "own")], file.as_bytes()), [format!("NAME={value}")]);
        }
    }
}
