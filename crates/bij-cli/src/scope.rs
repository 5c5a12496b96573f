//! The scope of a call, which decides the manager and the paths.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use bij_core::Layout;
use bij_core::caller_environment::DEFAULT_PATH;
use nix::unistd::{User, geteuid};

use crate::args::Global;
use crate::error::{CliError, Kind};

/// The manager of the experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The system's manager: PID 1.
    System,
    /// The caller's own `systemd --user`.
    User,
    /// No manager: `bij run` supervises by itself.
    Local,
}

/// The facts about host and process that decide scope and paths.
#[derive(Clone, Debug)]
pub(crate) struct ScopeFacts {
    /// Whether systemd is PID 1: `/run/systemd/system` exists (`sd_booted(3)`).
    pub(crate) systemd: bool,
    /// Whether the caller is root.
    pub(crate) root: bool,
    pub(crate) home: Option<OsString>,
    pub(crate) config_home: Option<OsString>,
    pub(crate) state_home: Option<OsString>,
    pub(crate) runtime_dir: Option<OsString>,
}

impl ScopeFacts {
    /// Reads the facts about this process.
    pub(crate) fn observe() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            systemd: Path::new("/run/systemd/system").is_dir(),
            root: geteuid().is_root(),
            home: set("HOME"),
            config_home: set("XDG_CONFIG_HOME"),
            state_home: set("XDG_STATE_HOME"),
            runtime_dir: set("XDG_RUNTIME_DIR"),
        }
    }
}

impl Scope {
    /// Returns the `PATH` by which programs are found: the caller's without a manager, else that of systemd
    /// (systemd-path(1), `search-binaries-default`).
    pub(crate) fn program_path(self) -> String {
        let own = std::env::var("PATH").ok().filter(|_| self == Self::Local);
        own.unwrap_or_else(|| DEFAULT_PATH.to_owned())
    }

    /// Decides the scope from the options; below `--root` there is no manager.
    pub(crate) fn decide(global: &Global, host: &ScopeFacts) -> Self {
        if global.local || global.root.is_some() || !host.systemd {
            Self::Local
        } else if global.user {
            Self::User
        } else {
            Self::System
        }
    }

    /// Returns the command, with options, by which another `bij` uses the same scope and paths.
    pub(crate) fn bij_command(self, global: &Global) -> String {
        match (self, &global.root) {
            (_, Some(root)) => format!("bij --root {}", root.display()),
            (Self::User, None) => "bij --user".to_owned(),
            (Self::Local, None) if global.local => "bij --local".to_owned(),
            // The default needs no option.
            (Self::System | Self::Local, None) => "bij".to_owned(),
        }
    }
}

/// Returns the paths of a scope. Without a manager, root uses the system's paths, and every other user
/// those of `--user`.
///
/// # Errors
/// If the user's paths are needed and neither `HOME` nor the XDG variables give them.
pub(crate) fn layout(scope: Scope, global: &Global, host: &ScopeFacts) -> Result<Layout, CliError> {
    let root = global.root.as_deref();
    let own = global.user || (scope == Scope::Local && !host.root && root.is_none());
    if !own {
        let root = root.unwrap_or(Path::new("/"));
        return Ok(Layout::system(&std::path::absolute(root).unwrap_or(root.to_owned())));
    }
    let below_home = |set: &Option<OsString>, default: &str| {
        let given = set.as_ref().map(PathBuf::from).filter(|path| path.is_absolute());
        given.or_else(|| Some(Path::new(host.home.as_ref()?).join(default))).ok_or_else(|| {
            CliError::new(Kind::Usage, "the directory of your own experiments is not known")
                .hint("set the variable HOME")
        })
    };
    let config = below_home(&host.config_home, ".config")?;
    let state = below_home(&host.state_home, ".local/state")?;
    // Without a session there is no runtime directory. Files there name their boot, so a directory that
    // survives reboots will do.
    let runtime = host
        .runtime_dir
        .as_ref()
        .map_or_else(|| state.join("brain-in-jar/without-session"), PathBuf::from);
    let below_root = |path: PathBuf| match root {
        Some(root) => {
            root.join(path.components().filter(|c| *c != Component::RootDir).collect::<PathBuf>())
        }
        None => path,
    };
    Ok(Layout::user(&below_root(config), &below_root(state), &below_root(runtime)))
}

