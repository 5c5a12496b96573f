//! What a coordinator knows.

use std::collections::BTreeMap;

use bij_core::definition::{CoordinatorSettings, OnReboot};
use bij_core::port::Change;
use bij_core::queue::{Group, GroupName, Pause, Place, Queue, QueueState, QueuedRun, SlotsFrom};
use bij_core::{BootId, Cause, ExperimentId, Order, RunId, RunNumber, TimeSpan};

use super::{BackOff, HealthMemory, Report};

/// What a coordinator knows.
///
/// The queue is the store's; the rest is forgotten with the coordinator, and nothing is lost by
/// that but patience: what was put off is tried again at once.
#[derive(Clone, Debug)]
pub struct State {
    /// This boot.
    pub boot: BootId,
    /// The settings in force.
    pub settings: CoordinatorSettings,
    /// The runs that are not over.
    pub runs: BTreeMap<RunId, QueuedRun>,
    /// The groups that somebody has set up.
    pub groups: BTreeMap<GroupName, Group>,
    /// Whether no run at all is let start.
    pub paused: Option<Pause>,
    /// Those of the runs that were up in another boot and have not been dealt with.
    pub interrupted: BTreeMap<RunId, Interruption>,
    /// Units on which a start or stop of ours is under way.
    pub busy: BTreeMap<ExperimentId, Busy>,
    /// Starts that have failed.
    pub back_off: BTreeMap<RunId, BackOff>,
    /// Units that are to be stopped, besides those of runs that somebody wants stopped.
    pub stops: BTreeMap<ExperimentId, StopWish>,
    /// How those that are up do.
    pub health: BTreeMap<RunId, HealthMemory>,
    /// Since which uptime experiments have more of the GPU's memory than they may.
    pub over_gpu_memory: BTreeMap<ExperimentId, TimeSpan>,
    /// What the last decision reported: since when gates are closed.
    pub last: Option<Report>,
}

/// What is under way on a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// A start.
    Starting,
    /// A stop.
    Stopping,
}

/// How a run was interrupted, and what its definition says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// It was let start, and no attempt had begun: it waits as before.
    BeforeItBegan,
    /// It was running.
    Running {
        /// What ended its attempt: a [`Reboot`](Cause::Reboot), a [`PowerLoss`](Cause::PowerLoss) or a
        /// [`ManagerStop`](Cause::ManagerStop).
        cause: Cause,
        /// `[restart] on_reboot`; `None` if there is no usable definition any more.
        on_reboot: Option<OnReboot>,
    },
}

/// Somebody wants a unit stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopWish {
    /// Why and who, for the ledger.
    pub order: Order,
    /// Not before this uptime: the last try has failed.
    pub not_before: TimeSpan,
}

impl State {
    /// What is known when nothing has happened yet.
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
        }
    }

    /// How many slots a group has of its own, and who says so: a number that the operator has set, else
    /// that of the settings.
    pub fn group_slots(&self, name: &GroupName) -> Option<(u32, SlotsFrom)> {
        let by_operator = self.groups.get(name).and_then(|group| group.slots);
        let by_settings = || Some((*self.settings.groups.get(name)?, SlotsFrom::Settings));
        by_operator.map(|slots| (slots, SlotsFrom::Operator)).or_else(by_settings)
    }

    /// The runs of one experiment that are not over, by their numbers.
    pub fn runs_of<'a>(
        &'a self,
        experiment: &ExperimentId,
    ) -> impl DoubleEndedIterator<Item = &'a QueuedRun> + use<'a> {
        let from = RunId { experiment: experiment.clone(), number: RunNumber(0) };
        let to = RunId { experiment: experiment.clone(), number: RunNumber(u32::MAX) };
        self.runs.range(from..=to).map(|(_, run)| run)
    }

    /// Whether a run takes its share of the machine in this boot.
    pub fn is_up(&self, run: &QueuedRun) -> bool {
        run.state.is_up() && !self.interrupted.contains_key(&run.run)
    }

    /// The run of an experiment that is up.
    pub fn up_of(&self, experiment: &ExperimentId) -> Option<&QueuedRun> {
        self.runs_of(experiment).find(|run| self.is_up(run))
    }

    /// The runs that are up.
    pub fn up(&self) -> impl Iterator<Item = &QueuedRun> {
        self.runs.values().filter(|run| self.is_up(run))
    }

    /// The runs that wait or are held, in starting order.
    pub fn in_order(&self) -> Vec<&QueuedRun> {
        let waits =
            |run: &&QueuedRun| matches!(run.state, QueueState::Waiting | QueueState::Held { .. });
        let mut waiting: Vec<_> = self.runs.values().filter(waits).collect();
        waiting.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
        waiting
    }

    /// So many places before all others, in their order.
    pub fn places_before_all(&self, count: usize) -> impl Iterator<Item = Place> + use<> {
        let first = self.runs.values().map(|run| run.place.0).min().unwrap_or(0);
        let from = first.saturating_sub(i64::try_from(count).unwrap_or(i64::MAX));
        (0..).map(move |at| Place(from.saturating_add(at)))
    }

    /// Takes in a change that the store has recorded. What speaks of no run in the queue says
    /// nothing.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::State { run, from: _, state, why: _ } => {
                self.interrupted.remove(run);
                self.update(run, |run| {
                    run.state.clone_from(state);
                    run.stop = None;
                });
            }
            Change::Edit { run, terms, by: _ } => {
                self.update(run, |run| run.terms.clone_from(terms));
            }
            Change::Move { run, place, by: _ } => self.update(run, |run| run.place = *place),
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

    /// Whether all is as if a change had been taken in.
    pub fn has(&self, change: &Change) -> bool {
        let is = |run: &RunId, so: &dyn Fn(&QueuedRun) -> bool| self.runs.get(run).is_some_and(so);
        match change {
            Change::State { run, from: _, state, why: _ } => is(run, &|run| run.state == *state),
            Change::Edit { run, terms, by: _ } => is(run, &|run| run.terms == **terms),
            Change::Move { run, place, by: _ } => is(run, &|run| run.place == *place),
            Change::Bypassed { run, times } => is(run, &|run| run.bypassed == *times),
            Change::Stop { run, by: _ } => is(run, &|run| run.stop.is_some()),
            Change::End { run, end: _, by: _ } => !self.runs.contains_key(run),
            Change::SetGroup { group, by: _ } => self.groups.get(&group.name) == Some(group),
            Change::RemoveGroup { name, by: _ } => !self.groups.contains_key(name),
            Change::Pause { pause, by: _ } => self.paused.is_some() == pause.is_some(),
            Change::Note { kind: _, run: _, data: _ } => true,
        }
    }

    /// Brings the runs close together. A map that grows at its end leaves its nodes half empty, and there
    /// can be ten thousand runs.
    pub fn pack(&mut self) {
        self.runs = std::mem::take(&mut self.runs).into_iter().collect();
    }

    /// Takes a run out that is over.
    pub fn forget(&mut self, run: &RunId) {
        self.runs.remove(run);
        self.interrupted.remove(run);
        self.back_off.remove(run);
        self.health.remove(run);
    }

    fn update(&mut self, run: &RunId, change: impl FnOnce(&mut QueuedRun)) {
        if let Some(run) = self.runs.get_mut(run) {
            change(run);
        }
    }
}
