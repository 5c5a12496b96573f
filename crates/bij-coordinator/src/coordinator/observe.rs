//! What is looked at before a decision.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::definition::ExperimentSpec;
use bij_core::port::{
    AttemptQuery, Board, Change, DefinitionSource, Handover, Ledger, LedgerError, RunQueue,
};
use bij_core::port::{UnitError, UnitManager};
use bij_core::queue::{Claim, GroupName, NotBefore, Origin, QueueState, QueuedRun, RunRef, Terms};
use bij_core::{
    ActiveState, Bytes, ExperimentId, Limit, OrderKind, RunEnd, RunId, RunNumber, RunState,
    TimeSpan, UnitStatus,
};

use super::catch_up::{newest, newest_attempt};
use super::{Coordinator, trouble::With};
use crate::Ports;
use crate::policy::{LastAttempt, Lost, Stray, Vitals};
use crate::terms;

/// With more units to be looked at than this, one list of all costs less.
const FEW: usize = 8;

impl<P: Ports> Coordinator<P> {
    /// Whether all units have been looked at: a decision from half a picture would end runs whose
    /// units are merely unknown.
    pub(super) fn has_seen_enough(&self) -> bool {
        !self.unseen.all_units && self.unseen.units.is_empty()
    }

    /// Looks at the units that have changed, or may have.
    pub(super) async fn look_at_units(&mut self) {
        let uptime = self.seen.now.uptime;
        if self.health_due <= uptime {
            let up = self.state.up().map(|run| run.run.experiment.clone());
            self.unseen.units.extend(up);
        }
        if self.has_seen_enough() || self.troubles.waits(With::Bus, uptime) {
            return;
        }
        match self.ask_for_units().await {
            Ok(()) => self.troubles.gone(With::Bus),
            Err(error) => self.troubles.met(With::Bus, &error, self.seen.now),
        }
        let unreachable = self.troubles.unreachable();
        if unreachable.is_some() != self.seen.unreachable.is_some() {
            self.undecided = true;
            self.report_is_fresh = false;
        }
        self.seen.unreachable = unreachable;
    }

    async fn ask_for_units(&mut self) -> Result<(), UnitError> {
        let units = &self.adapters.units;
        let mut anything_down = false;
        if self.unseen.all_units || self.unseen.units.len() > FEW {
            let list = units.list().await?;
            self.seen.units = list.into_iter().map(|unit| (unit.id.clone(), unit)).collect();
            self.unseen.all_units = false;
            self.unseen.units.clear();
            anything_down = true;
        }
        while let Some(id) = self.unseen.units.first() {
            match units.status(id).await {
                Ok(unit) if is_down_and_forgotten(&unit) => self.seen.units.remove(id),
                Ok(unit) => self.seen.units.insert(id.clone(), unit),
                Err(UnitError::NotFound(_)) => self.seen.units.remove(id),
                Err(error) => return Err(error),
            };
            anything_down |= !self.seen.is_up(id);
            self.unseen.units.pop_first();
        }
        if anything_down {
            self.expect_left_open();
        }
        Ok(())
    }

    /// Looks at everything else that a decision goes by. What the store cannot tell now is seen as
    /// it was.
    pub(super) fn look_at_the_rest(&mut self) {
        self.seen.sample = self.adapters.board.sample();
        let is_reachable = self.seen.unreachable.is_none();
        if is_reachable {
            self.close_left_open();
        }
        let looked_at_units = if is_reachable {
            self.look_at_strays().and_then(|()| self.look_at_lost())
        } else {
            Ok(())
        };
        let looked = looked_at_units.and_then(|()| self.look_at_others(None));
        if let Err(error) = looked {
            self.troubles.met(With::Store, &error, self.seen.now);
        }
        if !is_reachable {
            // From what units were like nothing follows by now.
            return;
        }
        self.look_at_vitals();
        self.carry_delays_over();
        self.adopt();
        let Self { state, seen, .. } = self;
        state.stops.retain(|id, _| seen.is_up(id) || state.busy.contains_key(id));
    }

    /// Units that are up without a run that is.
    pub(super) fn look_at_strays(&mut self) -> Result<(), LedgerError> {
        let mut strays = Vec::new();
        for (id, unit) in &self.seen.units {
            if self.seen.is_up(id) && self.state.up_of(id).is_none() {
                strays.push(self.stray(id, unit)?);
                self.let_in.remove(id);
            }
        }
        if self.unseen.all_units {
            strays.extend(self.strays_by_ledger(&strays)?);
        }
        let Self { let_in, state, seen, unseen, .. } = self;
        let_in.retain(|id, it| {
            let has_been_seen_down =
                !unseen.all_units && !unseen.units.contains(id) && !seen.is_coming_up(id);
            seen.now.uptime < it.until && state.up_of(id).is_none() && !has_been_seen_down
        });
        strays.extend(self.let_in.values().map(|let_in| let_in.stray.clone()));
        self.seen.strays = strays;
        Ok(())
    }

    fn stray(&self, id: &ExperimentId, unit: &UnitStatus) -> Result<Stray, LedgerError> {
        let store = &self.adapters.store;
        let first = RunId { experiment: id.clone(), number: RunNumber(1) };
        let attempt = newest(store, &first, None)?;
        let run = attempt.as_ref().map_or(first, |attempt| attempt.run.clone());
        // The unit lives the attempt whose run was put back, or cancelled, while it was up.
        let lives = attempt.is_some_and(|attempt| {
            attempt.end.is_none()
                && attempt.key.boot == self.state.boot
                && Some(attempt.key.invocation) == unit.invocation
        });
        let unwanted = lives
            && (self.state.runs.contains_key(&run)
                || store.run_state(&RunRef::Run(run.clone()))?
                    == Some(RunState::Ended(RunEnd::Cancelled)));
        Ok(self.stray_of(run, unwanted))
    }

