//! Walking to a file component by component, so that each step can be judged and none is exchanged.
//!
//! Every step is opened without following links and looked at through its own descriptor. The file that
//! is read is the very one that was judged, whatever is renamed meanwhile.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use bij_core::{Authority, Layout, Ownership, Step, StepKind, TooOpen};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::geteuid;
use thiserror::Error;

/// As many links as the kernel follows (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Why a file is not read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WalkError {
    /// An account that must not could have written it.
    #[error(transparent)]
    TooOpen(#[from] TooOpen),
    /// Something else has its name, for example "a directory".
    #[error("is {0}, expected a file")]
    NoFile(&'static str),
    /// It is a symbolic link that leads nowhere.
    #[error("is a symbolic link to a file that is not there")]
    DanglingLink,
    /// The system says no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for WalkError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// A regular file, open for reading, and every step that leads to it.
#[derive(Debug)]
pub struct Walked {
    /// The file.
    pub file: File,
    /// How many bytes it had when it was opened.
    pub len: u64,
    /// Who owns it.
    pub ownership: Ownership,
    /// From `/` on; the file comes last.
    pub steps: Vec<Step>,
}

/// Returns the accounts that may have written the settings of an installation: root alone on the
/// machine itself, root and the caller in a tree or below a home directory.
pub fn authority(layout: &Layout) -> Authority {
    if layout.is_machines() { Authority::ROOT } else { Authority::user(geteuid().as_raw()) }
}

/// Opens a regular file that no other account than the authority's could have written; `None` if there is
/// no such file.
///
/// # Errors
/// [`WalkError`] if it is not to be read.
pub fn open_trusted(path: &Path, authority: Authority) -> Result<Option<Walked>, WalkError> {
    let Some(walked) = walk(path)? else { return Ok(None) };
    authority.judge(&walked.steps)?;
    Ok(Some(walked))
}

/// Judges a directory that holds files, and what leads to it. A directory that is not there is no
/// objection.
///
/// # Errors
/// [`WalkError`] if an account that must not can write it, or if it cannot be looked at.
pub fn judge_directory(path: &Path, authority: Authority) -> Result<(), WalkError> {
    let mut walk = Walk::begin(path)?;
    match walk.go() {
        Ok(End::Directory | End::Other { .. }) => walk.mark_holder(),
        Err(error) if is_absent(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(authority.judge(&walk.steps)?)
}

/// Who owns a directory; `None` if there is none.
pub(crate) fn walk_directory(path: &Path) -> Result<Option<Ownership>, WalkError> {
    let mut walk = Walk::begin(path)?;
    match walk.go() {
        Ok(End::Directory) => Ok(Some(walk.steps[walk.at].ownership)),
        Ok(End::Other { .. }) => Ok(None),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a regular file and tells the steps that lead to it, without judging them.
///
/// # Errors
/// As [`open_trusted`], but for [`WalkError::TooOpen`].
pub fn walk(path: &Path) -> Result<Option<Walked>, WalkError> {
    let mut walk = Walk::begin(path)?;
    match walk.go() {
        Ok(End::Other { name, stat }) => walk.open_file(&name, &stat).map(Some),
        Ok(End::Directory) => Err(WalkError::NoFile("a directory")),
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

/// Where a walk has come to.
enum End {
    Directory,
    /// No directory: a file, a pipe, a socket or a device.
    Other {
        name: OsString,
        stat: FileStat,
    },
}

struct Walk {
    /// The directory that was reached, and its path.
    here: OwnedFd,
    path: PathBuf,
    /// Index of its step.
    at: usize,
    steps: Vec<Step>,
    rest: VecDeque<OsString>,
    links: usize,
    /// The path itself names a link.
    ends_in_link: bool,
}

impl Walk {
    fn begin(path: &Path) -> Result<Self, WalkError> {
        let path = std::path::absolute(path)?;
        let mut walk = Self {
            here: open("/", LOOK | OFlag::O_DIRECTORY, Mode::empty())?,
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

    fn go(&mut self) -> Result<End, WalkError> {
        while let Some(name) = self.rest.pop_front() {
            let entry = openat(&self.here, name.as_os_str(), LOOK, Mode::empty())?;
            let stat = fstat(&entry)?;
            match kind(&stat) {
                SFlag::S_IFLNK => {
                    self.mark_holder();
                    self.push(&name, StepKind::Link, &stat);
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
                _ if self.rest.is_empty() => return Ok(End::Other { name, stat }),
                _ => return Err(Errno::ENOTDIR.into()),
            }
        }
        Ok(End::Directory)
    }

    fn follow(&mut self, link: &OwnedFd) -> Result<(), WalkError> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::ELOOP.into());
        }
        self.ends_in_link |= self.rest.is_empty();
        // An empty path reads the link that is open (readlinkat(2)).
        let target = PathBuf::from(readlinkat(link, "")?);
        if target.is_absolute() {
            self.here = open("/", LOOK | OFlag::O_DIRECTORY, Mode::empty())?;
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
        // It may have been replaced since it was looked at.
        let stat = fstat(&file)?;
        regular(&stat)?;
        self.mark_holder();
        self.push(name, StepKind::File, &stat);
        let len = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Walked { file: file.into(), len, ownership: ownership(&stat), steps: self.steps })
    }

    /// The directory that was reached holds what is looked for.
    fn mark_holder(&mut self) {
        self.steps[self.at].kind = StepKind::Directory;
    }

    fn enter_here(&mut self, stat: &FileStat) {
        self.at = self.steps.len();
        let step =
            Step { path: self.path.clone(), kind: StepKind::Ancestor, ownership: ownership(stat) };
        self.steps.push(step);
    }

    fn push(&mut self, name: &OsStr, kind: StepKind, stat: &FileStat) {
        self.steps.push(Step { path: self.path.join(name), kind, ownership: ownership(stat) });
    }
}

/// Opens nothing but the name: no device and no pipe notices (open(2), `O_PATH`).
const LOOK: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

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
        SFlag::S_IFIFO => Err(WalkError::NoFile("a named pipe")),
        SFlag::S_IFSOCK => Err(WalkError::NoFile("a socket")),
        _ => Err(WalkError::NoFile("a device")),
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
            let told = self.open(path).unwrap_err().to_string();
            told.replace(&self.0.path().display().to_string(), "")
        }
    }

    #[test]
    fn every_step_is_judged_and_the_file_is_the_one_that_was() {
        let tree = Tree::new();
        let walked = tree.open("a/file").unwrap().unwrap();
        assert_eq!(walked.len, 4);
        assert_eq!(walked.steps[0].path, Path::new("/"));
        let tail: Vec<_> = walked.steps.iter().rev().take(2).collect();
        assert_eq!((tail[0].kind, &tail[0].path), (StepKind::File, &tree.path("a/file")));
        assert_eq!((tail[1].kind, &tail[1].path), (StepKind::Directory, &tree.path("a")));
        assert!(tree.open("a/none").unwrap().is_none());
        assert!(tree.open("none/file").unwrap().is_none());
        assert_eq!(tree.complaint("a"), "is a directory, expected a file");
        assert!(matches!(tree.open("a/file/x"), Err(WalkError::Io(_))));
    }

    #[test]
    fn an_open_file_directory_or_ancestor_is_refused() {
        let tree = Tree::new();
        let dir = tree.path("");
        tree.chmod("a/file", 0o646);
        assert_eq!(
            tree.complaint("a/file"),
            "the file /a/file has mode 0646: every user may write it, so it settles nothing here"
        );
        tree.chmod("a/file", 0o600);
        tree.chmod("a", 0o1777);
        assert!(tree.complaint("a/file").starts_with("the directory /a has mode 1777"));
        assert!(judge_directory(&tree.path("a"), Authority::user(geteuid().as_raw())).is_err());
        tree.chmod("a", 0o755);
        tree.chmod("", 0o757);
        assert!(tree.complaint("a/file").contains("has mode 0757"));
        assert!(judge_directory(&tree.path("a"), Authority::user(geteuid().as_raw())).is_err());
        fs::set_permissions(dir, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(tree.open("a/file").unwrap().is_some(), "a sticky ancestor, as /tmp");
        assert!(judge_directory(&tree.path("b"), Authority::user(geteuid().as_raw())).is_ok());
    }

    #[test]
    fn a_link_counts_with_its_target_and_all_that_leads_there() {
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
            "only a directory on the way is a link"
        );
        assert!(matches!(tree.open("b/dangling"), Err(WalkError::DanglingLink)));
        assert!(matches!(tree.open("b/loop"), Err(WalkError::Io(_))));
        tree.chmod("a", 0o777);
        for path in ["b/relative", "b/absolute", "linked/file"] {
            assert!(tree.complaint(path).contains("/a has mode 0777"), "{path}");
        }
    }

    #[test]
    fn another_accounts_word_is_not_taken() {
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
