//! A machine's files, captured: to test against boards that are not here.
//!
//! A captured tree is a directory of a few tables, small enough to lie beside a test and to be read in
//! a review:
//!
//! - `attributes.tsv`: a path and its one line, as sysfs has them; `\0` is a NUL, as the strings of a
//!   device tree end in;
//! - `files/`: what has several lines, as it was;
//! - `errors.tsv`: a path and the errno that a read of it gives;
//! - `modes.tsv`: a path, in which the last part may hold `{a,b}` and `*`, and its mode;
//! - `dev-nodes.tsv`: the device nodes that exist.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use thiserror::Error;

use crate::Files;

/// Why a directory is no captured tree.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// A table or a file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of a table is not of its form.
    #[error("{table} has a line that is not of its form: {line:?}")]
    BadLine {
        /// The table.
        table: &'static str,
        /// The line.
        line: String,
    },
}

/// What a table of errors may name: what reads of sysfs are known to give.
const ERRNOS: [Errno; 8] = [
    Errno::EAGAIN,
    Errno::EACCES,
    Errno::EBUSY,
    Errno::EINVAL,
    Errno::EIO,
    Errno::ENODATA,
    Errno::ENODEV,
    Errno::ETIMEDOUT,
];

/// What a path of a captured machine gives to its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Content(Vec<u8>),
    Fails(i32),
    /// A device; it is there, and not to be read.
    Node,
}

/// The files of a machine in memory; they can be changed, moved, lost, and made to fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapturedTree {
    entries: BTreeMap<String, Entry>,
    /// Paths that only root may read.
    private: Vec<String>,
}

impl CapturedTree {
    /// Reads a captured tree from its directory, as root saw it.
    ///
    /// # Errors
    /// [`CaptureError`] if something of it cannot be read or understood.
    pub fn load(directory: &Path) -> Result<Self, CaptureError> {
        let mut tree = Self::default();
        for line in table(directory, "attributes.tsv")? {
            let (path, text) = fields(&line, "attributes.tsv")?;
            let content = match text.strip_suffix("\\0") {
                Some(_) => text.replace("\\0", "\0"),
                None => format!("{text}\n"),
            };
            tree.set(path, content);
        }
        tree.load_files(&directory.join("files"), "")?;
        for line in table(directory, "dev-nodes.tsv")? {
            let (path, _) = fields(&line, "dev-nodes.tsv")?;
            tree.entries.insert(relative(path), Entry::Node);
        }
        for line in table(directory, "modes.tsv")? {
            let (path, rest) = fields(&line, "modes.tsv")?;
            if !rest.split('\t').next().is_some_and(|mode| mode.ends_with('4')) {
                tree.private.push(relative(path));
            }
        }
        for line in table(directory, "errors.tsv")? {
            let (path, rest) = fields(&line, "errors.tsv")?;
            let name = rest.split('\t').next().unwrap_or_default();
            let errno = ERRNOS.iter().find(|errno| format!("{errno:?}") == name);
            tree.fail(path, *errno.ok_or_else(|| bad("errors.tsv", &line))? as i32);
        }
        Ok(tree)
    }

    fn load_files(&mut self, directory: &Path, prefix: &str) -> Result<(), CaptureError> {
        let unreadable = |source| CaptureError::Unreadable { path: directory.to_owned(), source };
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(unreadable)?,
        };
        for entry in entries {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let inner = if prefix.is_empty() { name.into() } else { format!("{prefix}/{name}") };
            if path.is_dir() {
                self.load_files(&path, &inner)?;
            } else {
                let content = fs::read(&path)
                    .map_err(|source| CaptureError::Unreadable { path: path.clone(), source })?;
                self.set(&inner, content);
            }
        }
        Ok(())
    }

    /// The same machine as an ordinary user sees it.
    #[must_use]
    pub fn as_user(mut self) -> Self {
        let private = std::mem::take(&mut self.private);
        for (path, entry) in &mut self.entries {
            if private.iter().any(|pattern| matches(pattern, path)) {
                *entry = Entry::Fails(Errno::EACCES as i32);
            }
        }
        self
    }

    /// Gives a file this content; makes it if it is not there.
    pub fn set(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.entries.insert(relative(path), Entry::Content(content.into()));
    }

    /// Has every read of a file fail with this errno.
    pub fn fail(&mut self, path: &str, errno: i32) {
        self.entries.insert(relative(path), Entry::Fails(errno));
    }

    /// Takes a file away, or a directory with all that is below it.
    pub fn remove(&mut self, path: &str) {
        let path = relative(path);
        self.entries.retain(|entry, _| below(entry, &path).is_none());
    }

    /// Moves files and directories, all at once, so that they can change places.
    pub fn rename(&mut self, moves: &[(String, String)]) {
        let place = |path: String| {
            let to =
                moves.iter().find_map(|(from, to)| Some(format!("{to}{}", below(&path, from)?)));
            to.unwrap_or(path)
        };
        let entries = std::mem::take(&mut self.entries).into_iter();
        self.entries = entries.map(|(path, entry)| (place(path), entry)).collect();
    }

    /// All paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Writes it out below a directory. What fails when it is read becomes an empty file, and a device
    /// node as well.
    ///
    /// # Errors
    /// What the system said.
    pub fn unpack(&self, directory: &Path) -> io::Result<()> {
        for (path, entry) in &self.entries {
            let path = directory.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            match entry {
                Entry::Content(content) => fs::write(path, content)?,
                Entry::Fails(_) | Entry::Node => fs::write(path, "")?,
            }
        }
        Ok(())
    }
}

