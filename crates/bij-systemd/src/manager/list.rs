//! Lists units with a number of calls that does not depend on how many there are; the figures come from files.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::thread;

use bij_cgroup::{Cgroup, CgroupPath, CgroupRoot};
use bij_core::{ActiveState, LoadState, Resources, SubState};

use super::{Manager, Operation, call};
use crate::proxy::UnitRow;
use crate::{ManagerError, UnitName};

/// Depth of the search for control groups. A user manager's own group is three levels deep, and slices nest.
pub(crate) const SEARCH_DEPTH: usize = 8;

/// Selects loaded units; the default is all of them, without their resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnitFilter {
    patterns: Vec<String>,
    states: Vec<String>,
    resources: bool,
}

impl UnitFilter {
    /// Selects all loaded units.
    pub fn new() -> Self {
        Self::default()
    }

    /// Selects units whose names match this pattern of glob(7), besides those of other patterns: `ssh*.service`.
    /// A name is its own pattern.
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.patterns.push(pattern.into());
        self
    }

    /// Selects units in this load, active or low-level state, besides those of other states: `failed`, `running`,
    /// `masked`.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.states.push(state.into());
        self
    }

    /// Reads the resources of the units too. It costs some file reads for each unit that is up.
    #[must_use]
    pub const fn with_resources(mut self) -> Self {
        self.resources = true;
        self
    }
}

/// A unit of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedUnit {
    /// The name of the unit.
    pub name: UnitName,
    /// `Description=`; the name if it has none.
    pub description: String,
    /// Whether its files are loaded.
    pub load_state: LoadState,
    /// Its state, as every unit has one.
    pub active_state: ActiveState,
    /// Its low-level state, in the words of its kind.
    pub sub_state: SubState,
    /// Whether it has a job.
    pub has_job: bool,
    /// The resources that it uses, and the limits in force; all unknown unless they were requested.
    pub resources: Resources,
    /// Whether its processes are frozen; `None` unless resources were requested, on cgroup v1 and before Linux 5.2.
    pub is_frozen: Option<bool>,
}

impl Manager {
    /// Lists loaded units, sorted by name.
    ///
    /// # Errors
    /// [`ManagerError`] if the manager does not answer.
    pub async fn list(&self, filter: &UnitFilter) -> Result<Vec<ListedUnit>, ManagerError> {
        let operation = Operation::new("list units");
        let (rows, own_group) = self.rows(operation, &filter.states, &filter.patterns).await?;
        let cgroups = self.cgroups().cloned().filter(|_| filter.resources);
        // Reads thousands of small files, which must not block this thread.
        let list = move || list_rows(&rows, cgroups.as_ref(), &own_group, None);
        tokio::task::spawn_blocking(list).await.map_err(ManagerError::unreachable)
    }

    /// Lists units as the manager does, with the manager's own control group.
    pub(crate) async fn rows(
        &self,
        operation: Operation,
        states: &[String],
        patterns: &[String],
    ) -> Result<(Vec<UnitRow>, String), ManagerError> {
        let manager = self.bus.manager().await?;
        let states: Vec<&str> = states.iter().map(String::as_str).collect();
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let read = async {
            let rows = manager.list_units_by_patterns(&states, &patterns);
            tokio::try_join!(rows, manager.control_group())
        };
        call(operation, read).await
    }
}

/// Converts the manager's rows, sorted by name, and reads the resources of units that are up. Units are searched in
/// `slice` first, if they are expected there.
pub(crate) fn list_rows(
    rows: &[UnitRow],
    cgroups: Option<&CgroupRoot>,
    own_group: &str,
    slice: Option<&str>,
) -> Vec<ListedUnit> {
    let mut units: Vec<ListedUnit> = rows.iter().filter_map(from_row).collect();
    units.sort_by(|a, b| a.name.cmp(&b.name));
    let Some(root) = cgroups else { return units };
    let has_group = |unit: &ListedUnit| {
        // A unit that waits for its restart has no control group.
        unit.name.kind().has_cgroup()
            && !unit.active_state.is_down()
            && !unit.sub_state.is_waiting_for_restart()
    };
    let names = units.iter().filter(|unit| has_group(unit)).map(|unit| unit.name.as_str());
    let mut groups = UnitCgroups::find(root, own_group, slice, names.collect());
    let running: Vec<_> = (units.iter().enumerate())
        .filter_map(|(at, unit)| Some((at, groups.found.remove(unit.name.as_str())?)))
        .collect();
    for (at, (resources, frozen)) in read_all(&running) {
        (units[at].resources, units[at].is_frozen) = (resources, frozen);
    }
    units
}

fn from_row((unit, description, load, active, sub, _, _, job, ..): &UnitRow) -> Option<ListedUnit> {
    Some(ListedUnit {
        name: UnitName::new(unit.as_str()).ok()?,
        description: description.clone(),
        load_state: LoadState::from(load.as_str()),
        active_state: ActiveState::from(active.as_str()),
        sub_state: SubState::from(sub.as_str()),
        has_job: *job != 0,
        resources: Resources::default(),
        is_frozen: None,
    })
}

/// Number of control groups for which another thread pays off.
pub(crate) const CGROUPS_PER_THREAD: usize = 100;

/// Reads control groups, with several threads if there are many: the kernel generates each file when it is
/// read, which takes most of the time of a long list.
fn read_all<'a>(groups: &'a [(usize, Cgroup)]) -> Vec<(usize, (Resources, Option<bool>))> {
    let read = |(at, group): &(usize, Cgroup)| (*at, (group.resources(), group.is_frozen()));
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

/// The control groups of units, by name.
struct UnitCgroups {
    found: BTreeMap<String, Cgroup>,
}

impl UnitCgroups {
    /// Finds the groups of these units: in a slice where they are expected, otherwise by one search below the
    /// manager's own group, and at last in the whole tree, because an operator may have moved a unit.
    fn find(
        root: &CgroupRoot,
        own_group: &str,
        slice: Option<&str>,
        mut missing: BTreeSet<&str>,
    ) -> Self {
        let own = own_group.parse().unwrap_or_else(|_| CgroupPath::root());
        let in_slice = slice.and_then(|slice| Some((own.child(slice).ok()?, 1)));
        let everywhere =
            Some((CgroupPath::root(), SEARCH_DEPTH)).filter(|_| own != CgroupPath::root());
        let mut found = BTreeMap::new();
        for (above, depth) in in_slice.into_iter().chain([(own, SEARCH_DEPTH)]).chain(everywhere) {
            if missing.is_empty() {
                break;
            }
            for path in root.find(&above, depth, |name| missing.contains(name)) {
                let Some(name) = path.name() else { continue };
                missing.remove(name);
                found.insert(name.to_owned(), root.at(&path));
            }
        }
        Self { found }
    }
}
