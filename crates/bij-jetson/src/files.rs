//! The seam to the kernel's files: everything else in this crate sees them through [`Files`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::{Reading, WhyNot, parse};

/// Files by paths relative to the root, `sys/class/thermal/thermal_zone0/temp`.
///
/// Fewer than one would expect: nothing here opens what it was not told by name, because on a Jetson
/// some attributes block their reader and others are cleared by being read.
pub trait Files: Send + Sync {
    /// All that is in a file.
    ///
    /// # Errors
    /// What the system said; the errors of a read are as telling as those of an open.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// The names in a directory, in no order.
    ///
    /// # Errors
    /// What the system said.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;

    /// Writes to a file that is there, in one go.
    ///
    /// # Errors
    /// What the system said.
    fn write(&self, path: &str, text: &str) -> io::Result<()>;
}

/// The largest file that is read: the package list of dpkg, by far.
const CAP: u64 = 16 << 20;

/// So many links are followed one after the other, as the kernel does.
const LINKS: usize = 40;

/// Files below a directory: `/`, or a tree that was captured from another machine.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// The files below this directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// Where a path of the machine lies.
    pub fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// Opens for reading. Hardly a file of a captured tree is a link, so none is looked for at first.
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

    /// Where a path lies past links. One whose target begins with `/`, such as that of `/etc/nvpmodel.conf`, means
    /// the root of this machine and not that of the reader's.
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

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Files for Root {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        // One page, which is the most that an attribute of sysfs has.
        let mut content = Vec::with_capacity(4096);
        self.open(path)?.take(CAP).read_to_end(&mut content)?;
        Ok(content)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(self.resolve(directory))?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        // Neither created nor cut: a device or an attribute is there, or it is not.
        OpenOptions::new().write(true).open(self.resolve(path))?.write_all(text.as_bytes())
    }
}

/// What the modules of this crate ask of files, parsed.
impl dyn Files + '_ {
    /// A text without its end of line or its NUL; what is not UTF-8 is replaced.
    pub(crate) fn text(&self, path: &str) -> Reading<String> {
        Ok(parse::text(&self.read(path)?))
    }

    /// A signed number, as an attribute of sysfs holds one.
    pub(crate) fn number(&self, path: &str) -> Reading<i64> {
        parse::number(&self.read(path)?)
    }

    /// A number that cannot be below 0.
    pub(crate) fn count(&self, path: &str) -> Reading<u64> {
        let number = self.number(path)?;
        u64::try_from(number).map_err(|_| WhyNot::Unparsable(number.to_string()))
    }

    /// The names in a directory in a human's order; none where there is no directory.
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
    fn a_write_makes_no_file() {
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
    fn names_are_in_a_humans_order_and_a_missing_directory_has_none() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["cpu10", "cpu2", "cpu1"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let files: &dyn Files = &Root::new(dir.path());
        assert_eq!(files.names("").unwrap(), ["cpu1", "cpu2", "cpu10"]);
        assert_eq!(files.names("none").unwrap(), Vec::<String>::new());
    }
}
