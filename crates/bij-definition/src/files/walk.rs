//! Walking the path of a file component by component, so that each step can be checked and none can be
//! exchanged.
//!
//! Every step is opened without following links and examined through its own descriptor. The file that is
//! read is therefore the file that was checked, whatever is renamed meanwhile.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use bij_core::{Authority, Layout, Ownership, PathStep, PathStepKind, TooOpen};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::geteuid;
use thiserror::Error;

/// The most symbolic links on a path, as in the kernel (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// The error of a file that is not read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WalkError {
    /// An untrusted account could have written it.
    #[error(transparent)]
    TooOpen(#[from] TooOpen),
    /// It is not a regular file but, for example, "a directory".
    #[error("is {0}, expected a file")]
    NotAFile(&'static str),
    /// It is a symbolic link to a missing file.
    #[error("is a symbolic link to a file that does not exist")]
    DanglingLink,
    /// The system reported an error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for WalkError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// A regular file, open for reading, and every step on its path.
#[derive(Debug)]
pub struct Walked {
    /// The open file.
    pub file: File,
    /// Its size in bytes when it was opened.
    pub len: u64,
    /// Its owner and mode.
    pub ownership: Ownership,
    /// The steps from `/` to the file, which comes last.
    pub steps: Vec<PathStep>,
}

/// Returns the accounts that may have written the settings of an installation: root alone on the running
/// system, root and the caller in a tree or below a home directory.
pub fn authority(layout: &Layout) -> Authority {
    if layout.is_system() { Authority::ROOT } else { Authority::user(geteuid().as_raw()) }
}

/// Opens a regular file that only trusted accounts could have written; `None` if there is no such file.
///
/// # Errors
/// [`WalkError`] if the file is not trusted, not regular, or cannot be opened.
pub fn open_trusted(path: &Path, authority: Authority) -> Result<Option<Walked>, WalkError> {
    let Some(walked) = walk(path)? else { return Ok(None) };
    authority.check(&walked.steps)?;
    Ok(Some(walked))
}

/// Checks that only trusted accounts can write a directory of files and the steps on its path. A missing
/// directory is accepted.
///
/// # Errors
/// [`WalkError`] if an untrusted account can write one of them, or if the directory cannot be examined.
pub fn check_directory(path: &Path, authority: Authority) -> Result<(), WalkError> {
    let mut walk = Walk::begin(path)?;
    match walk.run() {
        Ok(WalkEnd::Directory | WalkEnd::Other { .. }) => walk.mark_holder(),
        Err(error) if is_absent(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(authority.check(&walk.steps)?)
}

/// Returns the owner and mode of a directory; `None` if there is no such directory.
pub(crate) fn directory_owner(path: &Path) -> Result<Option<Ownership>, WalkError> {
    let mut walk = Walk::begin(path)?;
    match walk.run() {
        Ok(WalkEnd::Directory) => Ok(Some(walk.steps[walk.at].ownership)),
        Ok(WalkEnd::Other { .. }) => Ok(None),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a regular file and returns the steps on its path without checking them.
///
/// # Errors
/// As [`open_trusted`], except [`WalkError::TooOpen`].
pub fn walk(path: &Path) -> Result<Option<Walked>, WalkError> {
    let mut walk = Walk::begin(path)?;
    match walk.run() {
        Ok(WalkEnd::Other { name, stat }) => walk.open_file(&name, &stat).map(Some),
        Ok(WalkEnd::Directory) => Err(WalkError::NotAFile("a directory")),
        Err(error) if is_absent(&error) => {
            if walk.ends_in_link {
                Err(WalkError::DanglingLink)
            } else {
                Ok(None)
            }
        }
        Err(error) => Err(error),
    }
}

fn is_absent(error: &WalkError) -> bool {
    matches!(error, WalkError::Io(error) if error.kind() == io::ErrorKind::NotFound)
}

/// The end of a walk.
enum WalkEnd {
    Directory,
    /// A file, a pipe, a socket or a device, not opened yet.
    Other {
        name: OsString,
        stat: FileStat,
    },
}

struct Walk {
    /// The directory that was reached.
    here: OwnedFd,
    /// The path of `here`.
    path: PathBuf,
    /// The index of the step of `here`.
    at: usize,
    steps: Vec<PathStep>,
    rest: VecDeque<OsString>,
    links: usize,
    /// Whether the last component of the path is a link.
    ends_in_link: bool,
}

impl Walk {
    fn begin(path: &Path) -> Result<Self, WalkError> {
        let path = std::path::absolute(path)?;
        let mut walk = Self {
            here: open("/", PATH_ONLY | OFlag::O_DIRECTORY, Mode::empty())?,
            path: PathBuf::from("/"),
            at: 0,
            steps: Vec::with_capacity(8),
            rest: names(&path).collect(),
            links: 0,
            ends_in_link: false,
        };
        walk.enter_here(&fstat(&walk.here)?);
        Ok(walk)
    }

    fn run(&mut self) -> Result<WalkEnd, WalkError> {
        while let Some(name) = self.rest.pop_front() {
            let entry = openat(&self.here, name.as_os_str(), PATH_ONLY, Mode::empty())?;
            let stat = fstat(&entry)?;
            match kind(&stat) {
                SFlag::S_IFLNK => {
                    self.mark_holder();
                    self.push(&name, PathStepKind::Link, &stat);
                    self.follow(&entry)?;
                }
                SFlag::S_IFDIR => {
                    if name == ".." {
                        self.path.pop();
                    } else {
                        self.path.push(&name);
                    }
                    self.here = entry;
                    self.enter_here(&stat);
                }
                _ if self.rest.is_empty() => return Ok(WalkEnd::Other { name, stat }),
                _ => return Err(Errno::ENOTDIR.into()),
            }
        }
        Ok(WalkEnd::Directory)
    }

    fn follow(&mut self, link: &OwnedFd) -> Result<(), WalkError> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::ELOOP.into());
        }
        self.ends_in_link |= self.rest.is_empty();
        // An empty path reads the open link itself (readlinkat(2)).
        let target = PathBuf::from(readlinkat(link, "")?);
        if target.is_absolute() {
            self.here = open("/", PATH_ONLY | OFlag::O_DIRECTORY, Mode::empty())?;
            self.path = PathBuf::from("/");
            self.enter_here(&fstat(&self.here)?);
        }
        for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
            self.rest.push_front(name);
        }
        Ok(())
    }

    fn open_file(mut self, name: &OsStr, stat: &FileStat) -> Result<Walked, WalkError> {
        regular(stat)?;
        let flags = OFlag::O_RDONLY
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_NOCTTY
            | OFlag::O_CLOEXEC;
        let file = openat(&self.here, name, flags, Mode::empty())?;
        // The file may have been replaced since its first fstat.
        let stat = fstat(&file)?;
        regular(&stat)?;
        self.mark_holder();
        self.push(name, PathStepKind::File, &stat);
        let len = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Walked { file: file.into(), len, ownership: ownership(&stat), steps: self.steps })
    }

    /// Marks the current directory as the directory that holds the next link or the file.
    fn mark_holder(&mut self) {
        self.steps[self.at].kind = PathStepKind::Directory;
    }

    fn enter_here(&mut self, stat: &FileStat) {
        self.at = self.steps.len();
        let step = PathStep {
            path: self.path.clone(),
            kind: PathStepKind::Ancestor,
            ownership: ownership(stat),
        };
        self.steps.push(step);
    }

    fn push(&mut self, name: &OsStr, kind: PathStepKind, stat: &FileStat) {
        self.steps.push(PathStep { path: self.path.join(name), kind, ownership: ownership(stat) });
    }
}

/// Opens a name without opening the file: devices and pipes are not affected (open(2), `O_PATH`).
const PATH_ONLY: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn regular(stat: &FileStat) -> Result<(), WalkError> {
    match kind(stat) {
        SFlag::S_IFREG => Ok(()),
        SFlag::S_IFIFO => Err(WalkError::NotAFile("a named pipe")),
        SFlag::S_IFSOCK => Err(WalkError::NotAFile("a socket")),
        _ => Err(WalkError::NotAFile("a device")),
    }
}

fn ownership(stat: &FileStat) -> Ownership {
    Ownership { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode & 0o7777 }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            fs::create_dir(tree.path("a")).unwrap();
            fs::write(tree.path("a/file"), "text").unwrap();
            tree.chmod("a", 0o755);
            tree.chmod("a/file", 0o644);
            tree
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn chmod(&self, path: &str, mode: u32) {
            fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
        }

        fn open(&self, path: &str) -> Result<Option<Walked>, WalkError> {
            open_trusted(&self.path(path), Authority::user(geteuid().as_raw()))
        }

        fn complaint(&self, path: &str) -> String {
            let message = self.open(path).unwrap_err().to_string();
            message.replace(&self.0.path().display().to_string(), "")
        }
    }

    #[test]
    fn every_step_and_the_file_itself_are_returned() {
        let tree = Tree::new();
        let walked = tree.open("a/file").unwrap().unwrap();
        assert_eq!(walked.len, 4);
        assert_eq!(walked.steps[0].path, Path::new("/"));
        let tail: Vec<_> = walked.steps.iter().rev().take(2).collect();
        assert_eq!((tail[0].kind, &tail[0].path), (PathStepKind::File, &tree.path("a/file")));
        assert_eq!((tail[1].kind, &tail[1].path), (PathStepKind::Directory, &tree.path("a")));
        assert!(tree.open("a/none").unwrap().is_none());
        assert!(tree.open("none/file").unwrap().is_none());
        assert_eq!(tree.complaint("a"), "is a directory, expected a file");
        assert!(matches!(tree.open("a/file/x"), Err(WalkError::Io(_))));
    }

    #[test]
    fn a_writable_file_directory_or_ancestor_is_refused() {
        let tree = Tree::new();
        let dir = tree.path("");
        tree.chmod("a/file", 0o646);
        assert_eq!(
            tree.complaint("a/file"),
            "the file /a/file has mode 0646: every user may write it, so it is not trusted"
        );
        tree.chmod("a/file", 0o600);
        tree.chmod("a", 0o1777);
        assert!(tree.complaint("a/file").starts_with("the directory /a has mode 1777"));
        assert!(check_directory(&tree.path("a"), Authority::user(geteuid().as_raw())).is_err());
        tree.chmod("a", 0o755);
        tree.chmod("", 0o757);
        assert!(tree.complaint("a/file").contains("has mode 0757"));
        assert!(check_directory(&tree.path("a"), Authority::user(geteuid().as_raw())).is_err());
        fs::set_permissions(dir, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(tree.open("a/file").unwrap().is_some(), "a sticky ancestor, like /tmp");
        assert!(check_directory(&tree.path("b"), Authority::user(geteuid().as_raw())).is_ok());
    }

    #[test]
    fn a_link_is_followed_and_its_target_checked() {
        let tree = Tree::new();
        fs::create_dir(tree.path("b")).unwrap();
        tree.chmod("b", 0o755);
        symlink("../a/file", tree.path("b/relative")).unwrap();
        symlink(tree.path("a/file"), tree.path("b/absolute")).unwrap();
        symlink("nowhere", tree.path("b/dangling")).unwrap();
        symlink("loop", tree.path("b/loop")).unwrap();
        symlink("a", tree.path("linked")).unwrap();
        for path in ["b/relative", "b/absolute", "linked/file"] {
            assert!(tree.open(path).unwrap().is_some(), "{path}");
        }
        assert!(
            tree.open("linked/none").unwrap().is_none(),
            "only a directory on the path is a link"
        );
        assert!(matches!(tree.open("b/dangling"), Err(WalkError::DanglingLink)));
        assert!(matches!(tree.open("b/loop"), Err(WalkError::Io(_))));
        tree.chmod("a", 0o777);
        for path in ["b/relative", "b/absolute", "linked/file"] {
            assert!(tree.complaint(path).contains("/a has mode 0777"), "{path}");
        }
    }

    #[test]
    fn a_file_of_an_untrusted_account_is_refused() {
        let tree = Tree::new();
        let other = Authority::user(geteuid().as_raw() + 1);
        if geteuid().is_root() {
            nix::unistd::chown(&tree.path("a/file"), Some(1234.into()), None).unwrap();
            assert!(tree.complaint("a/file").contains("belongs to uid 1234"));
        } else {
            assert!(matches!(
                open_trusted(&tree.path("a/file"), other),
                Err(WalkError::TooOpen(_))
            ));
        }
    }

    #[test]
    fn nothing_but_a_regular_file_is_opened() {
        let tree = Tree::new();
        nix::unistd::mkfifo(&tree.path("a/pipe"), Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(tree.path("a/socket")).unwrap();
        assert_eq!(tree.complaint("a/pipe"), "is a named pipe, expected a file");
        assert_eq!(tree.complaint("a/socket"), "is a socket, expected a file");
        assert!(walk(Path::new("/dev/null")).unwrap_err().to_string().contains("a device"));
    }
}