    fn stray_of(&self, run: RunId, unwanted: bool) -> Stray {
        let known = self.seen.strays.iter().find(|stray| stray.run == run);
        let (group, claim) = match known {
            Some(stray) => (stray.group.clone(), stray.claim),
            None => self.terms_of(&run.experiment).map_or_else(
                || (GroupName::default(), Claim::default()),
                |terms| (terms.group, terms.claim),
            ),
        };
        Stray { run, group, claim, unwanted }
    }

    /// Where the units could not be looked at yet: attempts that live as far as the ledger knows. It
    /// does not know of a unit that was let start without a record and has not begun, nor of one that
    /// waits to be restarted though its run was cancelled; that asks for admission when it is.
    fn strays_by_ledger(&self, seen: &[Stray]) -> Result<Vec<Stray>, LedgerError> {
        let query = AttemptQuery { open: true, ..AttemptQuery::default() };
        let mut strays: Vec<Stray> = Vec::new();
        for attempt in self.adapters.store.attempts(&query)? {
            let experiment = &attempt.run.experiment;
            let is_known = |stray: &Stray| stray.run.experiment == *experiment;
            let is_new = attempt.key.boot == self.state.boot
                && self.state.up_of(experiment).is_none()
                && !seen.iter().chain(&strays).any(is_known);
            if is_new {
                strays.push(self.stray_of(attempt.run, false));
            }
        }
        Ok(strays)
    }

    /// Runs that should be up while their unit is down.
    fn look_at_lost(&mut self) -> Result<(), LedgerError> {
        let mut lost = BTreeMap::new();
        for run in self.state.up().filter(|run| run.state == QueueState::Running) {
            if self.seen.is_up(&run.run.experiment) {
                continue;
            }
            let attempt = newest_attempt(&self.adapters.store, &run.run)?;
            let end = attempt.and_then(|attempt| attempt.end);
            let newest =
                end.as_ref().map_or(LastAttempt::Open, |end| LastAttempt::Ended(end.cause));
            let before = self.seen.lost.get(&run.run);
            let since = before.map_or(self.seen.now.uptime, |before| before.since);
            // What is still in force came after the attempt's end, or nobody has recorded that.
            let in_force = self.adapters.handover.order(&run.run.experiment);
            let order = in_force.or_else(|| end.and_then(|end| end.evidence.order));
            let order = order.map(|order| order.kind);
            let mut one = Lost { last: newest, since, order, restart_after: None };
            if one.was_stopped_by(OrderKind::GpuMemory) {
                one.restart_after = self.restart_after(&run.run)?;
            }
            lost.insert(run.run.clone(), one);
        }
        self.seen.lost = lost;
        Ok(())
    }

    /// Runs that others wait for, and that one more does which is not in the queue.
    pub(super) fn look_at_others(&mut self, also: Option<&QueuedRun>) -> Result<(), LedgerError> {
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

    /// How those that are up do, if it is time to look.
    fn look_at_vitals(&mut self) {
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
                life: unit.invocation,
            };
            self.seen.vitals.insert(run.run.clone(), vitals);
        }
    }

    /// What is left of the span that a run waits for, counted in another boot, is counted in this one.
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
        // A store that cannot be written now is no trouble of its own: the span is counted anyway, and
        // written when the queue is read again.
        let _ = self.adapters.store.change(&edits, now.at);
        for edit in &edits {
            self.state.apply(edit);
        }
    }

    /// Gives a run that nobody has submitted the terms of its definition, once: what it claims
    /// counts.
    fn adopt(&mut self) {
        let strangers: Vec<RunId> = self
            .state
            .up()
            .filter(|run| run.origin == Origin::Start && run.terms == Terms::default())
            .filter(|run| !self.adopted.contains(&run.run))
            .map(|run| run.run.clone())
            .collect();
        for run in strangers {
            let terms = self.terms_of(&run.experiment).unwrap_or_default();
            if terms == Terms::default() {
                self.adopted.insert(run);
                continue;
            }
            let by = "its definition".to_owned();
            let edit = Change::Edit { run: run.clone(), terms: Box::new(terms), by };
            if self.change(std::slice::from_ref(&edit)).is_ok() {
                self.adopted.insert(run);
            } else {
                // The claim counts anyway, and is written when the queue has been read again.
                self.state.apply(&edit);
            }
        }
    }

    /// The terms that a definition asks for, if there is a usable one.
    pub(super) fn terms_of(&self, id: &ExperimentId) -> Option<Terms> {
        let found = self.adapters.definitions.find(id).ok()?;
        Some(self.terms_in(&found.spec))
    }

    /// What this machine lacks for an experiment's start, as a sentence with its remedy.
    pub(super) fn obstacle(&self, id: &ExperimentId) -> Option<String> {
        let definitions = &self.adapters.definitions;
        let found = definitions.find(id).ok()?;
        definitions.obstacles(&found.spec, None).first().map(ToString::to_string)
    }

    /// The terms that a definition asks for.
    pub(super) fn terms_in(&self, spec: &ExperimentSpec) -> Terms {
        terms::of_definition(spec, self.memory_total(), self.seen.sample.shared_with_gpu)
    }

    /// The machine's memory; where it cannot be read, a share of it is no claim that fits.
    pub(super) fn memory_total(&self) -> Bytes {
        self.seen.sample.memory_total.clone().unwrap_or(Bytes::new(u64::MAX))
    }
}

/// Whether a unit would not be listed: it is down, and nothing is to be known of it.
fn is_down_and_forgotten(unit: &UnitStatus) -> bool {
    unit.active_state == ActiveState::Inactive && !unit.start_due
}
