//! The files of a captured machine, for tests of boards that are not at hand.
//!
//! A captured tree is a directory with a few tables, small enough for a repository and a review:
//!
//! - `attributes.tsv`: paths with their one line; `\0` is a NUL, which ends the strings of a device tree;
//! - `files/`: files with several lines, as they were;
//! - `errors.tsv`: paths with the errno of a read;
//! - `modes.tsv`: paths with their modes; the last part of a path may contain `{a,b}` and `*`;
//! - `dev-nodes.tsv`: the existing device nodes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use thiserror::Error;

use crate::Files;

/// Why a directory is no captured tree.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// A table or a file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Path of the table or file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A line of a table is malformed.
    #[error("malformed line in {table}: {line:?}")]
    BadLine {
        /// Name of the table.
        table: &'static str,
        /// The line that is malformed.
        line: String,
    },
}

/// The error codes that a table may contain: those that reads of sysfs return.
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

/// The result of reading a path of a captured machine.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CapturedFile {
    Content(Vec<u8>),
    Fails(i32),
    /// A device node, which exists but cannot be read.
    Node,
}

/// The files of a machine in memory; they can be changed, moved, removed, and made to fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapturedTree {
    entries: BTreeMap<String, CapturedFile>,
    /// Path patterns that only root may read.
    private: Vec<String>,
}

impl CapturedTree {
    /// Reads a captured tree from its directory, as root saw it.
    ///
    /// # Errors
    /// [`CaptureError`] if a part of it cannot be read or parsed.
    pub fn load(directory: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let directory = directory.as_ref();
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
            tree.entries.insert(relative(path), CapturedFile::Node);
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
            tree.fail(path, *errno.ok_or_else(|| bad_line("errors.tsv", &line))? as i32);
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

    /// Returns the same machine as an ordinary user sees it.
    #[must_use]
    pub fn as_user(mut self) -> Self {
        let private = std::mem::take(&mut self.private);
        for (path, entry) in &mut self.entries {
            if private.iter().any(|pattern| matches(pattern, path)) {
                *entry = CapturedFile::Fails(Errno::EACCES as i32);
            }
        }
        self
    }

    /// Sets the content of a file; creates the file if necessary.
    pub fn set(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.entries.insert(relative(path), CapturedFile::Content(content.into()));
    }

    /// Makes every read of a file fail with this errno.
    pub fn fail(&mut self, path: &str, errno: i32) {
        self.entries.insert(relative(path), CapturedFile::Fails(errno));
    }

    /// Removes a file, or a directory with everything below it.
    pub fn remove(&mut self, path: &str) {
        let path = relative(path);
        self.entries.retain(|entry, _| strip_directory(entry, &path).is_none());
    }

    /// Moves files and directories simultaneously, so that they can be swapped.
    pub fn rename(&mut self, moves: &[(String, String)]) {
        let new_path = |path: String| {
            let to = moves
                .iter()
                .find_map(|(from, to)| Some(format!("{to}{}", strip_directory(&path, from)?)));
            to.unwrap_or(path)
        };
        let entries = std::mem::take(&mut self.entries).into_iter();
        self.entries = entries.map(|(path, entry)| (new_path(path), entry)).collect();
    }

    /// Returns all paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Writes the files below a directory. Device nodes, and files whose reads fail, become empty files.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn unpack(&self, directory: impl AsRef<Path>) -> io::Result<()> {
        for (path, entry) in &self.entries {
            let path = directory.as_ref().join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            match entry {
                CapturedFile::Content(content) => fs::write(path, content)?,
                CapturedFile::Fails(_) | CapturedFile::Node => fs::write(path, "")?,
            }
        }
        Ok(())
    }
}

impl Files for CapturedTree {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match self.entries.get(&relative(path)) {
            Some(CapturedFile::Content(content)) => Ok(content.clone()),
            Some(CapturedFile::Fails(errno)) => Err(io::Error::from_raw_os_error(*errno)),
            Some(CapturedFile::Node) => Err(Errno::EINVAL.into()),
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

    /// Writes fail, because a captured machine does not change.
    fn write(&self, _: &str, _: &str) -> io::Result<()> {
        Err(Errno::EROFS.into())
    }
}

fn relative(path: &str) -> String {
    path.trim_start_matches('/').to_owned()
}

/// Returns the part of a path after this file or directory.
fn strip_directory<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    path.strip_prefix(directory).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reads the lines of a table without comments; none if the table is missing.
fn table(directory: &Path, name: &str) -> Result<Vec<String>, CaptureError> {
    let path = directory.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().filter(|l| !l.starts_with('#')).map(Into::into).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(CaptureError::Unreadable { path, source }),
    }
}

fn fields<'a>(line: &'a str, table: &'static str) -> Result<(&'a str, &'a str), CaptureError> {
    line.split_once('\t').ok_or_else(|| bad_line(table, line))
}

fn bad_line(table: &'static str, line: &str) -> CaptureError {
    CaptureError::BadLine { table, line: line.to_owned() }
}

/// Returns `true` if a path matches a pattern such as `dir/{in,curr}*`.
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
    fn directories_can_be_swapped() {
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
    fn patterns_apply_to_the_last_part_of_a_path() {
        assert!(matches("h/hwmon3/{in,curr}*", "h/hwmon3/in1_label"));
        assert!(!matches("h/hwmon3/{in,curr}*", "h/hwmon3/name"));
        assert!(!matches("h/hwmon3/{in,curr}*", "h/hwmon30/in1_label"));
        assert!(matches("h/rate", "h/rate"));
    }
}
