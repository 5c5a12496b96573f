//! Directories in which a manager keeps what its bus tells only one unit at a time.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bij_core::{ExperimentId, InvocationId};

use crate::RuntimeScope;

/// Where enabled units are linked, and where invocations are.
#[derive(Clone, Debug)]
pub(crate) struct UnitDirs {
    wants: Vec<PathBuf>,
    invocations: PathBuf,
    runtime_properties: PathBuf,
    bound_memos: PathBuf,
}

/// The target that wants enabled experiments: `WantedBy=` of the template.
const WANTS: &str = "brain-experiment.target.wants";
/// In bij's own runtime directory.
const BOUND_MEMOS: &str = "brain-in-jar/bounds";

impl UnitDirs {
    /// The directories of a manager (systemd.unit(5), "Unit File Load Path").
    pub(crate) fn of(scope: RuntimeScope) -> Self {
        match scope {
            RuntimeScope::System => Self::below(Path::new("/")),
            RuntimeScope::User => {
                let variable = |name| std::env::var_os(name).map(PathBuf::from);
                let config = variable("XDG_CONFIG_HOME")
                    .or_else(|| variable("HOME").map(|home| home.join(".config")))
                    .unwrap_or_default();
                let runtime = variable("XDG_RUNTIME_DIR").unwrap_or_default();
                let loads = [config, runtime.clone(), "/etc".into()];
                Self {
                    wants: loads.iter().map(|dir| dir.join("systemd/user").join(WANTS)).collect(),
                    invocations: runtime.join("systemd/units"),
                    runtime_properties: runtime.join("systemd/user.control"),
                    bound_memos: runtime.join(BOUND_MEMOS),
                }
            }
        }
    }

    /// The system manager's directories below another root.
    pub(crate) fn below(root: &Path) -> Self {
        let loads = ["etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system"];
        Self {
            wants: loads.iter().map(|dir| root.join(dir).join(WANTS)).collect(),
            invocations: root.join("run/systemd/units"),
            runtime_properties: root.join("run/systemd/system.control"),
            bound_memos: root.join("run").join(BOUND_MEMOS),
        }
    }

    /// The experiments that are started at boot.
    pub(crate) fn enabled(&self) -> BTreeSet<ExperimentId> {
        let entries =
            self.wants.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
        entries
            .filter_map(|entry| ExperimentId::from_unit_name(entry.file_name().to_str()?))
            .collect()
    }

    /// The file in which `systemctl set-property --runtime` keeps a setting of a unit
    /// (systemd.unit(5), `system.control`).
    pub(crate) fn runtime_property(&self, unit: &str, setting: &str) -> PathBuf {
        self.runtime_properties.join(format!("{unit}.d")).join(format!("50-{setting}.conf"))
    }

    /// Where it is kept what a bound on a unit's processor time has taken the place of.
    pub(crate) fn bound_memo(&self, unit: &str) -> PathBuf {
        self.bound_memos.join(format!("{unit}.json"))
    }

    /// This life of a unit: where `invocation:UNIT` points. systemd removes the link when the unit
    /// is forgotten.
    pub(crate) fn invocation(&self, unit: &str) -> Option<InvocationId> {
        let link = fs::read_link(self.invocations.join(format!("invocation:{unit}"))).ok()?;
        link.to_str()?.parse().ok()
    }
}
