//! Admission of starts that were requested elsewhere: by `systemctl start`, the boot, `Restart=`.
//!
//! If systemd cannot even prepare a start's condition, for example because `/run` is full, it takes it for a "no"
//! (systemd.service(5), `ExecCondition=`): `systemctl start` reports success, and a crashed unit is not
//! restarted. The gates were not evaluated, so such a start is queued here.

use bij_core::port::{Board, Change, DefinitionSource, Ledger, LedgerError, RunQueue};
use bij_core::queue::{EventKind, Origin, QueueState, QueuedRun, RunRef, Submission};
use bij_core::request::Admission;
use bij_core::{ExperimentId, InvocationId, RunEnd, RunId, RunState, TimeSpan, error_chain};

use super::{Coordinator, UnrecordedAdmission};
use crate::policy::admission::{self, StartCase};
use crate::policy::requeue_interrupted;
use crate::{Now, Ports, StartRequest};

/// How long a unit that was admitted without a record counts as starting.
const UNRECORDED_START_TIMEOUT: TimeSpan = TimeSpan::from_secs(30);
/// How long a refused start is remembered: on a loaded machine the signal of its skip arrives late.
const REFUSAL_KEPT: TimeSpan = TimeSpan::from_secs(600);
/// Reason of a run whose start was skipped without calling the hook.
const SKIP_REASON: &str = "the service manager could not prepare its start: is /run or a disk full, or read-only? \
                   its unit's journal tells";
/// Requester of a start that was skipped.
const SERVICE_MANAGER: &str = "the service manager";

impl<P: Ports> Coordinator<P> {
    /// Decides whether a start that was requested elsewhere may go on. A refused start is queued, and started
    /// when its gates open.
    ///
    /// Without a writable store starts are judged all the same: an admitted start counts although it is not
    /// recorded.
    pub fn admit(&mut self, admission: &StartRequest, now: Now) -> Admission {
        self.begin_admission(now);
        self.outdated.unit(admission.experiment.clone());
        self.forget_if_over(&admission.experiment);
        let verdict = match admission::start_case(&self.state, &self.seen, &admission.experiment) {
            StartCase::TooHot { run, requeue, text } => {
                // If the store does not take it, the run is later found to be down, and ends by its crash.
                let _ = self.change(&requeue);
                Admission::refused(run, text)
            }
            StartCase::Restart { run, is_to_be_stopped } => {
                let text = self.hand_extras_over(&run, &admission.extras).err();
                if is_to_be_stopped {
                    let text = format!("{} is to be stopped", admission.experiment);
                    Admission::refused(Some(run.run.number), text)
                } else {
                    Admission { text, ..Admission::admitted(Some(run.run.number)) }
                }
            }
            StartCase::Queued(run) => self.judge(&run, admission, None),
            StartCase::New => self.admit_new(admission),
        };
        if !verdict.admitted {
            self.expect_skip(admission.invocation);
        }
        verdict
    }

    /// Queues a start that could not be judged when it was requested; it begins in its turn. If the experiment
    /// has a queued run already, nothing is added.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be recorded; the caller tries again.
    pub fn queue_start(&mut self, admission: &StartRequest, now: Now) -> Result<(), LedgerError> {
        self.begin_admission(now);
        if self.state.runs_of(&admission.experiment).next().is_some() {
            return Ok(());
        }
        // The unit's own start reports why nothing is queued.
        let Ok(submission) = self.submission_for(admission) else { return Ok(()) };
        self.queue_runs(&[submission]).map(drop)
    }

    /// Handles a start of this invocation of an experiment's unit that was skipped by its condition. Unless the
    /// coordinator has refused the start, it is queued; a run that was between two attempts is requeued.
    pub fn start_skipped(&mut self, experiment: &ExperimentId, invocation: InvocationId, now: Now) {
        self.seen.now = now;
        self.outdated.unit(experiment.clone());
        let is_known = self.refused.contains_key(&invocation);
        // Each change of the unit until the next start reports the skip again.
        self.expect_skip(Some(invocation));
        // The result of the coordinator's own start reports it.
        if is_known || self.state.busy.contains_key(experiment) {
            return;
        }
        self.catch_up();
        match self.state.up_of(experiment).cloned() {
            Some(run) if run.state == QueueState::Running => self.requeue_skipped(run, invocation),
            // It is `Starting`: its start is retried.
            Some(_) => {}
            None if self.state.runs_of(experiment).next().is_some() => {}
            None => self.queue_skipped(experiment, invocation),
        }
    }

    /// Requeues runs of another boot before anything starts.
    fn begin_admission(&mut self, now: Now) {
        self.begin_request(now);
        self.correct(&requeue_interrupted(&self.state));
    }

    /// Notes that the coordinator itself has refused a start, so that its skip is expected.
    fn expect_skip(&mut self, invocation: Option<InvocationId>) {
        let now = self.seen.now.uptime;
        self.refused.retain(|_, until| now < *until);
        self.refused.extend(invocation.map(|invocation| (invocation, now + REFUSAL_KEPT)));
    }

    /// Forgets a run whose end is recorded but not announced by an event yet, because the disk is full. A start
    /// of its experiment then belongs to another run, and is no restart.
    fn forget_if_over(&mut self, experiment: &ExperimentId) {
        let Some(run) = self.state.up_of(experiment).map(|up| up.run.clone()) else { return };
        let state = self.adapters.store.run_state(&RunRef::Run(run.clone()));
        if matches!(state, Ok(Some(RunState::Ended(_)))) {
            self.state.forget(&run);
            self.outdated.decision();
        }
    }

