//! Admission of starts that were requested elsewhere: by `systemctl start`, the boot, `Restart=`.

use std::sync::Arc;

use bij_core::definition::{ExperimentSpec, SourceFile, SpecOverlay};
use bij_core::port::{Board, Change, DefinitionSource, Handover, Ledger, LedgerError, RunQueue};
use bij_core::queue::{
    ClosedGate, EventKind, Origin, QueuePosition, QueueState, QueuedRun, RunRef, Submission, Terms,
    WaitingOn,
};
use bij_core::request::{Admission, WaitReason};
use bij_core::{ExperimentId, RunEnd, RunId, RunNumber, RunState, TimeSpan, error_chain};

use super::trouble::TroubleSource;
use super::{Coordinator, UnrecordedAdmission};
use crate::policy::{UntrackedUnit, closed_gates, requeue_interrupted};
use crate::{Now, Ports, StartRequest};

/// How long a unit that was admitted without a record counts as starting, in microseconds.
const UNRECORDED_START_TIMEOUT: u64 = 30_000_000;

impl<P: Ports> Coordinator<P> {
    /// Decides whether a start that was requested elsewhere may go on. A refused start is queued, and started
    /// when its gates open.
    ///
    /// Without a writable store starts are judged all the same: an admitted start counts although it is not
    /// recorded.
    pub fn admit(&mut self, admission: &StartRequest, now: Now) -> Admission {
        self.seen.now = now;
        let verdict = self.judge_start(admission);
        if !verdict.admitted {
            self.expect_skip(admission.invocation);
        }
        verdict
    }

    fn judge_start(&mut self, admission: &StartRequest) -> Admission {
        self.catch_up();
        self.requeue_interrupted();
        let experiment = &admission.experiment;
        self.unit_changed(experiment.clone());
        self.forget_if_over(experiment);
        if let Some(text) = self.requeue_if_too_hot(experiment) {
            let run = self.state.runs_of(experiment).next_back().map(|run| run.run.number);
            return Admission::refused(run, text);
        }
        if let Some(up) = self.state.up_of(experiment) {
            let run = Some(up.run.number);
            let text = self.hand_over(up, admission).err();
            return if self.state.stops.contains_key(experiment) || up.stop.is_some() {
                Admission::refused(run, format!("{experiment} is to be stopped"))
            } else {
                Admission { text, ..Admission::admitted(run) }
            };
        }
        let mut waiting: Vec<&QueuedRun> = self.state.runs_of(experiment).collect();
        waiting.sort_by(|a, b| {
            let is_held = |run: &QueuedRun| matches!(run.state, QueueState::Held { .. });
            is_held(a).cmp(&is_held(b)).then_with(|| a.order().cmp(&b.order()))
        });
        match waiting.first().copied().cloned() {
            Some(run) => self.judge(&run, admission, None),
            None => self.admit_new(admission),
        }
    }

    /// Forgets a run whose end is recorded but not announced by an event yet, because the disk is full. A start
    /// of its experiment then belongs to another run, and is no restart.
    fn forget_if_over(&mut self, experiment: &ExperimentId) {
        let Some(run) = self.state.up_of(experiment).map(|up| up.run.clone()) else { return };
        let state = self.adapters.store.run_state(&RunRef::Run(run.clone()));
        if matches!(state, Ok(Some(RunState::Ended(_)))) {
            self.state.forget(&run);
            self.report_is_fresh = false;
        }
    }

    /// Requeues runs of another boot before anything starts.
    fn requeue_interrupted(&mut self) {
        if self.state.interrupted.is_empty() {
            return;
        }
        let changes = requeue_interrupted(&self.state);
        if self.change(&changes).is_err() {
            // The changes hold all the same, and are written as soon as the store takes them.
            for change in &changes {
                self.state.apply(change);
            }
        }
    }

    /// Queues a start that could not be judged when it was requested; it begins in its turn. If the experiment
    /// has a queued run already, nothing is added.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be recorded; the caller tries again.
    pub fn queue_start(&mut self, admission: &StartRequest, now: Now) -> Result<(), LedgerError> {
        self.seen.now = now;
        self.catch_up();
        self.requeue_interrupted();
        if self.state.runs_of(&admission.experiment).next().is_some() {
            return Ok(());
        }
        match self.submission_for(admission) {
            // The unit's own start reports it.
            Err(_) => Ok(()),
            Ok(submission) => {
                let taken = self.adapters.store.submit(&[submission], now.at);
                match taken {
                    Ok(runs) => {
                        self.troubles.clear(TroubleSource::Store);
                        for run in runs {
                            self.join(run);
                        }
                        Ok(())
                    }
                    Err(error) => {
                        self.stale.queue = true;
                        Err(error)
                    }
                }
            }
        }
    }

