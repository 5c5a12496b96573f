//! Reads what a decision needs. Nothing is written here, and no unit is asked to do anything.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::port::{
    AttemptQuery, Board, DefinitionSource, Handover, Ledger, LedgerError, RunQueue, UnitError,
    UnitManager,
};
use bij_core::queue::{Claim, Dependency, GroupName, QueueState, QueuedRun, RunRef};
use bij_core::{
    ActiveState, ExperimentId, Limit, OrderKind, RunEnd, RunId, RunNumber, RunState, StartLimit,
    SubState, TimeSpan, UnitStatus,
};

use super::catch_up::{newest_attempt, newest_attempt_of};
use super::outdated::OutdatedUnits;
use super::{Coordinator, trouble::TroubleSource};
use crate::policy::recovery::{is_down, is_unclosed, is_without_claim};
use crate::policy::{LastAttempt, MissingUnit, UntrackedUnit, Vitals};
use crate::{Ports, RequestError};

/// Number of units above which a health check reads them by one listing.
const MAX_SINGLE_QUERIES: usize = 8;
/// Delay after a unit went down before its unclosed attempt is closed here: its supervisor, or a record set
/// aside on disk, may still report the end.
const CLOSING_DELAY: TimeSpan = TimeSpan::from_secs(5);

impl<P: Ports> Coordinator<P> {
    /// Reads the units that have changed or may have.
    pub(super) async fn observe_units(&mut self) {
        let uptime = self.seen.now.uptime;
        if self.health_due <= uptime {
            let up = self.state.up().map(|run| run.run.experiment.clone());
            self.outdated.check_units(up);
        }
        if self.outdated.knows_all_units() || self.troubles.is_waiting(TroubleSource::Bus, uptime) {
            return;
        }
        match self.read_units().await {
            Ok(()) => self.troubles.clear(TroubleSource::Bus),
            Err(error) => self.troubles.record(TroubleSource::Bus, &error, self.seen.now),
        }
        let unreachable = self.troubles.unreachable();
        if unreachable.is_some() != self.seen.unreachable.is_some() {
            self.outdated.decision();
        }
        self.seen.unreachable = unreachable;
    }

    async fn read_units(&mut self) -> Result<(), UnitError> {
        let units = &self.adapters.units;
        let is_health_due = self.health_due <= self.seen.now.uptime;
        match self.outdated.units() {
            OutdatedUnits::All => {
                let list = units.list().await?;
                self.seen.units = list.into_iter().map(|unit| (unit.id.clone(), unit)).collect();
                self.outdated.decision();
            }
            OutdatedUnits::Named(named) => {
                let ids: Vec<ExperimentId> = named.iter().cloned().collect();
                // Only the status of a unit has its restarts.
                let read = if is_health_due && ids.len() <= MAX_SINGLE_QUERIES {
                    let mut read = Vec::with_capacity(ids.len());
                    for id in &ids {
                        match units.status(id).await {
                            Ok(unit) => read.push(unit),
                            Err(UnitError::NotFound(_)) => {}
                            Err(error) => return Err(error),
                        }
                    }
                    read
                } else {
                    let mut listed = units.list_named(&ids).await?;
                    // The end of an attempt that is closed here names the restarts of its unit.
                    for unit in &mut listed {
                        if unit.active_state == ActiveState::Failed
                            && let Ok(status) = units.status(&unit.id).await
                        {
                            *unit = status;
                        }
                    }
                    listed
                };
                let before: Vec<_> = ids.iter().map(|id| self.seen.units.remove(id)).collect();
                let listed = read.into_iter().filter(|unit| !is_unlisted(unit));
                self.seen.units.extend(listed.map(|unit| (unit.id.clone(), unit)));
                let mut changes = ids.iter().zip(&before);
                if changes.any(|(id, before)| !is_same(before.as_ref(), self.seen.units.get(id))) {
                    self.outdated.decision();
                }
            }
        }
        let is_any_down = match self.outdated.units() {
            OutdatedUnits::All => true,
            OutdatedUnits::Named(named) => named.iter().any(|id| !self.seen.is_up(id)),
        };
        self.outdated.have_read_units();
        if is_any_down {
            self.schedule_unclosed_search();
        }
        Ok(())
    }