    /// Returns the submission for a start of an experiment that has no queued run, or the verdict if nothing is
    /// to be queued.
    fn submission_for(&self, admission: &StartRequest) -> Result<Submission, Admission> {
        // The unit's own start reports what is wrong with a definition.
        let found = self.adapters.definitions.find(&admission.experiment).map_err(|error| {
            let text = Some(error_chain(&error));
            Admission { text, ..Admission::admitted(None) }
        })?;
        let tally = self.adapters.store.tally(&admission.experiment);
        let has_succeeded = tally.is_ok_and(|tally| tally.last_run_end == Some(RunEnd::Success));
        let terms = self.terms_with_extras(&found.spec, &admission.extras);
        let Self { state, seen, .. } = self;
        admission::submission(state, seen, admission, &found.spec, terms, has_succeeded)
    }

    /// Judges a start of an experiment that has no queued run.
    fn admit_new(&mut self, admission: &StartRequest) -> Admission {
        let submission = match self.submission_for(admission) {
            Ok(submission) => submission,
            Err(verdict) => return verdict,
        };
        match self.queue_runs(std::slice::from_ref(&submission)) {
            Ok(queued) => match queued.first().and_then(|run| self.state.runs.get(run)) {
                Some(run) => self.judge(&run.clone(), admission, None),
                None => Admission::admitted(None),
            },
            Err(error) => {
                let run = admission::unrecorded_run(&submission, &self.seen);
                self.judge(&run, admission, Some(error_chain(&error)))
            }
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
        let are_dependencies_known = self.observe_dependencies(Some(run)).is_ok();
        let Self { state, seen, .. } = self;
        let waiting_on = admission::closed_to(run, state, seen, are_dependencies_known);
        match (waiting_on.is_empty(), unrecorded) {
            (true, None) => self.admit_run(run, admission),
            (true, Some(why)) => {
                self.admit_unrecorded(run);
                let text = Some(format!("it starts though it could not be recorded: {why}"));
                Admission { text, ..Admission::admitted(None) }
            }
            (false, None) => {
                let verdict = admission::waits(Some(run.run.number), &waiting_on);
                let text = verdict.text.clone().unwrap_or_default();
                let data = [("by", admission.by.clone()), ("text", text)];
                self.note(EventKind::StartSkipped, Some(&run.run), data);
                verdict
            }
            (false, Some(why)) => {
                let verdict = admission::waits(None, &waiting_on);
                let text =
                    verdict.text.map(|text| format!("{text}; it could not be queued: {why}"));
                Admission { text, unrecorded: true, ..verdict }
            }
        }
    }

    fn admit_run(&mut self, run: &QueuedRun, admission: &StartRequest) -> Admission {
        if let Err(text) = self.hand_extras_over(run, &admission.extras) {
            return Admission::refused(Some(run.run.number), text);
        }
        // A requested stop was meant for the attempt before this start.
        self.state.stops.remove(&run.run.experiment);
        let error = self.correct(&[admission::admit(run, &self.state, &admission.by)]);
        let text = error.map(|error| {
            let error = error_chain(error.as_ref());
            format!("it starts though that could not be recorded: {error}")
        });
        Admission { text, ..Admission::admitted(Some(run.run.number)) }
    }

    fn admit_unrecorded(&mut self, run: &QueuedRun) {
        self.state.stops.remove(&run.run.experiment);
        let unit = admission::untracked(run);
        let until = self.seen.now.uptime + UNRECORDED_START_TIMEOUT;
        self.seen.untracked_units.push(unit.clone());
        let admitted = UnrecordedAdmission { unit, until };
        self.admitted_unrecorded.insert(run.run.experiment.clone(), admitted);
    }

    fn requeue_skipped(&mut self, run: QueuedRun, invocation: InvocationId) {
        let why = self.note_skip(&run.run);
        let (from, state) = (Some(run.state), QueueState::Waiting);
        if self.change(&[Change::State { run: run.run, from, state, why }]).is_err() {
            // The unit's next change reports the skip again.
            self.refused.remove(&invocation);
        }
    }

    fn queue_skipped(&mut self, experiment: &ExperimentId, invocation: InvocationId) {
        // An experiment without a usable definition is not to be started.
        let Some(terms) = self.terms_of(experiment) else { return };
        let submission = Submission {
            experiment: experiment.clone(),
            terms,
            held: None,
            extras: String::new(),
            by: SERVICE_MANAGER.to_owned(),
            origin: Origin::Start,
        };
        match self.queue_runs(&[submission]) {
            Ok(runs) => runs.iter().for_each(|run| drop(self.note_skip(run))),
            // The unit's next change reports the skip again.
            Err(_) => drop(self.refused.remove(&invocation)),
        }
    }

    /// Records why a start was skipped, and returns it.
    fn note_skip(&mut self, run: &RunId) -> String {
        let why = match self.obstacle(&run.experiment) {
            Some(obstacle) => {
                format!("the service manager could not prepare its start: {obstacle}")
            }
            None => SKIP_REASON.to_owned(),
        };
        let data = [("by", SERVICE_MANAGER.to_owned()), ("text", why.clone())];
        self.note(EventKind::StartSkipped, Some(run), data);
        why
    }
}