    /// Returns the submission for a start of an experiment that has no queued run, or the verdict if nothing is
    /// to be queued.
    fn submission_for(&self, admission: &StartRequest) -> Result<Submission, Admission> {
        let StartRequest { experiment, at_boot, by, invocation: _, extras } = admission;
        let spec = match self.adapters.definitions.find(experiment) {
            Ok(found) => found.spec,
            // The unit's own start reports what is wrong.
            Err(error) => {
                return Err(Admission {
                    text: Some(error_chain(&error)),
                    ..Admission::admitted(None)
                });
            }
        };
        if *at_boot && !spec.restart.rerun_at_boot && self.has_succeeded(experiment) {
            let text = format!(
                "the last run of {experiment} has succeeded; it runs again at boot with [restart] \
                 rerun_at_boot"
            );
            return Err(Admission::refused(None, text));
        }
        let terms = self.terms_with_extras(&spec, extras);
        if let Err(error) = self.check_admissible(experiment, &terms) {
            let remedy = error.remedy().unwrap_or_default();
            return Err(Admission::refused(None, format!("{error}; {remedy}")));
        }
        Ok(Submission {
            experiment: experiment.clone(),
            terms,
            held: None,
            extras: extras.clone(),
            by: by.clone(),
            origin: Origin::Start,
        })
    }

    /// Judges a start of an experiment that has no queued run.
    fn admit_new(&mut self, admission: &StartRequest) -> Admission {
        let submission = match self.submission_for(admission) {
            Ok(submission) => submission,
            Err(verdict) => return verdict,
        };
        let terms = submission.terms.clone();
        match self.adapters.store.submit(&[submission], self.seen.now.at) {
            Ok(mut runs) => match runs.pop() {
                Some(run) => {
                    self.troubles.clear(TroubleSource::Store);
                    self.join(run.clone());
                    self.judge(&run, admission, None)
                }
                None => Admission::admitted(None),
            },
            Err(error) => {
                self.stale.queue = true;
                self.troubles.record(TroubleSource::Store, &error, self.seen.now);
                let unrecorded = self.unrecorded(admission, terms);
                self.judge(&unrecorded, admission, Some(error_chain(&error)))
            }
        }
    }

    fn terms_with_extras(&self, spec: &ExperimentSpec, extras: &str) -> Terms {
        let overlay = SpecOverlay::parse(SourceFile::new("extras", extras.as_bytes()));
        let mut spec = spec.clone();
        // The unit's own start reports errors in the extras.
        overlay.unwrap_or_default().apply(&mut spec);
        self.terms_in(&spec)
    }

    fn has_succeeded(&self, experiment: &ExperimentId) -> bool {
        let tally = self.adapters.store.tally(experiment);
        tally.is_ok_and(|tally| tally.last_run_end == Some(RunEnd::Success))
    }

    /// Returns a run that could not be recorded, behind all others.
    fn unrecorded(&self, admission: &StartRequest, terms: Terms) -> QueuedRun {
        let experiment = admission.experiment.clone();
        QueuedRun {
            run: RunId { experiment, number: RunNumber(u32::MAX) },
            state: QueueState::Waiting,
            terms,
            place: QueuePosition(i64::MAX),
            bypassed: 0,
            submitted: self.seen.now.at,
            extras: admission.extras.clone(),
            by: admission.by.clone(),
            origin: Origin::Start,
            stop: None,
        }
    }

