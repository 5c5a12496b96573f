//! Access to the kernel's files through the trait [`Files`], which the rest of this crate uses.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::{Reading, WhyNot, parse};

/// Files by paths relative to the root, `sys/class/thermal/thermal_zone0/temp`.
///
/// The trait is deliberately small: callers name every file that they open, because on a Jetson some attributes
/// block their reader and others are cleared by being read.
pub trait Files: Send + Sync {
    /// Reads a whole file.
    ///
    /// # Errors
    /// The system's error of the open or the read.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// Returns the names in a directory, in no order.
    ///
    /// # Errors
    /// The error of the operating system.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;

    /// Writes to an existing file with one system call.
    ///
    /// # Errors
    /// The error of the operating system.
    fn write(&self, path: &str, text: &str) -> io::Result<()>;
}

/// Maximum number of bytes read from a file; by far the largest is dpkg's package list.
const CAP: u64 = 16 << 20;

/// Maximum number of links that are followed in sequence, as in the kernel.
const LINKS: usize = 40;

/// Files below a directory: `/`, or the unpacked tree of another machine.
#[derive(Clone, Debug)]
pub(crate) struct Root(PathBuf);

impl Root {
    /// Creates the file access below this directory.
    pub(crate) fn new(root: impl AsRef<Path>) -> Self {
        Self(root.as_ref().to_owned())
    }

    /// Returns the real path of a machine's path.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// Opens a file for reading. Few files of a captured tree are links, so links are resolved only after an error.
    fn open(&self, path: &str) -> io::Result<File> {
        if self.0 == Path::new("/") {
            return File::open(self.at(path));
        }
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlag::O_NOFOLLOW.bits());
        match options.open(self.at(path)) {
            Err(error) if error.raw_os_error() == Some(Errno::ELOOP as i32) => {
                File::open(self.resolve(path))
            }
            opened => opened,
        }
    }

    /// Follows links. An absolute target, such as that of `/etc/nvpmodel.conf`, is relative to this root and not to
    /// the root of the running system.
    fn resolve(&self, path: &str) -> PathBuf {
        let mut at = self.at(path);
        if self.0 == Path::new("/") {
            return at;
        }
        for _ in 0..LINKS {
            match std::fs::read_link(&at) {
                Ok(target) if target.has_root() => {
                    at = self.0.join(target.strip_prefix("/").unwrap_or(&target));
                }
                Ok(_) | Err(_) => break,
            }
        }
        at
    }
}

impl Files for Root {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        // A page, the maximum size of an attribute of sysfs.
        let mut content = Vec::with_capacity(4096);
        self.open(path)?.take(CAP).read_to_end(&mut content)?;
        Ok(content)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(self.resolve(directory))?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        // Neither creates nor truncates: a device or an attribute exists, or it does not.
        OpenOptions::new().write(true).open(self.resolve(path))?.write_all(text.as_bytes())
    }
}

/// Removes a file, if it exists.
pub(crate) fn remove_if_present(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Reads with the parsing that this crate needs.
impl dyn Files + '_ {
    /// Reads a text without its final newline or NUL; invalid UTF-8 is replaced.
    pub(crate) fn text(&self, path: &str) -> Reading<String> {
        Ok(parse::text(&self.read(path)?))
    }

    /// Reads a signed number from an attribute of sysfs.
    pub(crate) fn number(&self, path: &str) -> Reading<i64> {
        parse::number(&self.read(path)?)
    }

    /// Reads a number that must not be negative.
    pub(crate) fn count(&self, path: &str) -> Reading<u64> {
        let number = self.number(path)?;
        u64::try_from(number).map_err(|_| WhyNot::Unparsable(number.to_string()))
    }

    /// Returns the names in a directory in natural order (`cpu2` before `cpu10`); empty if the directory is missing.
    pub(crate) fn names(&self, directory: &str) -> Reading<Vec<String>> {
        let mut names = match self.list(directory).map_err(WhyNot::from) {
            Err(WhyNot::Absent) => Vec::new(),
            other => other?,
        };
        names.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_creates_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        assert!(root.write("dev/x", "1").is_err());
        assert!(!dir.path().join("dev").exists());
        std::fs::write(dir.path().join("x"), "0").unwrap();
        root.write("/x", "1").unwrap();
        assert_eq!(root.read("x").unwrap(), b"1");
    }

    #[test]
    fn an_absolute_link_stays_below_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let etc = dir.path().join("etc");
        std::fs::create_dir_all(etc.join("nvpmodel")).unwrap();
        std::fs::write(etc.join("nvpmodel/board.conf"), "its own").unwrap();
        std::os::unix::fs::symlink("/etc/nvpmodel/board.conf", etc.join("nvpmodel.conf")).unwrap();
        std::os::unix::fs::symlink("/etc/circle", etc.join("circle")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", etc.join("not-ours")).unwrap();
        let root = Root::new(dir.path());
        assert_eq!(root.read("etc/nvpmodel.conf").unwrap(), b"its own");
        assert!(root.read("etc/circle").is_err());
        assert!(root.read("etc/not-ours").is_err());
    }

    #[test]
    fn names_are_in_natural_order_and_a_missing_directory_has_none() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["cpu10", "cpu2", "cpu1"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let files: &dyn Files = &Root::new(dir.path());
        assert_eq!(files.names("").unwrap(), ["cpu1", "cpu2", "cpu10"]);
        assert_eq!(files.names("none").unwrap(), Vec::<String>::new());
    }
}
