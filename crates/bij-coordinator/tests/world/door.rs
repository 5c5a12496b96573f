//! The store's door: what the coordinator writes is judged by what is true at that moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::CoordinatorSettings;
use bij_core::port::{
    AttemptQuery, Change, Closing, DefinitionSource, Ledger, LedgerError, Opened, Opening, RunQueue,
};
use bij_core::queue::{
    Claim, Event, GpuClaim, Group, GroupName, Origin, Queue, QueueState, QueuedRun, RunRef,
    Submission, Terms,
};
use bij_core::{
    Attempt, BootId, Bytes, Cause, ExperimentId, Outcome, RunEnd, RunId, RunState, Tally, Timestamp,
};
use bij_sim::{SimDefinitions, SimMachine, SimStore, SimUnits};

/// A machine's store as its coordinator has it.
#[derive(Clone)]
pub(crate) struct Door {
    store: SimStore,
    units: SimUnits,
    definitions: SimDefinitions,
    memory: Bytes,
    judge: Arc<Mutex<Judge>>,
}

/// What is judged by, and what was found wrong.
struct Judge {
    boot: BootId,
    settings: CoordinatorSettings,
    /// The coordinator knows that nothing can be started any more.
    going_down: bool,
    wrong: Vec<String>,
}

/// What an experiment takes that is up.
struct Taken {
    group: GroupName,
    claim: Claim,
}

/// What is true when something is judged.
struct Truth {
    runs: BTreeMap<RunId, QueuedRun>,
    groups: BTreeMap<GroupName, Group>,
    up: BTreeMap<ExperimentId, Taken>,
}

impl Door {
    pub(crate) fn new(machine: &SimMachine, settings: CoordinatorSettings, memory: Bytes) -> Self {
        let judge =
            Judge { boot: machine.boot_id(), settings, going_down: false, wrong: Vec::new() };
        Self {
            store: machine.store.clone(),
            units: machine.units.clone(),
            definitions: machine.definitions.clone(),
            memory,
            judge: Arc::new(Mutex::new(judge)),
        }
    }

    /// Other settings are in force.
    pub(crate) fn reload(&self, settings: CoordinatorSettings) {
        self.judge().settings = settings;
    }

    /// The coordinator was told that nothing can be started any more.
    pub(crate) fn set_going_down(&self) {
        self.judge().going_down = true;
    }

    /// What was found wrong.
    pub(crate) fn take_wrong(&self) -> Vec<String> {
        std::mem::take(&mut self.judge().wrong)
    }

    /// A start from elsewhere was admitted, of a run if it is recorded.
    pub(crate) fn judge_admission(&self, experiment: &ExperimentId, run: Option<&RunId>) {
        let Some(mut truth) = self.truth() else { return };
        let queued = run.and_then(|run| truth.runs.get(run)).cloned();
        if queued.as_ref().is_some_and(|queued| queued.terms.now) {
            return;
        }
        let taken =
            queued.map_or_else(|| self.by_definition(experiment), |queued| Taken::by(&queued));
        truth.up.remove(experiment);
        self.judge_room(&truth, experiment, &taken);
    }

    /// Whether an experiment is up, so that its admission changes nothing.
    pub(crate) fn is_up(&self, experiment: &ExperimentId) -> bool {
        self.truth().is_some_and(|truth| truth.up.contains_key(experiment))
    }

    /// A unit's start was asked for: that it may start must be in the store before.
    pub(crate) fn judge_order(&self, experiment: &ExperimentId) {
        let Some(truth) = self.truth() else { return };
        let runs = || truth.runs.values().filter(|run| run.run.experiment == *experiment);
        if !runs().any(|run| self.is_here(run)) {
            let runs: Vec<_> = runs().map(|run| format!("{} {:?}", run.run, run.state)).collect();
            self.wrong(format!("{experiment} is started before that is recorded: {runs:?}"));
        }
    }

