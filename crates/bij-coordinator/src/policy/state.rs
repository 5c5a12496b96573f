//! State from which decisions are made.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::port::Change;
use bij_core::queue::{
    Group, GroupName, Pause, Queue, QueuePosition, QueueState, QueuedRun, RunRef, SlotsFrom,
};
use bij_core::spec::OnReboot;
use bij_core::{
    AttemptKey, BootId, Cause, CoordinatorSettings, ExperimentId, Order, RunId, RunNumber, Uptime,
};

use super::{BackOff, HealthMemory, Report};

/// Queue, settings, and what the coordinator has under way.
///
/// The queue is a copy of the store's. The rest is lost when the coordinator ends, which costs no more than
/// back-offs: delayed starts are retried at once.
#[derive(Clone, Debug)]
pub struct State {
    /// Id of the current boot.
    pub boot: BootId,
    /// Settings in force.
    pub settings: CoordinatorSettings,
    /// Runs that have not ended.
    pub runs: BTreeMap<RunId, QueuedRun>,
    /// Groups that an operator has set up.
    pub groups: BTreeMap<GroupName, Group>,
    /// Pause of all starts, if there is one.
    pub paused: Option<Pause>,
    /// Runs that were up in another boot and have not been requeued yet.
    pub interrupted: BTreeMap<RunId, Interruption>,
    /// Units for which the coordinator has a start or stop under way.
    pub busy: BTreeMap<ExperimentId, Busy>,
    /// Back-offs of runs whose starts have failed.
    pub back_off: BTreeMap<RunId, BackOff>,
    /// Requested stops of units, besides those that are part of a run ([`QueuedRun::stop`]).
    pub stops: BTreeMap<ExperimentId, StopRequest>,
    /// Health of the runs that are up.
    pub health: BTreeMap<RunId, HealthMemory>,
    /// Experiments over their limit of the GPU's memory, each with the uptime since when.
    pub over_gpu_memory: BTreeMap<ExperimentId, Uptime>,
    /// Report of the last decision, which knows since when gates are closed.
    pub last: Option<Report>,
    /// Highest run number of each experiment whose runs have left the queue by [`carry_out`](Self::carry_out) or
    /// [`run_ended`](Self::run_ended): [`submit`](Self::submit) gives no number twice.
    pub numbers: BTreeMap<ExperimentId, RunNumber>,
    /// Attempts whose end was recorded since their unit was last up; an observation may still list them.
    pub(super) closed: BTreeMap<ExperimentId, BTreeSet<AttemptKey>>,
}

/// Operation under way on a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Its start has been requested.
    Starting,
    /// Its stop has been requested.
    Stopping,
}

/// How a run was interrupted, and what its definition wants then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// It was `Starting`, and no attempt had begun.
    BeforeItBegan,
    /// An attempt had begun.
    Running {
        /// Cause of the attempt's end: [`Reboot`](Cause::Reboot), [`PowerLoss`](Cause::PowerLoss) or
        /// [`ManagerStop`](Cause::ManagerStop).
        cause: Cause,
        /// `[restart] on_reboot`; `None` if there is no usable definition any more.
        on_reboot: Option<OnReboot>,
    },
}

/// A requested stop of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopRequest {
    /// Reason and requester, for the ledger.
    pub order: Order,
    /// Uptime before which it is not tried again, because the last stop failed.
    pub not_before: Uptime,
}

impl State {
    /// Returns the initial state with this queue.
    pub fn new(boot: BootId, settings: CoordinatorSettings, queue: Queue) -> Self {
        let Queue { runs, groups, paused } = queue;
        Self {
            boot,
            settings,
            runs: runs.into_iter().map(|run| (run.run.clone(), run)).collect(),
            groups: groups.into_iter().map(|group| (group.name.clone(), group)).collect(),
            paused,
            interrupted: BTreeMap::new(),
            busy: BTreeMap::new(),
            back_off: BTreeMap::new(),
            stops: BTreeMap::new(),
            health: BTreeMap::new(),
            over_gpu_memory: BTreeMap::new(),
            last: None,
            numbers: BTreeMap::new(),
            closed: BTreeMap::new(),
        }
    }

    /// Returns the slots of a group and where the number comes from: an operator's number goes before that of
    /// the settings.
    pub fn group_slots(&self, name: &GroupName) -> Option<(u32, SlotsFrom)> {
        let by_operator = self.groups.get(name).and_then(|group| group.slots);
        let by_settings = || Some((*self.settings.groups.get(name)?, SlotsFrom::Settings));
        by_operator.map(|slots| (slots, SlotsFrom::Operator)).or_else(by_settings)
    }

    /// Returns whether the settings or an operator have set the group up.
    pub fn is_set_up(&self, group: &GroupName) -> bool {
        self.groups.contains_key(group) || self.settings.groups.contains_key(group)
    }

    /// Returns the queued run that a reference names.
    pub fn queued(&self, run: &RunRef) -> Option<&QueuedRun> {
        match run {
            RunRef::Newest(experiment) => self.runs_of(experiment).next_back(),
            RunRef::Run(run) => self.runs.get(run),
        }
    }

