//! Paths of control groups within their hierarchy.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

/// A control group's absolute path within its hierarchy, as systemd's `ControlGroup` property and
/// `/proc/PID/cgroup` write it: `/brain.slice/brain-experiment@x.service`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CgroupPath(String);

/// A text that is not a path of a control group.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not the absolute path of a control group")]
pub struct InvalidCgroupPath(pub String);

impl CgroupPath {
    /// Returns the path of the hierarchy's root.
    pub fn root() -> Self {
        Self(String::new())
    }

    /// Returns the path of a child; `name` must be a single part of a path.
    ///
    /// # Errors
    /// [`InvalidCgroupPath`] for an empty name, `.`, `..` or one with a `/`.
    pub fn child(&self, name: &str) -> Result<Self, InvalidCgroupPath> {
        if name.is_empty() || name.contains('/') {
            return Err(InvalidCgroupPath(name.to_owned()));
        }
        format!("{}/{name}", self.0).parse()
    }

    /// Returns the last part; `None` for the root.
    pub fn name(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(_, name)| name)
    }

    /// Returns the path without its last part; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// Returns the directory of the group below that of a hierarchy.
    pub(crate) fn below(&self, hierarchy: &Path) -> PathBuf {
        hierarchy.join(self.0.trim_start_matches('/'))
    }
}

impl FromStr for CgroupPath {
    type Err = InvalidCgroupPath;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = (text.is_empty() || text.starts_with('/'))
            && !text.split('/').any(|part| part == ".." || part == ".")
            && !text.contains(['\0', '\n']);
        if valid {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(InvalidCgroupPath(text.chars().take(200).collect()))
        }
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leaves_its_hierarchy() {
        for bad in ["..", "/a/../..", "a", "/a/./b", "/a\n"] {
            assert!(bad.parse::<CgroupPath>().is_err(), "{bad:?}");
        }
        let path: CgroupPath = "/brain.slice".parse().unwrap();
        assert!(path.child("..").is_err() && path.child("a/b").is_err() && path.child("").is_err());
        let child = path.child("x.service").unwrap();
        assert_eq!(child.below(Path::new("/r")), Path::new("/r/brain.slice/x.service"));
        assert_eq!(child.name(), Some("x.service"));
        assert_eq!(child.parent(), Some(path));
    }

    #[test]
    fn the_root_is_written_with_a_slash() {
        assert_eq!("/".parse::<CgroupPath>().unwrap(), CgroupPath::root());
        assert_eq!(CgroupPath::root().to_string(), "/");
        assert_eq!(CgroupPath::root().child("a").unwrap().to_string(), "/a");
    }
}