    /// Reads everything else that a decision needs. What the store cannot tell now stands as last observed. Returns
    /// whether the store could tell all.
    pub(super) fn observe_everything_else(&mut self) -> bool {
        self.seen.sample = self.adapters.board.sample();
        let is_reachable = self.seen.unreachable.is_none();
        let read_units = if is_reachable {
            self.observe_unclosed();
            self.observe_untracked_units().and_then(|()| self.observe_missing_units())
        } else {
            Ok(())
        };
        let read = read_units.and_then(|()| self.observe_dependencies(None));
        if let Err(error) = &read {
            self.troubles.record(TroubleSource::Store, error, self.seen.now);
        }
        // Outdated states of units allow no conclusions.
        if is_reachable {
            self.observe_definition_terms();
            let Self { state, seen, .. } = self;
            state.stops.retain(|id, _| seen.is_up(id) || state.busy.contains_key(id));
        }
        read.is_ok()
    }

    /// Finds the units that are up although no queued run of their experiment is.
    pub(super) fn observe_untracked_units(&mut self) -> Result<(), LedgerError> {
        let mut untracked_units = Vec::new();
        for (id, unit) in &self.seen.units {
            if self.seen.is_up(id) && self.state.up_of(id).is_none() {
                untracked_units.push(self.untracked(id, unit)?);
                self.admitted_unrecorded.remove(id);
            }
        }
        if matches!(self.outdated.units(), OutdatedUnits::All) {
            untracked_units.extend(self.untracked_units_from_ledger(&untracked_units)?);
        }
        let Self { admitted_unrecorded, state, seen, outdated, .. } = self;
        admitted_unrecorded.retain(|id, it| {
            let has_been_seen_down = !outdated.is_unit_outdated(id) && !seen.is_coming_up(id);
            seen.now.uptime < it.until && state.up_of(id).is_none() && !has_been_seen_down
        });
        untracked_units.extend(self.admitted_unrecorded.values().map(|it| it.unit.clone()));
        self.seen.untracked_units = untracked_units;
        Ok(())
    }

    fn untracked(
        &self,
        id: &ExperimentId,
        unit: &UnitStatus,
    ) -> Result<UntrackedUnit, LedgerError> {
        let store = &self.adapters.store;
        let first = RunId { experiment: id.clone(), number: RunNumber(1) };
        let attempt = newest_attempt_of(store, &first, None)?;
        let run = attempt.as_ref().map_or(first, |attempt| attempt.run.clone());
        // The unit runs the attempt whose run was requeued or cancelled while it was up.
        let is_its_attempt = attempt.is_some_and(|attempt| {
            attempt.end.is_none()
                && attempt.key.boot == self.state.boot
                && Some(attempt.key.invocation) == unit.invocation
        });
        let unwanted = is_its_attempt
            && (self.state.runs.contains_key(&run)
                || store.run_state(&RunRef::Run(run.clone()))?
                    == Some(RunState::Ended(RunEnd::Cancelled)));
        Ok(self.untracked_unit_of_run(run, unwanted))
    }

    fn untracked_unit_of_run(&self, run: RunId, unwanted: bool) -> UntrackedUnit {
        let known = self.seen.untracked_units.iter().find(|untracked| untracked.run == run);
        let (group, claim) = match known {
            Some(untracked) => (untracked.group.clone(), untracked.claim),
            None => self.terms_of(&run.experiment).map_or_else(
                || (GroupName::default(), Claim::default()),
                |terms| (terms.group, terms.claim),
            ),
        };
        UntrackedUnit { run, group, claim, unwanted }
    }

    /// Returns the units that are up according to the ledger, while the units themselves cannot be read. Missing
    /// are units that were admitted without a record and have not begun, and units that wait for their restart
    /// although their run was cancelled; the latter ask for admission when they restart.
    fn untracked_units_from_ledger(
        &self,
        seen: &[UntrackedUnit],
    ) -> Result<Vec<UntrackedUnit>, LedgerError> {
        let query = AttemptQuery { open: true, ..AttemptQuery::default() };
        let mut untracked_units: Vec<UntrackedUnit> = Vec::new();
        for attempt in self.adapters.store.attempts(&query)? {
            let experiment = &attempt.run.experiment;
            let is_known = |untracked: &UntrackedUnit| untracked.run.experiment == *experiment;
            let is_new = attempt.key.boot == self.state.boot
                && self.state.up_of(experiment).is_none()
                && !seen.iter().chain(&untracked_units).any(is_known);
            if is_new {
                untracked_units.push(self.untracked_unit_of_run(attempt.run, false));
            }
        }
        Ok(untracked_units)
    }