    /// Returns the queued runs of an experiment, by number.
    pub fn runs_of<'a>(
        &'a self,
        experiment: &ExperimentId,
    ) -> impl DoubleEndedIterator<Item = &'a QueuedRun> + use<'a> {
        let from = RunId { experiment: experiment.clone(), number: RunNumber(0) };
        let to = RunId { experiment: experiment.clone(), number: RunNumber(u32::MAX) };
        self.runs.range(from..=to).map(|(_, run)| run)
    }

    /// Returns whether a run is up in the current boot.
    pub fn is_up(&self, run: &QueuedRun) -> bool {
        run.state.is_up() && !self.interrupted.contains_key(&run.run)
    }

    /// Returns the run of an experiment that is up.
    pub fn up_of(&self, experiment: &ExperimentId) -> Option<&QueuedRun> {
        self.runs_of(experiment).find(|run| self.is_up(run))
    }

    /// Returns the runs that are up.
    pub fn up(&self) -> impl Iterator<Item = &QueuedRun> {
        self.runs.values().filter(|run| self.is_up(run))
    }

    /// Returns the runs that are up and of which an attempt has begun.
    pub(super) fn running(&self) -> impl Iterator<Item = &QueuedRun> {
        self.up().filter(|run| run.state == QueueState::Running)
    }

    /// Returns the waiting and held runs in starting order.
    pub fn in_order(&self) -> Vec<&QueuedRun> {
        let waits =
            |run: &&QueuedRun| matches!(run.state, QueueState::Waiting | QueueState::Held { .. });
        let mut waiting: Vec<_> = self.runs.values().filter(waits).collect();
        waiting.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
        waiting
    }

    /// Returns `count` queue positions before all others, in order.
    pub fn positions_before_all(
        &self,
        count: usize,
    ) -> impl Iterator<Item = QueuePosition> + use<> {
        let first = self.runs.values().map(|run| run.position.0).min().unwrap_or(0);
        let from = first.saturating_sub(i64::try_from(count).unwrap_or(i64::MAX));
        (0..).map(move |at| QueuePosition(from.saturating_add(at)))
    }

    /// Applies a change that the store has recorded. A change of a run that is not in the queue has no effect.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::State { run, from: _, state, why: _ } => self.set_state(run, state.clone()),
            Change::Edit { run, terms, by: _ } => {
                self.update(run, |run| run.terms.clone_from(terms));
            }
            Change::Move { run, position, by: _ } => {
                self.update(run, |run| run.position = *position);
            }
            Change::Bypassed { run, times } => self.update(run, |run| run.bypassed = *times),
            Change::Stop { run, by } => self.update(run, |run| run.stop = Some(by.clone())),
            Change::End { run, end: _, by: _ } => self.forget(run),
            Change::SetGroup { group, by: _ } => {
                self.groups.insert(group.name.clone(), group.clone());
            }
            Change::RemoveGroup { name, by: _ } => {
                self.groups.remove(name);
            }
            Change::Pause { pause, by: _ } => self.paused.clone_from(pause),
            Change::Note { kind: _, run: _, data: _ } => {}
        }
    }

    /// Returns whether the state is as it would be after this change.
    pub fn has(&self, change: &Change) -> bool {
        let holds = |run: &RunId, predicate: &dyn Fn(&QueuedRun) -> bool| {
            self.runs.get(run).is_some_and(predicate)
        };
        match change {
            Change::State { run, from: _, state, why: _ } => holds(run, &|run| run.state == *state),
            Change::Edit { run, terms, by: _ } => holds(run, &|run| run.terms == **terms),
            Change::Move { run, position, by: _ } => holds(run, &|run| run.position == *position),
            Change::Bypassed { run, times } => holds(run, &|run| run.bypassed == *times),
            Change::Stop { run, by: _ } => holds(run, &|run| run.stop.is_some()),
            Change::End { run, end: _, by: _ } => !self.runs.contains_key(run),
            Change::SetGroup { group, by: _ } => self.groups.get(&group.name) == Some(group),
            Change::RemoveGroup { name, by: _ } => !self.groups.contains_key(name),
            Change::Pause { pause, by: _ } => self.paused.is_some() == pause.is_some(),
            Change::Note { kind: _, run: _, data: _ } => true,
        }
    }

    /// Rebuilds the map of runs compactly: a map that grows at its end leaves its nodes half empty, and there
    /// can be ten thousand runs.
    pub fn pack(&mut self) {
        self.runs = std::mem::take(&mut self.runs).into_iter().collect();
    }

    /// Removes a run that has ended.
    pub fn forget(&mut self, run: &RunId) {
        self.runs.remove(run);
        self.interrupted.remove(run);
        self.back_off.remove(run);
        self.health.remove(run);
    }

    /// Moves a run to a state, as a [`Change::State`] does.
    pub(super) fn set_state(&mut self, run: &RunId, state: QueueState) {
        self.interrupted.remove(run);
        self.update(run, |run| {
            run.state = state;
            run.stop = None;
        });
    }

    /// Notes that an attempt of a run has begun. A requested stop stays requested.
    pub(super) fn set_running(&mut self, run: &RunId) {
        self.update(run, |run| run.state = QueueState::Running);
    }

    fn update(&mut self, run: &RunId, change: impl FnOnce(&mut QueuedRun)) {
        if let Some(run) = self.runs.get_mut(run) {
            change(run);
        }
    }
}
