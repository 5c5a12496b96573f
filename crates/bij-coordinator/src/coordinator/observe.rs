//! Reads what a decision needs.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::port::{
    AttemptQuery, Board, Change, DefinitionSource, Handover, Ledger, LedgerError, RunQueue,
};
use bij_core::port::{UnitError, UnitManager};
use bij_core::queue::{Claim, GroupName, NotBefore, Origin, QueueState, QueuedRun, RunRef, Terms};
use bij_core::spec::ExperimentSpec;
use bij_core::{
    ActiveState, Bytes, ExperimentId, Limit, OrderKind, RunEnd, RunId, RunNumber, RunState,
    TimeSpan, UnitStatus,
};

use super::catch_up::{newest_attempt, newest_attempt_of};
use super::{Coordinator, trouble::TroubleSource};
use crate::Ports;
use crate::policy::{LastAttempt, MissingUnit, UntrackedUnit, Vitals};
use crate::terms;

/// Number of units above which one listing costs less than a query for each.
const MAX_SINGLE_QUERIES: usize = 8;

impl<P: Ports> Coordinator<P> {
    /// Returns whether the states of all units are known: a decision without them would end runs whose units
    /// are merely unknown.
    pub(super) fn knows_all_units(&self) -> bool {
        !self.stale.all_units && self.stale.units.is_empty()
    }

    /// Reads the units that have changed or may have.
    pub(super) async fn observe_units(&mut self) {
        let uptime = self.seen.now.uptime;
        if self.health_due <= uptime {
            let up = self.state.up().map(|run| run.run.experiment.clone());
            self.stale.units.extend(up);
        }
        if self.knows_all_units() || self.troubles.is_waiting(TroubleSource::Bus, uptime) {
            return;
        }
        match self.read_units().await {
            Ok(()) => self.troubles.clear(TroubleSource::Bus),
            Err(error) => self.troubles.record(TroubleSource::Bus, &error, self.seen.now),
        }
        let unreachable = self.troubles.unreachable();
        if unreachable.is_some() != self.seen.unreachable.is_some() {
            self.undecided = true;
            self.report_is_fresh = false;
        }
        self.seen.unreachable = unreachable;
    }

    async fn read_units(&mut self) -> Result<(), UnitError> {
        let units = &self.adapters.units;
        let mut is_any_down = false;
        if self.stale.all_units || self.stale.units.len() > MAX_SINGLE_QUERIES {
            let list = units.list().await?;
            self.seen.units = list.into_iter().map(|unit| (unit.id.clone(), unit)).collect();
            self.stale.all_units = false;
            self.stale.units.clear();
            is_any_down = true;
        }
        while let Some(id) = self.stale.units.first() {
            match units.status(id).await {
                Ok(unit) if is_unlisted(&unit) => self.seen.units.remove(id),
                Ok(unit) => self.seen.units.insert(id.clone(), unit),
                Err(UnitError::NotFound(_)) => self.seen.units.remove(id),
                Err(error) => return Err(error),
            };
            is_any_down |= !self.seen.is_up(id);
            self.stale.units.pop_first();
        }
        if is_any_down {
            self.schedule_unclosed_search();
        }
        Ok(())
    }