impl Files for CapturedTree {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match self.entries.get(&relative(path)) {
            Some(Entry::Content(content)) => Ok(content.clone()),
            Some(Entry::Fails(errno)) => Err(io::Error::from_raw_os_error(*errno)),
            Some(Entry::Node) => Err(Errno::EINVAL.into()),
            None => Err(Errno::ENOENT.into()),
        }
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{}/", relative(directory).trim_end_matches('/'));
        let below =
            self.entries.range(prefix.clone()..).take_while(|(p, _)| p.starts_with(&prefix));
        let mut names: Vec<String> = below
            .filter_map(|(path, _)| path[prefix.len()..].split('/').next())
            .map(ToOwned::to_owned)
            .collect();
        names.dedup();
        if names.is_empty() { Err(Errno::ENOENT.into()) } else { Ok(names) }
    }

    /// A captured machine does not change by itself.
    fn write(&self, _: &str, _: &str) -> io::Result<()> {
        Err(Errno::EROFS.into())
    }
}

fn relative(path: &str) -> String {
    path.trim_start_matches('/').to_owned()
}

/// What of a path comes after this file or directory.
fn below<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    path.strip_prefix(directory).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The lines of a table that are not comments; a table that is not there has none.
fn table(directory: &Path, name: &str) -> Result<Vec<String>, CaptureError> {
    let path = directory.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().filter(|l| !l.starts_with('#')).map(Into::into).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(CaptureError::Unreadable { path, source }),
    }
}

fn fields<'a>(line: &'a str, table: &'static str) -> Result<(&'a str, &'a str), CaptureError> {
    line.split_once('\t').ok_or_else(|| bad(table, line))
}

fn bad(table: &'static str, line: &str) -> CaptureError {
    CaptureError::BadLine { table, line: line.to_owned() }
}

/// Whether a path is one of those of a pattern: `dir/{in,curr}*`.
fn matches(pattern: &str, path: &str) -> bool {
    let Some((directory, last)) = pattern.rsplit_once("/{") else { return pattern == path };
    let Some((names, "*")) = last.split_once('}') else { return false };
    let name = path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| names.split(',').any(|prefix| name.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_change_places() {
        let mut tree = CapturedTree::default();
        for (path, text) in [("a/1/x", "1"), ("a/1/y/z", "2"), ("a/2/x", "3"), ("a/12/x", "4")] {
            tree.set(path, text);
        }
        let swap = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        tree.rename(&[swap("a/1", "a/2"), swap("a/2", "a/1")]);
        assert_eq!(tree.read("a/2/y/z").unwrap(), b"2");
        assert_eq!(tree.read("a/1/x").unwrap(), b"3");
        assert_eq!(tree.read("a/12/x").unwrap(), b"4");
        assert_eq!(tree.list("a").unwrap().len(), 3);
        tree.remove("a/1");
        assert!(tree.list("a/1").is_err());
        assert_eq!(tree.list("a").unwrap(), ["12", "2"]);
    }

    #[test]
    fn patterns_of_modes_name_the_last_part() {
        assert!(matches("h/hwmon3/{in,curr}*", "h/hwmon3/in1_label"));
        assert!(!matches("h/hwmon3/{in,curr}*", "h/hwmon3/name"));
        assert!(!matches("h/hwmon3/{in,curr}*", "h/hwmon30/in1_label"));
        assert!(matches("h/rate", "h/rate"));
    }
}
