//! Whom `bij` asks, and where everything lies.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use bij_core::Layout;
use bij_core::caller_environment::DEFAULT_PATH;

use crate::args::Global;
use crate::error::{CliError, Kind};

/// Who looks after experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// PID 1.
    System,
    /// The caller's own `systemd --user`.
    User,
    /// `bij run` itself.
    Local,
}

/// What of the process's surroundings decides.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Whether systemd is PID 1: `/run/systemd/system` exists (`sd_booted(3)`).
    pub(crate) systemd: bool,
    /// Whether the caller is root.
    pub(crate) root: bool,
    pub(crate) home: Option<OsString>,
    pub(crate) config_home: Option<OsString>,
    pub(crate) state_home: Option<OsString>,
    pub(crate) runtime_dir: Option<OsString>,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            systemd: Path::new("/run/systemd/system").is_dir(),
            root: nix::unistd::geteuid().is_root(),
            home: set("HOME"),
            config_home: set("XDG_CONFIG_HOME"),
            state_home: set("XDG_STATE_HOME"),
            runtime_dir: set("XDG_RUNTIME_DIR"),
        }
    }
}

impl Scope {
    /// Returns the directories in which programs without a path are looked for: the caller's own where the
    /// caller supervises, else systemd's (systemd-path(1), `search-binaries-default`).
    pub(crate) fn program_path(self) -> String {
        let own = std::env::var("PATH").ok().filter(|_| self == Self::Local);
        own.unwrap_or_else(|| DEFAULT_PATH.to_owned())
    }

    /// Decides by what was asked for; another tree has no manager of its own to ask.
    pub(crate) fn decide(global: &Global, around: &Surroundings) -> Self {
        if global.local || global.root.is_some() || !around.systemd {
            Self::Local
        } else if global.user {
            Self::User
        } else {
            Self::System
        }
    }

    /// How to call another `bij` that looks at the same place.
    pub(crate) fn again(self, global: &Global) -> String {
        match (self, &global.root) {
            (_, Some(root)) => format!("bij --root {}", root.display()),
            (Self::User, None) => "bij --user".to_owned(),
            (Self::Local, None) if global.local => "bij --local".to_owned(),
            // What it would find by itself.
            (Self::System | Self::Local, None) => "bij".to_owned(),
        }
    }
}

/// The paths that go with it: the system's for root, those of their own for everybody else who
/// supervises by themselves.
pub(crate) fn layout(
    scope: Scope,
    global: &Global,
    around: &Surroundings,
) -> Result<Layout, CliError> {
    let root = global.root.as_deref();
    let own = global.user || (scope == Scope::Local && !around.root && root.is_none());
    if !own {
        let root = root.unwrap_or(Path::new("/"));
        return Ok(Layout::system(&std::path::absolute(root).unwrap_or(root.to_owned())));
    }
    let below_home = |set: &Option<OsString>, default: &str| {
        let given = set.as_ref().map(PathBuf::from).filter(|path| path.is_absolute());
        given.or_else(|| Some(Path::new(around.home.as_ref()?).join(default))).ok_or_else(|| {
            CliError::new(Kind::Usage, "cannot tell where your own experiments lie")
                .hint("set the variable HOME")
        })
    };
    let config = below_home(&around.config_home, ".config")?;
    let state = below_home(&around.state_home, ".local/state")?;
    // Without a session there is no runtime directory; what lies there tells its boot by itself.
    let runtime = around
        .runtime_dir
        .as_ref()
        .map_or_else(|| state.join("brain-in-jar/without-session"), PathBuf::from);
    let place = |path: PathBuf| match root {
        Some(root) => {
            root.join(path.components().filter(|c| *c != Component::RootDir).collect::<PathBuf>())
        }
        None => path,
    };
    Ok(Layout::user(&place(config), &place(state), &place(runtime)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global() -> Global {
        Global { json: false, no_color: false, quiet: false, user: false, local: false, root: None }
    }

    fn around(systemd: bool, root: bool) -> Surroundings {
        Surroundings {
            systemd,
            root,
            home: Some("/home/a".into()),
            config_home: None,
            state_home: Some("relative is to be ignored".into()),
            runtime_dir: Some("/run/user/7".into()),
        }
    }

    #[test]
    fn without_systemd_bij_does_it_itself() {
        assert_eq!(Scope::decide(&global(), &around(true, true)), Scope::System);
        assert_eq!(Scope::decide(&global(), &around(false, true)), Scope::Local);
        let user = Global { user: true, ..global() };
        assert_eq!(Scope::decide(&user, &around(true, false)), Scope::User);
        let elsewhere = Global { root: Some("/mnt".into()), ..global() };
        assert_eq!(Scope::decide(&elsewhere, &around(true, true)), Scope::Local);
    }

    #[test]
    fn root_has_the_systems_paths_and_others_their_own() {
        let paths = |global: &Global, around: &Surroundings| {
            layout(Scope::decide(global, around), global, around).unwrap().database()
        };
        let (systems, own) =
            ("/var/lib/brain-in-jar/state.db", "/home/a/.local/state/brain-in-jar/state.db");
        assert_eq!(paths(&global(), &around(true, false)), Path::new(systems));
        assert_eq!(paths(&global(), &around(false, true)), Path::new(systems));
        assert_eq!(paths(&global(), &around(false, false)), Path::new(own));
        let elsewhere = Global { root: Some("/mnt".into()), ..global() };
        let expected = Path::new("/mnt").join(systems.trim_start_matches('/'));
        assert_eq!(paths(&elsewhere, &around(false, false)), expected);
    }

    #[test]
    fn without_a_home_there_is_a_sentence() {
        let lost = Surroundings { home: None, ..around(false, false) };
        let error = layout(Scope::Local, &global(), &lost).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
    }
}