/// The directory in which logind keeps a file for each user whose manager runs without a session
/// (`loginctl enable-linger`; systemd-logind.service(8)).
const LINGER: &str = "var/lib/systemd/linger";

/// Returns a warning if the user's service manager, with all its units, ends with the user's last session.
/// `root` is the root of the machine's files.
pub(crate) fn lingering_warning(root: &Path) -> Option<String> {
    let user = User::from_uid(geteuid()).ok()??.name;
    is_lingering_off(root, &user).then(|| {
        format!(
            "lingering is off for {user}: experiments under `systemd --user` are stopped when the last \
             session ends, and none starts before the next login; `loginctl enable-linger` changes this"
        )
    })
}

/// Returns whether lingering is off; `false` also if that is not known.
fn is_lingering_off(root: &Path, user: &str) -> bool {
    let missing = |path: &Path| {
        path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    missing(&root.join(LINGER).join(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global() -> Global {
        Global { json: false, no_color: false, quiet: false, user: false, local: false, root: None }
    }

    fn host(systemd: bool, root: bool) -> ScopeFacts {
        ScopeFacts {
            systemd,
            root,
            home: Some("/home/a".into()),
            config_home: None,
            state_home: Some("relative is to be ignored".into()),
            runtime_dir: Some("/run/user/7".into()),
        }
    }

    #[test]
    fn without_systemd_or_below_a_root_the_scope_is_local() {
        assert_eq!(Scope::decide(&global(), &host(true, true)), Scope::System);
        assert_eq!(Scope::decide(&global(), &host(false, true)), Scope::Local);
        let user = Global { user: true, ..global() };
        assert_eq!(Scope::decide(&user, &host(true, false)), Scope::User);
        let elsewhere = Global { root: Some("/mnt".into()), ..global() };
        assert_eq!(Scope::decide(&elsewhere, &host(true, true)), Scope::Local);
    }

    #[test]
    fn root_has_the_systems_paths_and_others_their_own() {
        let paths = |global: &Global, host: &ScopeFacts| {
            layout(Scope::decide(global, host), global, host).unwrap().database()
        };
        let (systems, own) =
            ("/var/lib/brain-in-jar/state.db", "/home/a/.local/state/brain-in-jar/state.db");
        assert_eq!(paths(&global(), &host(true, false)), Path::new(systems));
        assert_eq!(paths(&global(), &host(false, true)), Path::new(systems));
        assert_eq!(paths(&global(), &host(false, false)), Path::new(own));
        let elsewhere = Global { root: Some("/mnt".into()), ..global() };
        let expected = Path::new("/mnt").join(systems.trim_start_matches('/'));
        assert_eq!(paths(&elsewhere, &host(false, false)), expected);
    }

    #[test]
    fn a_missing_home_is_a_usage_error() {
        let homeless = ScopeFacts { home: None, ..host(false, false) };
        let error = layout(Scope::Local, &global(), &homeless).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
    }

    #[test]
    fn lingering_is_off_for_a_user_without_a_file_of_logind() {
        let root = tempfile::tempdir().unwrap();
        assert!(
            is_lingering_off(root.path(), "ann"),
            "logind makes the directory with the first file"
        );
        std::fs::create_dir_all(root.path().join(LINGER)).unwrap();
        std::fs::write(root.path().join(LINGER).join("ann"), "").unwrap();
        assert!(!is_lingering_off(root.path(), "ann"));
        assert!(is_lingering_off(root.path(), "ben"));
    }
}
