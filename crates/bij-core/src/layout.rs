//! Where things lie.

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
    /// The system's paths below `root`, which is `/` unless somebody looks at another tree.
    pub fn system(root: &Path) -> Self {
        Self {
            config: root.join("etc/brain-in-jar"),
            state: root.join("var/lib/brain-in-jar"),
            runtime: root.join("run/brain-in-jar"),
            logs: root.join("var/log/brain-in-jar"),
            drop_ins: root.join("run/systemd/system.attached"),
        }
    }

    /// One user's paths, from the directories of file-hierarchy(7): `$XDG_CONFIG_HOME`,
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

    /// Whether these are the paths of the machine itself, whose settings are root's alone.
    pub fn is_machines(&self) -> bool {
        self.config == Path::new("/etc/brain-in-jar")
    }

    /// The directory of settings and of definitions written by hand.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// `coordinator.toml`, the settings.
    pub fn settings(&self) -> PathBuf {
        self.config.join("coordinator.toml")
    }

    /// `coordinator.env`, the settings under the older tool's names; stronger than
    /// [`settings`](Self::settings).
    pub fn settings_env(&self) -> PathBuf {
        self.config.join("coordinator.env")
    }

    /// Definitions written by hand.
    pub fn definitions(&self) -> PathBuf {
        self.config.join("experiments")
    }

    /// Definitions that were submitted.
    pub fn submitted(&self) -> PathBuf {
        self.state.join("definitions")
    }

    /// What holds for one run only, on top of the definition: `<id>.toml`.
    pub fn extras(&self) -> PathBuf {
        self.state.join("extras")
    }

    /// The directory of everything that is kept.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The ledger.
    pub fn database(&self) -> PathBuf {
        self.state.join("state.db")
    }

    /// An experiment's own state, `$BIJ_STATE_DIR`.
    pub fn experiment_state(&self, id: &ExperimentId) -> PathBuf {
        self.state.join("experiments").join(id.as_str())
    }

    /// Where an experiment writes how far it is, `$BIJ_PROGRESS`.
    pub fn progress(&self, id: &ExperimentId) -> PathBuf {
        self.experiment_state(id).join("progress")
    }

    /// The directory of everything that is gone after a reboot.
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// Where the coordinator is asked by its owner alone: root and the hooks, or the user.
    pub fn owners_socket(&self) -> PathBuf {
        self.runtime.join("owner.sock")
    }

    /// Where the coordinator is asked by everyone.
    pub fn coordinator_socket(&self) -> PathBuf {
        self.runtime.join("coordinator.sock")
    }

    /// Where experiments send what they have to say to the service manager: the socket of
    /// brain-experiment-notify.socket. A user's experiments speak to their manager directly.
    pub fn notify_socket(&self) -> PathBuf {
        self.runtime.join("notify")
    }

    /// The environment that the current attempt is executed with: `NAME=VALUE`, each ended by a NUL.
    /// Only the experiment's user can read it.
    pub fn environment(&self, id: &ExperimentId) -> PathBuf {
        self.runtime.join("environments").join(id.as_str())
    }

    /// The same for an experiment with a dynamic user: a file that every user could read, in a directory
    /// that only root can enter. The unit finds it at [`mounted_environment`](Self::mounted_environment).
    pub fn sealed_environment(&self, id: &ExperimentId) -> PathBuf {
        self.runtime.join("sealed").join(id.as_str())
    }

    /// Where a unit with a dynamic user finds its environment, in its own mount namespace.
    pub fn mounted_environment(&self) -> PathBuf {
        self.runtime.join("environment")
    }

    /// What `bij-hook start` leaves for `bij-hook end` to know of the current attempt.
    pub fn attempt_record(&self, id: &ExperimentId) -> PathBuf {
        self.runtime.join("attempts").join(format!("{id}.json"))
    }

    /// The file that asks an experiment to checkpoint and leave, `$BIJ_STOP_FILE`.
    pub fn stop_file(&self, id: &ExperimentId) -> PathBuf {
        self.runtime.join("stop").join(id.as_str())
    }

    /// Who asked for an experiment's end.
    pub fn order(&self, id: &ExperimentId) -> PathBuf {
        self.runtime.join("orders").join(format!("{id}.json"))
    }

    /// Records that the database could not take.
    pub fn spool(&self) -> PathBuf {
        self.runtime.join("spool")
    }

    /// Sockets and states of experiments that bij supervises itself.
    pub fn local(&self) -> PathBuf {
        self.runtime.join("local")
    }

    /// Log files, where there is no journal.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// The drop-in that a definition is rendered into.
    ///
    /// It lies in the search path of systemd.unit(5), where no reload empties it. For the system's manager
    /// that is not `/run/systemd/system`, because `systemctl revert` empties that too, also under a unit
    /// that is up. A user's manager has no other place.
    pub fn drop_in(&self, id: &ExperimentId) -> PathBuf {
        self.drop_ins.join(format!("{}.d", id.unit_name())).join("10-experiment.conf")
    }
}
