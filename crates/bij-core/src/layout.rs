//! The paths of an installation.

use std::path::{Path, PathBuf};

use crate::ExperimentId;

/// The paths of one installation: the system's, or one user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    config: PathBuf,
    state: PathBuf,
    runtime: PathBuf,
    logs: PathBuf,
    drop_ins: PathBuf,
}

impl Layout {
    /// Returns the paths of the system below `root`, which is `/` except for another tree.
    pub fn system(root: &Path) -> Self {
        Self {
            config: root.join("etc/brain-in-jar"),
            state: root.join("var/lib/brain-in-jar"),
            runtime: root.join("run/brain-in-jar"),
            logs: root.join("var/log/brain-in-jar"),
            drop_ins: root.join("run/systemd/system.attached"),
        }
    }

    /// Returns the paths of one user below the directories of file-hierarchy(7): `$XDG_CONFIG_HOME`,
    /// `$XDG_STATE_HOME` and `$XDG_RUNTIME_DIR`.
    pub fn user(config_home: &Path, state_home: &Path, runtime_dir: &Path) -> Self {
        Self {
            config: config_home.join("brain-in-jar"),
            state: state_home.join("brain-in-jar"),
            runtime: runtime_dir.join("brain-in-jar"),
            logs: state_home.join("brain-in-jar/logs"),
            drop_ins: runtime_dir.join("systemd/user"),
        }
    }

    /// Returns whether these are the paths of the running system, whose settings only root may write.
    pub fn is_system(&self) -> bool {
        self.config == Path::new("/etc/brain-in-jar")
    }

    /// Returns the directory of the settings and of definitions written by hand.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Returns the path of the settings, `coordinator.toml`.
    pub fn settings(&self) -> PathBuf {
        self.config.join("coordinator.toml")
    }

    /// Returns the path of the settings under the older tool's names, `coordinator.env`. It overrides
    /// [`settings`](Self::settings).
    pub fn settings_env(&self) -> PathBuf {
        self.config.join("coordinator.env")
    }

    /// Returns the directory of definitions written by hand.
    pub fn definitions(&self) -> PathBuf {
        self.config.join("experiments")
    }

    /// Returns the directory of submitted definitions.
    pub fn submitted(&self) -> PathBuf {
        self.state.join("definitions")
    }

    /// Returns the directory of extras, which override the definition for one run only: `<id>.toml`.
    pub fn extras(&self) -> PathBuf {
        self.state.join("extras")
    }

    /// Returns the directory of persistent state.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Returns the path of the ledger's database.
    pub fn database(&self) -> PathBuf {
        self.state.join("state.db")
    }

    /// Returns the state directory of an experiment, `$BIJ_STATE_DIR`.
    pub fn experiment_state(&self, id: &ExperimentId) -> PathBuf {
        self.state.join("experiments").join(id.as_str())
    }

    /// Returns the file to which an experiment writes its progress, `$BIJ_PROGRESS`.
    pub fn progress(&self, id: &ExperimentId) -> PathBuf {
        self.experiment_state(id).join("progress")
    }

    /// Returns the directory of runtime state, which a reboot removes.
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// Returns the coordinator's socket for its owner alone: root and the hooks, or the user.
    pub fn owners_socket(&self) -> PathBuf {
        self.runtime.join("owner.sock")
    }

    /// Returns the coordinator's socket for all users.
    pub fn coordinator_socket(&self) -> PathBuf {
        self.runtime.join("coordinator.sock")
    }

    /// Returns the socket of brain-experiment-notify.socket, which passes messages of experiments on to the
    /// service manager. A user's experiments send them to their manager directly.
    pub fn notify_socket(&self) -> PathBuf {
        self.runtime.join("notify")
    }

    /// Returns the file with the environment of the current attempt: `NAME=VALUE` strings, each ended by a NUL.
    /// Only the experiment's user can read it.
    pub fn environment(&self, id: &ExperimentId) -> PathBuf {
        self.runtime.join("environments").join(id.as_str())
    }

    /// Returns the environment file for an experiment with a dynamic user: it is readable by all, in a
    /// directory that only root can enter. The unit finds it at
    /// [`mounted_environment`](Self::mounted_environment).
    pub fn sealed_environment(&self, id: &ExperimentId) -> PathBuf {
        self.runtime.join("sealed").join(id.as_str())
    }

    /// Returns the path of the environment file in the mount namespace of a unit with a dynamic user.
    pub fn mounted_environment(&self) -> PathBuf {
        self.runtime.join("environment")
    }

    /// Returns the file with facts on the current attempt that `bij-hook start` writes for `bij-hook end`.
    pub fn attempt_record(&self, id: &ExperimentId) -> PathBuf {
        self.runtime.join("attempts").join(format!("{id}.json"))
    }

    /// Returns the file whose existence asks an experiment to write a checkpoint and exit, `$BIJ_STOP_FILE`.
    pub fn stop_file(&self, id: &ExperimentId) -> PathBuf {
        self.runtime.join("stop").join(id.as_str())
    }

    /// Returns the file with the order to stop an experiment.
    pub fn order(&self, id: &ExperimentId) -> PathBuf {
        self.runtime.join("orders").join(format!("{id}.json"))
    }

    /// Returns the directory of records that the database could not take.
    pub fn spool(&self) -> PathBuf {
        self.runtime.join("spool")
    }

    /// Returns the directory of sockets and states of experiments that bij supervises itself.
    pub fn local(&self) -> PathBuf {
        self.runtime.join("local")
    }

    /// Returns the directory of log files, which replace the journal where there is none.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// Returns the drop-in that a definition is rendered into.
    ///
    /// Its directory is in the search path of systemd.unit(5), and no reload empties it. For the system's
    /// manager that excludes `/run/systemd/system`, because `systemctl revert` empties it even while the unit
    /// is active. A user's manager has no other directory.
    pub fn drop_in(&self, id: &ExperimentId) -> PathBuf {
        self.drop_ins.join(format!("{}.d", id.unit_name())).join("10-experiment.conf")
    }
}