    /// Finds the runs that should be up while their unit is down.
    fn observe_missing_units(&mut self) -> Result<(), LedgerError> {
        let mut missing = BTreeMap::new();
        for run in self.state.up().filter(|run| run.state == QueueState::Running) {
            if self.seen.is_up(&run.run.experiment) {
                continue;
            }
            let attempt = newest_attempt(&self.adapters.store, &run.run)?;
            let end = attempt.and_then(|attempt| attempt.end);
            let newest =
                end.as_ref().map_or(LastAttempt::Open, |end| LastAttempt::Ended(end.cause));
            let before = self.seen.missing_units.get(&run.run);
            let since = before.map_or(self.seen.now.uptime, |before| before.since);
            // An order still in force came after the attempt's end, or that end is not recorded.
            let in_force = self.adapters.handover.order(&run.run.experiment);
            let order = in_force.or_else(|| end.and_then(|end| end.evidence.order));
            let order = order.map(|order| order.kind);
            let mut unit = MissingUnit { last: newest, since, order, restart_after: None };
            if unit.was_stopped_by(OrderKind::GpuMemory) {
                unit.restart_after = self.restart_after(&run.run)?;
            }
            missing.insert(run.run.clone(), unit);
        }
        self.seen.missing_units = missing;
        Ok(())
    }

    /// Reads the states of the runs that queued runs, or `also`, depend on.
    pub(super) fn observe_dependencies(
        &mut self,
        also: Option<&QueuedRun>,
    ) -> Result<(), LedgerError> {
        let waiting = self.state.runs.values().filter(|run| !run.state.is_up()).chain(also);
        let wanted: BTreeSet<&RunRef> =
            waiting.flat_map(|run| run.terms.after.iter().map(|on| &on.on)).collect();
        self.seen.others.retain(|run, _| wanted.contains(run));
        for run in wanted {
            if !self.seen.others.contains_key(run) {
                let found = self.adapters.store.run_state(run)?;
                self.seen.others.insert(run.clone(), found);
            }
        }
        Ok(())
    }

    /// Measures the runs that are up, if a health check is due.
    pub(super) fn measure_vitals(&mut self) {
        let uptime = self.seen.now.uptime;
        if uptime < self.health_due || self.seen.unreachable.is_some() {
            return;
        }
        self.health_due = uptime + self.state.settings.health_interval();
        for run in self.state.up().filter(|run| run.state == QueueState::Running) {
            let id = &run.run.experiment;
            let Some(unit) = self.seen.units.get(id) else { continue };
            if unit.active_state != ActiveState::Active {
                continue;
            }
            let definition = self.adapters.definitions.find(id).ok();
            let vitals = Vitals {
                step: self.adapters.handover.progress(id).and_then(|progress| progress.step),
                stall_after: definition.and_then(|found| found.spec.health.stall_after),
                memory: unit.resources.memory_current,
                memory_max: unit.resources.memory_max.and_then(Limit::at),
                memory_pressure: unit.resources.memory_pressure,
                restarts: unit.restarts,
                invocation: unit.invocation,
            };
            self.seen.vitals.insert(run.run.clone(), vitals);
        }
    }

    /// Reads the terms of runs that are up and were started without a submission, each once.
    fn observe_definition_terms(&mut self) {
        let started: Vec<RunId> = self
            .state
            .up()
            .filter(|run| is_without_claim(run))
            .map(|run| run.run.clone())
            .collect();
        self.seen.definition_terms.retain(|run, _| self.state.runs.contains_key(run));
        for run in started {
            if !self.seen.definition_terms.contains_key(&run) {
                let terms = self.terms_of(&run.experiment).unwrap_or_default();
                self.seen.definition_terms.insert(run, terms);
            }
        }
    }

    /// Schedules a search for unclosed attempts, because a unit is down or may be.
    pub(super) fn schedule_unclosed_search(&mut self) {
        self.unclosed_due.get_or_insert(self.seen.now.uptime + CLOSING_DELAY);
    }

