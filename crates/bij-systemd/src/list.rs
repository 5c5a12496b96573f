//! All experiments at once: one answer of the manager, the rest from files.
//!
//! `ListUnitsByPatterns` tells states; memory, processor time and pressure stand in the kernel's
//! files, invocations and enablement in systemd's. What only a call for each unit could tell
//! (`Result`, `MainPID`, `NRestarts`, `STATUS=`) is left out.

use std::collections::BTreeMap;

use bij_cgroup::{CgroupPath, CgroupRoot};
use bij_core::{ActiveState, ExperimentId, Resources, UnitStatus};

use crate::proxy::ListedUnit;
use crate::unit_dirs::UnitDirs;

/// `Slice=` of the template.
const SLICE: &str = "brain.slice";
/// How deep an operator may have put a unit: a user manager's own group is three levels deep, and
/// slices nest.
const DEPTH: usize = 8;

/// The statuses of listed units, in alphabetical order; rows that are no experiments are left out.
pub(crate) fn statuses(
    rows: &[ListedUnit],
    own_group: &str,
    cgroups: Option<&CgroupRoot>,
    dirs: &UnitDirs,
) -> Vec<UnitStatus> {
    let enabled = dirs.enabled();
    let mut groups = cgroups.map(|root| Groups::new(root, own_group));
    let mut statuses: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let (unit, _, _, active, sub, ..) = row;
            let id = ExperimentId::from_unit_name(unit)?;
            let active_state = ActiveState::from(active.as_str());
            let up = !matches!(active_state, ActiveState::Inactive | ActiveState::Failed);
            let resources = groups.as_mut().filter(|_| up).map(|groups| groups.resources(unit));
            Some(UnitStatus {
                enabled: Some(enabled.contains(&id)),
                id,
                active_state,
                sub_state: sub.clone(),
                result: None,
                main_pid: None,
                invocation: dirs.invocation(unit),
                since: None,
                restarts: None,
                status_text: None,
                resources: resources.unwrap_or_default(),
            })
        })
        .collect();
    statuses.sort_by(|a, b| a.id.cmp(&b.id));
    statuses
}

/// Finds the control groups of units: in their own slice, or else by a search that is made once.
struct Groups<'a> {
    root: &'a CgroupRoot,
    slice: Option<CgroupPath>,
    elsewhere: Option<BTreeMap<String, CgroupPath>>,
}

impl<'a> Groups<'a> {
    fn new(root: &'a CgroupRoot, own_group: &str) -> Self {
        let own: Option<CgroupPath> = own_group.parse().ok();
        let slice = own.and_then(|own| own.child(SLICE).ok());
        Self { root, slice, elsewhere: None }
    }

    fn resources(&mut self, unit: &str) -> Resources {
        let usual = self.slice.as_ref().and_then(|slice| slice.child(unit).ok());
        let group = usual.map(|path| self.root.at(&path)).filter(bij_cgroup::Cgroup::exists);
        let group = group.or_else(|| {
            let root = self.root;
            let elsewhere = self.elsewhere.get_or_insert_with(|| {
                let found = root.find(DEPTH, |name| name.starts_with("brain-experiment@"));
                let named = |path: CgroupPath| Some((path.name()?.to_owned(), path));
                found.into_iter().filter_map(named).collect()
            });
            elsewhere.get(unit).map(|path| root.at(path))
        });
        group.map(|group| group.read().resources).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use bij_core::Bytes;
    use zbus::OwnedObjectPath;

    use super::*;

    fn row(unit: &str, active: &str, sub: &str) -> ListedUnit {
        let path = OwnedObjectPath::try_from("/x").unwrap();
        let text = ToString::to_string;
        let (unit, active, sub) = (text(unit), text(active), text(sub));
        (
            unit,
            String::new(),
            "loaded".into(),
            active,
            sub,
            String::new(),
            path.clone(),
            0,
            String::new(),
            path,
        )
    }

    #[test]
    fn states_come_from_the_bus_and_the_rest_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("cgroup/cgroup.controllers", "memory\n");
        put("cgroup/brain.slice/brain-experiment@b.service/memory.current", "4096\n");
        put("cgroup/other.slice/brain-experiment@a.service/memory.current", "8192\n");
        put("etc/systemd/system/brain-experiment.target.wants/brain-experiment@b.service", "");
        fs::create_dir_all(dir.path().join("run/systemd/units")).unwrap();
        symlink(
            "00112233445566778899aabbccddeeff",
            dir.path().join("run/systemd/units/invocation:brain-experiment@b.service"),
        )
        .unwrap();
        let rows = [
            row("brain-experiment@b.service", "active", "running"),
            row("brain-experiment@a.service", "active", "running"),
            row("brain-experiment@c.service", "failed", "failed"),
            row("brain-experiment@not an id.service", "active", "running"),
        ];
        let root = CgroupRoot::open(dir.path().join("cgroup")).unwrap();
        let all = statuses(&rows, "", Some(&root), &UnitDirs::below(dir.path()));
        let [a, b, c] = &all[..] else { panic!("{all:?}") };
        assert_eq!(a.resources.memory_current, Some(Bytes::new(8192)), "in another slice");
        assert_eq!(b.resources.memory_current, Some(Bytes::new(4096)));
        assert_eq!((a.enabled, b.enabled), (Some(false), Some(true)));
        assert_eq!(
            b.invocation.map(|id| id.to_string()).as_deref(),
            Some("00112233445566778899aabbccddeeff")
        );
        assert_eq!(c.active_state, ActiveState::Failed);
        assert_eq!(c.resources, Resources::default());
    }
}
