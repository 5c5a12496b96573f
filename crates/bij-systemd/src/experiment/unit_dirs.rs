//! Directories of a service manager with files about the units of experiments.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bij_core::{ExperimentId, InvocationId};

use crate::RuntimeScope;

/// Directories with links of enabled units, invocation ids, runtime properties, and bij's records of CPU caps.
#[derive(Clone, Debug)]
pub(crate) struct UnitDirs {
    wants: Vec<PathBuf>,
    invocations: PathBuf,
    runtime_properties: PathBuf,
    cpu_cap_records: PathBuf,
}

/// The target that wants enabled experiments: `WantedBy=` of the template.
const WANTS: &str = "brain-experiment.target.wants";
/// Directory of the records of CPU caps, below the runtime directory.
const CPU_CAP_RECORDS: &str = "brain-in-jar/bounds";

impl UnitDirs {
    /// Returns the directories of a manager (systemd.unit(5), "Unit File Load Path").
    pub(crate) fn for_scope(scope: RuntimeScope) -> Self {
        match scope {
            RuntimeScope::System => Self::below(Path::new("/")),
            RuntimeScope::User => {
                let variable = |name| std::env::var_os(name).map(PathBuf::from);
                let config = variable("XDG_CONFIG_HOME")
                    .or_else(|| variable("HOME").map(|home| home.join(".config")))
                    .unwrap_or_default();
                let runtime = variable("XDG_RUNTIME_DIR").unwrap_or_default();
                let load_paths = [config, runtime.clone(), "/etc".into()];
                Self {
                    wants: load_paths
                        .iter()
                        .map(|dir| dir.join("systemd/user").join(WANTS))
                        .collect(),
                    invocations: runtime.join("systemd/units"),
                    runtime_properties: runtime.join("systemd/user.control"),
                    cpu_cap_records: runtime.join(CPU_CAP_RECORDS),
                }
            }
        }
    }

    /// Returns the system manager's directories below a root.
    pub(crate) fn below(root: &Path) -> Self {
        let load_paths = ["etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system"];
        Self {
            wants: load_paths.iter().map(|dir| root.join(dir).join(WANTS)).collect(),
            invocations: root.join("run/systemd/units"),
            runtime_properties: root.join("run/systemd/system.control"),
            cpu_cap_records: root.join("run").join(CPU_CAP_RECORDS),
        }
    }

    /// Returns the experiments that are started at boot.
    pub(crate) fn enabled(&self) -> BTreeSet<ExperimentId> {
        let entries =
            self.wants.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
        entries
            .filter_map(|entry| ExperimentId::from_unit_name(entry.file_name().to_str()?))
            .collect()
    }

    /// Returns the file in which `systemctl set-property --runtime` keeps a setting of a unit
    /// (systemd.unit(5), `system.control`).
    pub(crate) fn runtime_property(&self, unit: &str, setting: &str) -> PathBuf {
        self.runtime_properties.join(format!("{unit}.d")).join(format!("50-{setting}.conf"))
    }

    /// Returns the file that records what a unit's CPU cap replaced.
    pub(crate) fn cpu_cap_record(&self, unit: &str) -> PathBuf {
        self.cpu_cap_records.join(format!("{unit}.json"))
    }

    /// Returns a unit's invocation id: the target of the link `invocation:UNIT`, which systemd removes when it
    /// unloads the unit.
    pub(crate) fn invocation(&self, unit: &str) -> Option<InvocationId> {
        let link = fs::read_link(self.invocations.join(format!("invocation:{unit}"))).ok()?;
        link.to_str()?.parse().ok()
    }
}