    /// Judges a start by the gates of its run, in its turn. `unrecorded` says why the run is not in the queue.
    fn judge(
        &mut self,
        run: &QueuedRun,
        admission: &StartRequest,
        unrecorded: Option<String>,
    ) -> Admission {
        self.seen.sample = self.adapters.board.sample();
        if let Some((hold, text)) = self.hold_for_extras(run).filter(|_| unrecorded.is_none()) {
            // If it cannot be written, the next start finds it again.
            let _ = self.change(&[hold]);
            return Admission::refused(Some(run.run.number), text);
        }
        // A unit whose run was requeued or cancelled since the last decision still takes its share. If the store
        // cannot be read, the last observation stands.
        let _ = self.observe_untracked_units();
        let closed = self.observe_dependencies(Some(run)).map_or_else(
            // None of its dependencies is known to be met.
            |_| run.terms.after.iter().map(unknown).collect(),
            |()| Vec::new(),
        );
        let closed: Vec<ClosedGate> =
            closed.into_iter().chain(closed_gates(&self.state, &self.seen, run)).collect();
        match (closed.is_empty(), unrecorded) {
            (true, None) => self.admit_run(run, admission),
            (true, Some(why)) => {
                self.admit_unrecorded(run);
                let text = format!("it starts though it could not be recorded: {why}");
                Admission { text: Some(text), ..Admission::admitted(None) }
            }
            (false, None) => self.refuse(run, admission, &closed),
            (false, Some(why)) => {
                let text = format!("{}; it could not be queued: {why}", reasons(&closed));
                let waiting_on = self.since(&run.run, closed);
                Admission { waiting_on, unrecorded: true, ..Admission::refused(None, text) }
            }
        }
    }

    fn admit_run(&mut self, run: &QueuedRun, admission: &StartRequest) -> Admission {
        if let Err(text) = self.hand_over(run, admission) {
            return Admission::refused(Some(run.run.number), text);
        }
        // A requested stop was meant for the attempt before this start.
        self.state.stops.remove(&run.run.experiment);
        let state = QueueState::Starting { boot: self.state.boot };
        let why = format!("asked for by {}", admission.by);
        let from = Some(run.state.clone());
        let change = Change::State { run: run.run.clone(), from, state, why };
        let recorded = self.change(std::slice::from_ref(&change));
        let text = recorded.err().map(|error| {
            // It counts from now on, whether it is recorded or not.
            self.state.apply(&change);
            let error: Arc<_> = error;
            format!("it starts though that could not be recorded: {}", error_chain(error.as_ref()))
        });
        Admission { text, ..Admission::admitted(Some(run.run.number)) }
    }

    /// Puts the extras of the run in place: those in place may be another run's, or missing. Returns the error
    /// as a text.
    fn hand_over(&self, run: &QueuedRun, admission: &StartRequest) -> Result<(), String> {
        if run.extras == admission.extras {
            return Ok(());
        }
        let handed_over = self.adapters.handover.extras(&run.run.experiment, &run.extras);
        handed_over.map_err(|error| error_chain(&error))
    }

    fn admit_unrecorded(&mut self, run: &QueuedRun) {
        self.state.stops.remove(&run.run.experiment);
        let untracked = UntrackedUnit {
            run: run.run.clone(),
            group: run.terms.group.clone(),
            claim: run.terms.claim,
            unwanted: false,
        };
        let until = self.seen.now.uptime.as_micros().saturating_add(UNRECORDED_START_TIMEOUT);
        let let_in =
            UnrecordedAdmission { unit: untracked.clone(), until: TimeSpan::from_micros(until) };
        self.admitted_unrecorded.insert(run.run.experiment.clone(), let_in);
        self.seen.untracked_units.push(untracked);
    }

    fn refuse(
        &mut self,
        run: &QueuedRun,
        admission: &StartRequest,
        closed: &[ClosedGate],
    ) -> Admission {
        let text = reasons(closed);
        let data = [("by", admission.by.clone()), ("text", text.clone())];
        self.note(EventKind::StartSkipped, Some(&run.run), data, self.seen.now);
        let waiting_on = self.since(&run.run, closed.to_vec());
        Admission { waiting_on, ..Admission::refused(Some(run.run.number), text) }
    }

    /// Returns the gates with the time since when each keeps the run waiting, as far as the last report knows.
    fn since(&self, run: &RunId, closed: Vec<ClosedGate>) -> Vec<WaitReason> {
        let last = self.state.last.as_ref();
        let before = last.and_then(|last| last.waiting.get(run));
        let since = |gate: &ClosedGate| {
            let same = before.and_then(|list| list.iter().find(|it| it.gate.name() == gate.name()));
            same.map_or(self.seen.now.at, |waiting| waiting.since)
        };
        let waiting = closed.into_iter().map(|gate| WaitingOn { since: since(&gate), gate });
        waiting.map(|waiting| WaitReason::from(&waiting)).collect()
    }
}

fn unknown(on: &bij_core::queue::Dependency) -> ClosedGate {
    ClosedGate::Dependency { on: on.clone(), ended: None }
}

/// Returns all reasons as one sentence.
fn reasons(closed: &[ClosedGate]) -> String {
    closed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