    fn judge_changes(&self, changes: &[Change]) {
        let Some(mut truth) = self.truth() else { return };
        let boot = self.judge().boot;
        for change in changes {
            match change {
                Change::State { run, from, state, why: _ } => {
                    let Some(queued) = truth.runs.get_mut(run) else { continue };
                    if from.as_ref().is_some_and(|from| queued.state != *from) {
                        continue;
                    }
                    let was = std::mem::replace(&mut queued.state, state.clone());
                    let queued = queued.clone();
                    match state {
                        QueueState::Starting { boot: here } if *here == boot && was != *state => {
                            self.judge_start(&truth, &queued);
                            truth.up.insert(run.experiment.clone(), Taken::by(&queued));
                        }
                        _ => {}
                    }
                }
                Change::End { run, end: RunEnd::GaveUp, by } => self.judge_giving_up(run, by),
                _ => {}
            }
        }
    }

    /// Our own decisions never exceed the slots, the budget, a group's slots or the GPU, and start
    /// no experiment twice.
    fn judge_start(&self, truth: &Truth, run: &QueuedRun) {
        if self.judge().going_down {
            self.wrong(format!("{} is let start while everything is being stopped", run.run));
        }
        let others = |other: &&QueuedRun| {
            other.run.experiment == run.run.experiment
                && other.run != run.run
                && self.is_here(other)
        };
        if let Some(other) = truth.runs.values().find(others) {
            self.wrong(format!("{} is let start while {} is up", run.run, other.run));
        }
        if !run.terms.now {
            self.judge_room(truth, &run.run.experiment, &Taken::by(run));
        }
    }

    fn judge_room(&self, truth: &Truth, experiment: &ExperimentId, taken: &Taken) {
        let settings = self.judge().settings.clone();
        let up = || truth.up.iter().filter(|(id, _)| *id != experiment).map(|(_, taken)| taken);
        let names = || truth.up.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let slots = usize::try_from(settings.slots()).unwrap_or(usize::MAX);
        if up().count() >= slots {
            self.wrong(format!(
                "{experiment} is let start, and all {slots} slots are taken by {}",
                names()
            ));
        }
        let group = truth.groups.get(&taken.group).and_then(|group| group.slots);
        let group = group.or_else(|| settings.groups.get(&taken.group).copied());
        let in_group = up().filter(|other| other.group == taken.group).count();
        if group.is_some_and(|slots| in_group >= usize::try_from(slots).unwrap_or(usize::MAX)) {
            self.wrong(format!("{experiment} is let start, and its group {} is full", taken.group));
        }
        let claims = |taken: &Taken| taken.claim.memory.map_or(0, Bytes::get);
        let claimed: u64 = up().map(claims).sum();
        let budget = settings.budget(self.memory).at().map_or(u64::MAX, Bytes::get);
        if claims(taken) > 0 && claimed + claims(taken) > budget {
            self.wrong(format!("{experiment} is let start over the budget, beside {}", names()));
        }
        let gpus: BTreeSet<&str> = up().map(|other| other.claim.gpu.as_str()).collect();
        let alone = GpuClaim::Exclusive.as_str();
        let in_the_way = match taken.claim.gpu {
            GpuClaim::None => false,
            GpuClaim::Shared => gpus.contains(alone),
            GpuClaim::Exclusive => gpus.contains(alone) || gpus.contains(GpuClaim::Shared.as_str()),
        };
        if in_the_way {
            self.wrong(format!("{experiment} is let start, and the GPU is used by {}", names()));
        }
    }

    /// No run is given up while its unit is up.
    fn judge_giving_up(&self, run: &RunId, by: &str) {
        let newest = self.newest(run);
        let is_open = newest.is_some_and(|attempt| attempt.end.is_none());
        if is_open && self.units.with_processes().contains(&run.experiment) {
            self.wrong(format!("{run} is given up while its attempt is open ({by})"));
        }
        self.judge_restarts(run, by);
    }

    /// Who was stopped for the GPU's memory is brought back as often as its definition says.
    fn judge_restarts(&self, run: &RunId, by: &str) {
        let (experiment, number) = (Some(run.experiment.clone()), Some(run.number));
        let query = AttemptQuery { experiment, run: number, ..AttemptQuery::default() };
        let Ok(mut attempts) = self.store.attempts(&query) else { return };
        let boot = self.judge().boot;
        attempts.retain(|attempt| attempt.key.boot == boot);
        let end = attempts.last().and_then(|attempt| attempt.end.as_ref());
        let burst = self.definitions.find(&run.experiment).map_or(0, |it| it.spec.restart.burst);
        let has_restarts = attempts.len() < usize::try_from(burst).unwrap_or(usize::MAX);
        if end.is_some_and(|end| end.cause == Cause::GpuMemory) && has_restarts {
            self.wrong(format!("{run} is given up, and has restarts left ({by})"));
        }
    }

