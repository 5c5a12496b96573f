//! The installation that a program works on, and its boot.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bij_core::{BootId, Layout, Timestamp};
use thiserror::Error;

use crate::boot_id;

/// The installation that a program works on: that of the system or of a user, in the tree below a root.
#[derive(Clone, Debug)]
pub struct HostContext {
    root: PathBuf,
    layout: Layout,
    user: bool,
}

/// Why the installation or the boot cannot be determined.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostContextError {
    /// A user's paths cannot be found without these variables.
    #[error("neither {0} nor $HOME is set")]
    NoHome(&'static str),
    /// The id of the boot cannot be read.
    #[error("cannot read the boot id of the system at {root}")]
    BootId {
        /// The root of the tree.
        root: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
}

impl HostContext {
    /// Returns the system's installation below `root`.
    pub fn system(root: &Path) -> Self {
        Self { root: root.to_owned(), layout: Layout::system(root), user: false }
    }

    /// Returns a user's installation below `root`. `variable` returns the value of an environment variable, of those that
    /// name directories (file-hierarchy(7)).
    ///
    /// # Errors
    /// [`HostContextError::NoHome`] if the variables name no directory.
    pub fn user(
        root: &Path,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, HostContextError> {
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = |name, below: &str| {
            absolute(name)
                .or_else(|| Some(absolute("HOME")?.join(below)))
                .ok_or(HostContextError::NoHome(name))
        };
        let runtime = absolute("XDG_RUNTIME_DIR").unwrap_or_else(|| {
            PathBuf::from(format!("/run/user/{}", nix::unistd::geteuid().as_raw()))
        });
        let within = |path: PathBuf| root.join(path.strip_prefix("/").unwrap_or(&path));
        let layout = Layout::user(
            &within(home("XDG_CONFIG_HOME", ".config")?),
            &within(home("XDG_STATE_HOME", ".local/state")?),
            &within(runtime),
        );
        Ok(Self { root: root.to_owned(), layout, user: true })
    }

    /// Returns the paths of bij's files.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the root of the tree; `/` is the machine itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns whether the installation is that of a user.
    pub fn is_user(&self) -> bool {
        self.user
    }

    /// Returns the id of the boot.
    ///
    /// # Errors
    /// [`HostContextError::BootId`] if it cannot be read.
    pub fn boot(&self) -> Result<BootId, HostContextError> {
        boot_id(&self.root)
            .map_err(|source| HostContextError::BootId { root: self.root.clone(), source })
    }

    /// Returns the time of day, which may be set.
    pub fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_users_host_follows_the_xdg_directories() {
        let variables = |name: &str| match name {
            "HOME" => Some(OsString::from("/home/ann")),
            "XDG_STATE_HOME" => Some(OsString::from("/state")),
            "XDG_CONFIG_HOME" => Some(OsString::from("relative")),
            "XDG_RUNTIME_DIR" => Some(OsString::from("/run/user/7")),
            _ => None,
        };
        let host = HostContext::user(Path::new("/tree"), variables).unwrap();
        let layout = host.layout();
        assert_eq!(layout.state(), Path::new("/tree/state/brain-in-jar"));
        assert_eq!(layout.runtime(), Path::new("/tree/run/user/7/brain-in-jar"));
        assert_eq!(
            layout.definitions(),
            Path::new("/tree/home/ann/.config/brain-in-jar/experiments")
        );
        let lost = HostContext::user(Path::new("/"), |_| None).unwrap_err();
        assert_eq!(lost.to_string(), "neither XDG_CONFIG_HOME nor $HOME is set");
    }

    #[test]
    fn the_boot_id_is_that_of_the_tree() {
        let tree = tempfile::tempdir().unwrap();
        let host = HostContext::system(tree.path());
        assert!(host.boot().is_err());
        let directory = tree.path().join("proc/sys/kernel/random");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("boot_id"), "2f1cbd1b-9d7a-4bd6-8d7c-7d3b2f8a11aa\n").unwrap();
        assert_eq!(host.boot().unwrap().to_string(), "2f1cbd1b9d7a4bd68d7c7d3b2f8a11aa");
    }
}
