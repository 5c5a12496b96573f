//! Where a hook was called: its paths, its boot, the clock.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bij_core::{BootId, Layout, TimeSpan, Timestamp};
use bij_host::{boot_id, monotonic, uptime};
use bij_systemd::MANAGER_NOTIFY_SOCKET;
use thiserror::Error;

/// The surroundings of a hook.
#[derive(Clone, Debug)]
pub struct Place {
    root: PathBuf,
    layout: Layout,
    user: bool,
}

/// Why a hook does not know where it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// A user's paths cannot be found without it.
    #[error("neither {0} nor $HOME is set")]
    NoHome(&'static str),
    /// The kernel does not say which boot this is.
    #[error("cannot read the boot id of the system at {root}")]
    BootId {
        /// The root of its tree.
        root: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

impl Place {
    /// The system's place below `root`.
    pub fn system(root: &Path) -> Self {
        Self { root: root.to_owned(), layout: Layout::system(root), user: false }
    }

    /// A user's place below `root`, from the directories that `variable` tells
    /// (file-hierarchy(7)).
    ///
    /// # Errors
    /// [`PlaceError::NoHome`] if the variables do not say where.
    pub fn user(
        root: &Path,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, PlaceError> {
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = |name, below: &str| {
            absolute(name)
                .or_else(|| Some(absolute("HOME")?.join(below)))
                .ok_or(PlaceError::NoHome(name))
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

    /// Where things lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The tree that all of it lies in.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a user's manager calls.
    pub fn is_user(&self) -> bool {
        self.user
    }

    /// Where the manager that calls a hook listens for it (`sd_notify(3)`).
    ///
    /// The system's is known, and is not taken from the environment, in which experiments find their
    /// filter. A user's manager names its own: `named` is `$NOTIFY_SOCKET`.
    pub fn manager_socket(&self, named: Option<&OsStr>) -> Option<PathBuf> {
        if self.user {
            return named.map(PathBuf::from);
        }
        Some(self.root.join(MANAGER_NOTIFY_SOCKET.trim_start_matches('/')))
    }

    /// Which boot this is.
    ///
    /// # Errors
    /// [`PlaceError::BootId`] if the kernel does not say.
    pub fn boot(&self) -> Result<BootId, PlaceError> {
        boot_id(&self.root).map_err(|source| PlaceError::BootId { root: self.root.clone(), source })
    }

    /// The time since boot, by the clock that systemd and the kernel's log use.
    pub fn since_boot(&self) -> Option<TimeSpan> {
        monotonic()
    }

    /// The time since boot, that of suspends included (`CLOCK_BOOTTIME`).
    pub fn uptime(&self) -> Option<TimeSpan> {
        uptime()
    }

    /// The time; it may jump.
    pub fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_users_place_follows_the_xdg_directories() {
        let variables = |name: &str| match name {
            "HOME" => Some(OsString::from("/home/ann")),
            "XDG_STATE_HOME" => Some(OsString::from("/state")),
            "XDG_CONFIG_HOME" => Some(OsString::from("relative")),
            "XDG_RUNTIME_DIR" => Some(OsString::from("/run/user/7")),
            _ => None,
        };
        let place = Place::user(Path::new("/tree"), variables).unwrap();
        let layout = place.layout();
        assert_eq!(layout.state(), Path::new("/tree/state/brain-in-jar"));
        assert_eq!(layout.runtime(), Path::new("/tree/run/user/7/brain-in-jar"));
        assert_eq!(
            layout.definitions(),
            Path::new("/tree/home/ann/.config/brain-in-jar/experiments")
        );
        let lost = Place::user(Path::new("/"), |_| None).unwrap_err();
        assert_eq!(lost.to_string(), "neither XDG_CONFIG_HOME nor $HOME is set");
    }

    #[test]
    fn only_a_users_manager_is_believed_to_say_where_it_listens() {
        let named = Some(OsStr::new("/run/brain-in-jar/notify"));
        let system = Place::system(Path::new("/"));
        for named in [named, None] {
            assert_eq!(system.manager_socket(named), Some("/run/systemd/notify".into()));
        }
        let user = Place::user(Path::new("/"), |_| Some("/home/ann".into())).unwrap();
        assert_eq!(user.manager_socket(named), named.map(PathBuf::from));
        assert_eq!(user.manager_socket(None), None);
    }

    #[test]
    fn the_boot_id_is_the_trees() {
        let tree = tempfile::tempdir().unwrap();
        let place = Place::system(tree.path());
        assert!(place.boot().is_err());
        let directory = tree.path().join("proc/sys/kernel/random");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("boot_id"), "2f1cbd1b-9d7a-4bd6-8d7c-7d3b2f8a11aa\n").unwrap();
        assert_eq!(place.boot().unwrap().to_string(), "2f1cbd1b9d7a4bd68d7c7d3b2f8a11aa");
    }
}