    /// What is true now; nothing is judged by a store that cannot be read.
    fn truth(&self) -> Option<Truth> {
        let queue = self.store.load().ok()?;
        let mut up = BTreeMap::new();
        // A run that was not submitted takes what its definition claims, which its row says a moment later.
        let is_bare =
            |run: &QueuedRun| run.origin == Origin::Start && run.terms == Terms::default();
        for run in queue.runs.iter().filter(|run| self.is_here(run)) {
            let id = &run.run.experiment;
            let taken = if is_bare(run) { self.by_definition(id) } else { Taken::by(run) };
            up.insert(id.clone(), taken);
        }
        for id in self.units.up() {
            up.entry(id.clone()).or_insert_with(|| self.by_definition(&id));
        }
        Some(Truth {
            runs: queue.runs.into_iter().map(|run| (run.run.clone(), run)).collect(),
            groups: queue.groups.into_iter().map(|group| (group.name.clone(), group)).collect(),
            up,
        })
    }

    /// Whether a run is up in this boot.
    pub(crate) fn is_here(&self, run: &QueuedRun) -> bool {
        let here = self.judge().boot;
        match run.state {
            QueueState::Waiting | QueueState::Held { .. } => false,
            QueueState::Starting { boot } => boot == here,
            QueueState::Running => {
                self.newest(&run.run).is_none_or(|attempt| attempt.key.boot == here)
            }
        }
    }

    fn newest(&self, run: &RunId) -> Option<Attempt> {
        let (experiment, number) = (Some(run.experiment.clone()), Some(run.number));
        let query =
            AttemptQuery { experiment, run: number, newest: Some(1), ..AttemptQuery::default() };
        self.store.attempts(&query).ok()?.pop()
    }

    fn by_definition(&self, id: &ExperimentId) -> Taken {
        let Ok(found) = self.definitions.find(id) else {
            return Taken { group: GroupName::default(), claim: Claim::default() };
        };
        let group = found.spec.queue.group.as_deref().and_then(|group| group.parse().ok());
        Taken {
            group: group.unwrap_or_default(),
            claim: Claim::from_spec(&found.spec, self.memory, false),
        }
    }

    fn wrong(&self, what: String) {
        self.judge().wrong.push(what);
    }

    fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn by(run: &QueuedRun) -> Self {
        Self { group: run.terms.group.clone(), claim: run.terms.claim }
    }
}

impl RunQueue for Door {
    fn load(&self) -> Result<Queue, LedgerError> {
        self.store.load()
    }

    fn submit(
        &mut self,
        submissions: &[Submission],
        at: Timestamp,
    ) -> Result<Vec<QueuedRun>, LedgerError> {
        self.store.submit(submissions, at)
    }

    fn change(&mut self, changes: &[Change], at: Timestamp) -> Result<Vec<Outcome>, LedgerError> {
        self.judge_changes(changes);
        self.store.change(changes, at)
    }

    fn run_state(&self, run: &RunRef) -> Result<Option<RunState>, LedgerError> {
        self.store.run_state(run)
    }

    fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, LedgerError> {
        self.store.events(after, at_most)
    }
}

impl Ledger for Door {
    fn open(&mut self, opening: &Opening) -> Result<Opened, LedgerError> {
        self.store.open(opening)
    }

    fn close(&mut self, closing: &Closing) -> Result<Outcome, LedgerError> {
        self.store.close(closing)
    }

    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Attempt>, LedgerError> {
        self.store.attempts(query)
    }

    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError> {
        self.store.tally(experiment)
    }

    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        self.store.tallies()
    }

    fn mark_clean_shutdown(&mut self, boot: BootId, at: Timestamp) -> Result<Outcome, LedgerError> {
        self.store.mark_clean_shutdown(boot, at)
    }

    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError> {
        self.store.ended_cleanly(boot)
    }
}