    /// Finds the ends of unclosed attempts, if a search is due.
    fn observe_unclosed(&mut self) {
        let Self { state, seen, admitted_unrecorded, .. } = self;
        let found = seen.unclosed.len();
        let unclosed = std::mem::take(&mut seen.unclosed).into_iter().filter(|(run, _)| {
            is_down(&run.experiment, state, seen)
                && !admitted_unrecorded.contains_key(&run.experiment)
        });
        seen.unclosed = unclosed.collect();
        if seen.unclosed.len() < found {
            // A unit has come up since: what is left then has another end.
            self.schedule_unclosed_search();
        }
        if self.unclosed_due.is_none_or(|due| self.seen.now.uptime < due) {
            return;
        }
        self.unclosed_due = None;
        let query = AttemptQuery { open: true, ..AttemptQuery::default() };
        let open = match self.adapters.store.attempts(&query) {
            Ok(open) => open,
            Err(error) => {
                self.troubles.record(TroubleSource::Store, &error, self.seen.now);
                self.schedule_unclosed_search();
                return;
            }
        };
        let Self { adapters, state, seen, admitted_unrecorded, .. } = self;
        let left = open.into_iter().filter(|attempt| {
            is_unclosed(attempt, state, seen)
                && !admitted_unrecorded.contains_key(&attempt.run.experiment)
        });
        let found = left.filter_map(|attempt| {
            let mut end = adapters.handover.find_end(&attempt, seen.now.at)?;
            let unit = seen.units.get(&attempt.run.experiment);
            end.end.evidence.restarts = unit.and_then(|unit| unit.restarts);
            Some((attempt.run, end))
        });
        seen.unclosed = found.collect();
    }

    /// Returns the delay after which a run may be restarted, by the definition and the start limit that
    /// systemd would apply; `None` if it may not, or has no usable definition.
    fn restart_after(&self, run: &RunId) -> Result<Option<TimeSpan>, LedgerError> {
        let Ok(found) = self.adapters.definitions.find(&run.experiment) else { return Ok(None) };
        let restart = &found.spec.restart;
        let query = AttemptQuery {
            experiment: Some(run.experiment.clone()),
            run: Some(run.number),
            ..AttemptQuery::default()
        };
        let (boot, now) = (self.state.boot, self.seen.now);
        let attempts = self.adapters.store.attempts(&query)?;
        let limit = StartLimit::from(restart);
        let is_allowed =
            limit.allows_after(restart.delay, &attempts, boot, Some(now.uptime), now.at);
        Ok(is_allowed.then_some(restart.delay))
    }

    /// Returns whether the run of a dependency exists, or may be submitted later.
    ///
    /// # Errors
    /// [`RequestError::Store`] if the store cannot be read.
    pub(super) fn exists(&self, on: &Dependency) -> Result<bool, RequestError> {
        let run = self.adapters.store.run_state(&on.on);
        let run = run.map_err(|error| RequestError::Store(std::sync::Arc::new(error)))?;
        Ok(run.is_some()
            || match &on.on {
                RunRef::Newest(id) => self.adapters.definitions.find(id).is_ok(),
                RunRef::Run(_) => false,
            })
    }
}

/// Returns whether a unit would not be listed: it is inactive and has no start job.
fn is_unlisted(unit: &UnitStatus) -> bool {
    unit.active_state == ActiveState::Inactive && !unit.start_due
}

/// Returns whether two readings of a unit are the same for every decision. A unit that starts and ends passes through
/// more sub-states than decisions distinguish, and with thousands of queued runs each decision takes milliseconds.
fn is_same(before: Option<&UnitStatus>, now: Option<&UnitStatus>) -> bool {
    match (before, now) {
        (None, None) => true,
        (Some(before), Some(now)) => {
            let checks_condition = |unit: &UnitStatus| unit.sub_state == SubState::Condition;
            let waits = |unit: &UnitStatus| unit.sub_state.is_waiting_for_restart();
            before.active_state == now.active_state
                && before.invocation == now.invocation
                && before.start_due == now.start_due
                && checks_condition(before) == checks_condition(now)
                && waits(before) == waits(now)
        }
        _ => false,
    }
}
