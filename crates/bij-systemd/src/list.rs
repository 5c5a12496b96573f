//! Lists the status of all experiments with one D-Bus call; the rest comes from files.
//!
//! `ListUnitsByPatterns` gives the states; memory, CPU time and pressure come from the kernel's files,
//! invocations and enablement from systemd's. Properties that would take one call per unit
//! (`Result`, `MainPID`, `NRestarts`, `STATUS=`) are omitted.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::thread;

use bij_cgroup::{Cgroup, CgroupPath, CgroupRoot};
use bij_core::{ActiveState, ExperimentId, Resources, SubState, UnitStatus};

use crate::proxy::ListedUnit;
use crate::scope::UnitDirs;

/// `Slice=` of the template.
const SLICE: &str = "brain.slice";
/// Depth of the search for units that an operator moved to another slice. A user manager's own group is three
/// levels deep, and slices nest.
pub(crate) const DEPTH: usize = 8;

/// Returns the statuses of listed units, sorted by id; rows of other units are skipped.
pub(crate) fn statuses(
    rows: &[ListedUnit],
    own_group: &str,
    cgroups: Option<&CgroupRoot>,
    dirs: &UnitDirs,
) -> Vec<UnitStatus> {
    let enabled = dirs.enabled();
    let mut groups = cgroups.map(|root| UnitCgroups::new(root, own_group));
    let (mut statuses, mut running) = (Vec::with_capacity(rows.len()), Vec::new());
    for (unit, _, load, active, sub, _, _, job, ..) in rows {
        let Some(id) = ExperimentId::from_unit_name(unit) else { continue };
        let active_state = ActiveState::from(active.as_str());
        let down = active_state.is_down();
        // A unit that waits for its restart has no control group.
        let has_group = !down && !SubState::from(sub.as_str()).is_waiting_for_restart();
        if has_group && let Some(group) = groups.as_mut().and_then(|groups| groups.group(unit)) {
            running.push((statuses.len(), group));
        }
        statuses.push(UnitStatus {
            enabled: Some(enabled.contains(&id)),
            id,
            active_state,
            sub_state: SubState::from(sub.as_str()),
            result: None,
            main_pid: None,
            invocation: dirs.invocation(unit),
            since: None,
            restarts: None,
            // A unit that is down has no stop job, so its job is a start.
            start_due: down && *job != 0,
            frozen: false,
            masked: load == "masked",
            status_text: None,
            resources: Resources::default(),
        });
    }
    for (at, (resources, frozen)) in read_all(&running) {
        (statuses[at].resources, statuses[at].frozen) = (resources, frozen);
    }
    statuses.sort_by(|a, b| a.id.cmp(&b.id));
    statuses
}

/// Number of control groups for which another thread pays off.
const CGROUPS_PER_THREAD: usize = 100;

/// Reads control groups, with several threads if there are many: the kernel generates each file when it is
/// read, which takes most of the time of a long list.
fn read_all<'a>(groups: &'a [(usize, Cgroup)]) -> Vec<(usize, (Resources, bool))> {
    let frozen = |group: &Cgroup| group.is_frozen() == Some(true);
    let read = |(at, group): &(usize, Cgroup)| (*at, (group.resources(), frozen(group)));
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = groups.len().div_ceil(threads).max(CGROUPS_PER_THREAD);
    if groups.len() <= share {
        return groups.iter().map(read).collect();
    }
    thread::scope(|scope| {
        let spawn = |share: &'a [(usize, Cgroup)]| {
            scope.spawn(move || share.iter().map(read).collect::<Vec<_>>())
        };
        let threads: Vec<_> = groups.chunks(share).map(spawn).collect();
        // A thread that panics costs only the numbers of its share.
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    })
}

/// Finds the control groups of units: in the template's slice, otherwise by one search of the whole tree.
struct UnitCgroups<'a> {
    root: &'a CgroupRoot,
    found: BTreeMap<String, CgroupPath>,
    searched_all: bool,
}

impl<'a> UnitCgroups<'a> {
    fn new(root: &'a CgroupRoot, own_group: &str) -> Self {
        let own: Option<CgroupPath> = own_group.parse().ok();
        let slice = own.and_then(|own| own.child(SLICE).ok());
        let mut groups = Self { root, found: BTreeMap::new(), searched_all: false };
        if let Some(slice) = slice {
            groups.search(&slice, 1);
        }
        groups
    }

    fn search(&mut self, above: &CgroupPath, depth: usize) {
        let found = self.root.find(above, depth, |name| name.starts_with("brain-experiment@"));
        let named = |path: CgroupPath| Some((path.name()?.to_owned(), path));
        self.found.extend(found.into_iter().filter_map(named));
    }

    fn group(&mut self, unit: &str) -> Option<Cgroup> {
        if !self.found.contains_key(unit) && !self.searched_all {
            self.searched_all = true;
            self.search(&CgroupPath::root(), DEPTH);
        }
        self.found.get(unit).map(|path| self.root.at(path))
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