    /// Reads everything else that a decision needs. If the store cannot be read now, the last observation
    /// stands.
    pub(super) fn observe_everything_else(&mut self) {
        self.seen.sample = self.adapters.board.sample();
        let is_reachable = self.seen.unreachable.is_none();
        if is_reachable {
            self.close_unclosed();
        }
        let read_units = if is_reachable {
            self.observe_untracked_units().and_then(|()| self.observe_missing_units())
        } else {
            Ok(())
        };
        let read = read_units.and_then(|()| self.observe_dependencies(None));
        if let Err(error) = read {
            self.troubles.record(TroubleSource::Store, &error, self.seen.now);
        }
        if !is_reachable {
            // Outdated states of units allow no conclusions.
            return;
        }
        self.measure_vitals();
        self.carry_delays_over();
        self.claim_started_runs();
        let Self { state, seen, .. } = self;
        state.stops.retain(|id, _| seen.is_up(id) || state.busy.contains_key(id));
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
        if self.stale.all_units {
            untracked_units.extend(self.untracked_units_from_ledger(&untracked_units)?);
        }
        let Self { admitted_unrecorded, state, seen, stale, .. } = self;
        admitted_unrecorded.retain(|id, it| {
            let has_been_seen_down =
                !stale.all_units && !stale.units.contains(id) && !seen.is_coming_up(id);
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
    fn measure_vitals(&mut self) {
        self.seen.vitals.clear();
        let uptime = self.seen.now.uptime;
        if uptime < self.health_due {
            return;
        }
        let interval = self.state.settings.health_interval().as_micros();
        self.health_due = TimeSpan::from_micros(uptime.as_micros().saturating_add(interval));
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

    /// Converts delays that were counted in another boot to the current one.
    fn carry_delays_over(&mut self) {
        let (boot, now) = (self.state.boot, self.seen.now);
        let carried = |run: &QueuedRun| match run.terms.not_before? {
            NotBefore::At(_) => None,
            NotBefore::Delay(delay) => delay.carried_over(boot, now.at, now.uptime),
        };
        let edits = self.state.runs.values().filter(|run| !run.state.is_up()).filter_map(|run| {
            let not_before = Some(NotBefore::Delay(carried(run)?));
            let terms = Box::new(Terms { not_before, ..run.terms.clone() });
            Some(Change::Edit { run: run.run.clone(), terms, by: "the new boot".to_owned() })
        });
        let edits: Vec<Change> = edits.collect();
        if edits.is_empty() {
            return;
        }
        // A failure is no trouble: the delay applies anyway, and is written when the queue is read again.
        let _ = self.adapters.store.change(&edits, now.at);
        for edit in &edits {
            self.state.apply(edit);
        }
    }

    /// Gives each run that was started without a submission the terms of its definition, once, so that its
    /// claim counts.
    fn claim_started_runs(&mut self) {
        let unsubmitted: Vec<RunId> = self
            .state
            .up()
            .filter(|run| run.origin == Origin::Start && run.terms == Terms::default())
            .filter(|run| !self.terms_checked.contains(&run.run))
            .map(|run| run.run.clone())
            .collect();
        for run in unsubmitted {
            let terms = self.terms_of(&run.experiment).unwrap_or_default();
            if terms == Terms::default() {
                self.terms_checked.insert(run);
                continue;
            }
            let by = "its definition".to_owned();
            let edit = Change::Edit { run: run.clone(), terms: Box::new(terms), by };
            if self.change(std::slice::from_ref(&edit)).is_ok() {
                self.terms_checked.insert(run);
            } else {
                // The claim counts anyway, and is written when the queue has been read again.
                self.state.apply(&edit);
            }
        }
    }

    /// Returns the terms that an experiment's definition asks for, if it is usable.
    pub(super) fn terms_of(&self, id: &ExperimentId) -> Option<Terms> {
        let found = self.adapters.definitions.find(id).ok()?;
        Some(self.terms_in(&found.spec))
    }

    /// Returns what the machine lacks for an experiment's start, as a sentence with its remedy.
    pub(super) fn obstacle(&self, id: &ExperimentId) -> Option<String> {
        let definitions = &self.adapters.definitions;
        let found = definitions.find(id).ok()?;
        definitions.obstacles(&found.spec, None).first().map(ToString::to_string)
    }

    /// Returns the terms that a definition asks for.
    pub(super) fn terms_in(&self, spec: &ExperimentSpec) -> Terms {
        terms::of_definition(spec, self.memory_total(), self.seen.sample.shared_with_gpu)
    }

    /// Returns the machine's memory; if it cannot be read, a value so large that no share of it fits.
    pub(super) fn memory_total(&self) -> Bytes {
        self.seen.sample.memory_total.clone().unwrap_or(Bytes::new(u64::MAX))
    }
}

/// Returns whether a unit would not be listed: it is inactive and has no start job.
fn is_unlisted(unit: &UnitStatus) -> bool {
    unit.active_state == ActiveState::Inactive && !unit.start_due
}
