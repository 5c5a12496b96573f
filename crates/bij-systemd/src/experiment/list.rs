//! Lists the status of all experiments with one D-Bus call; the rest comes from files.
//!
//! `ListUnitsByPatterns` gives the states; memory, CPU time and pressure come from the kernel's files,
//! invocations and enablement from systemd's. Properties that would take one call per unit
//! (`Result`, `MainPID`, `NRestarts`, `STATUS=`) are omitted.

use bij_cgroup::CgroupRoot;
use bij_core::{LoadState, UnitStatus};

use super::unit_dirs::UnitDirs;
use crate::manager::{ListedUnit, list_rows};
use crate::proxy::UnitRow;

/// `Slice=` of the template.
const SLICE: &str = "brain.slice";

/// Returns the statuses of listed units, sorted by id; rows of other units are skipped.
pub(super) fn statuses(
    rows: &[UnitRow],
    own_group: &str,
    cgroups: Option<&CgroupRoot>,
    dirs: &UnitDirs,
) -> Vec<UnitStatus> {
    let enabled = dirs.enabled();
    let status = |unit: ListedUnit| {
        let id = unit.name.experiment()?;
        let mut status = UnitStatus::down(id);
        status.enabled = Some(enabled.contains(&status.id));
        // A unit that is down has no stop job, so its job is a start.
        status.start_due = unit.active_state.is_down() && unit.has_job;
        status.active_state = unit.active_state;
        status.sub_state = unit.sub_state;
        status.invocation = dirs.invocation(unit.name.as_str());
        status.frozen = unit.is_frozen == Some(true);
        status.masked = unit.load_state == LoadState::Masked;
        status.resources = unit.resources;
        Some(status)
    };
    let units = list_rows(rows, cgroups, own_group, Some(SLICE));
    let mut statuses: Vec<_> = units.into_iter().filter_map(status).collect();
    statuses.sort_by(|a, b| a.id.cmp(&b.id));
    statuses
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use bij_core::{ActiveState, Bytes, Resources};
    use zbus::OwnedObjectPath;

    use super::*;
    use crate::manager::CGROUPS_PER_THREAD;

    fn row(unit: &str, active: &str, sub: &str) -> UnitRow {
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
        put("cgroup/brain.slice/brain-experiment@b.service/cgroup.events", "frozen 1\n");
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
        assert_eq!((a.frozen, b.frozen), (false, true));
        assert_eq!((a.enabled, b.enabled), (Some(false), Some(true)));
        assert_eq!(
            b.invocation.map(|id| id.to_string()).as_deref(),
            Some("00112233445566778899aabbccddeeff")
        );
        assert_eq!(c.active_state, ActiveState::Failed);
        assert_eq!(c.resources, Resources::default());
    }

    #[test]
    fn each_of_many_groups_is_read_for_its_own_unit() {
        let dir = tempfile::tempdir().unwrap();
        let units = 2 * CGROUPS_PER_THREAD + 7;
        let unit = |number: usize| format!("brain-experiment@{number:04}.service");
        for number in 0..units {
            let group = dir.path().join("brain.slice").join(unit(number));
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join("memory.current"), format!("{number}\n")).unwrap();
        }
        fs::write(dir.path().join("cgroup.controllers"), "memory\n").unwrap();
        let rows: Vec<_> = (0..units).map(|n| row(&unit(n), "active", "running")).collect();
        let root = CgroupRoot::open(dir.path()).unwrap();
        let all = statuses(&rows, "", Some(&root), &UnitDirs::below(dir.path()));
        let read: Vec<_> = all.iter().map(|s| s.resources.memory_current.unwrap().get()).collect();
        assert_eq!(read, (0..units as u64).collect::<Vec<_>>());
    }
}
