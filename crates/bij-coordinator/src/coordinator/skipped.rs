//! Starts that the service manager has skipped without calling the hook.
//!
//! If systemd cannot even prepare the condition, for example because `/run` is full, it takes it for a "no"
//! (systemd.service(5), `ExecCondition=`): `systemctl start` reports success, and a crashed unit is not
//! restarted. The gates were not evaluated, so such a start is queued here.
use bij_core::port::{Change, RunQueue};
use bij_core::queue::{EventKind, Origin, QueueState, QueuedRun, Submission};
use bij_core::{ExperimentId, InvocationId, RunId, TimeSpan};

use super::Coordinator;
use super::trouble::TroubleSource;
use crate::{Now, Ports};

/// How long a refused start is remembered, in microseconds: on a loaded machine the signal of its skip
/// arrives late.
const REFUSAL_KEPT: u64 = 600_000_000;

/// Reason of a run whose start was skipped without calling the hook.
const SKIP_REASON: &str = "the service manager could not prepare its start: is /run or a disk full, or read-only? \
                   its unit's journal tells";

impl<P: Ports> Coordinator<P> {
    /// Notes that the coordinator itself has refused a start, so that its skip is expected.
    pub(super) fn expect_skip(&mut self, invocation: Option<InvocationId>) {
        let now = self.seen.now.uptime;
        self.refused.retain(|_, until| now < *until);
        let until = TimeSpan::from_micros(now.as_micros().saturating_add(REFUSAL_KEPT));
        self.refused.extend(invocation.map(|invocation| (invocation, until)));
    }

    /// Handles a start of this invocation of an experiment's unit that was skipped by its condition. Unless the
    /// coordinator has refused the start, it is queued; a run that was between two attempts is requeued.
    pub fn start_skipped(&mut self, experiment: &ExperimentId, invocation: InvocationId, now: Now) {
        self.seen.now = now;
        self.unit_changed(experiment.clone());
        let is_known = self.refused.contains_key(&invocation);
        // Each change of the unit until the next start reports the skip again.
        self.expect_skip(Some(invocation));
        // The result of the coordinator's own start reports it.
        if is_known || self.state.busy.contains_key(experiment) {
            return;
        }
        self.catch_up();
        match self.state.up_of(experiment).cloned() {
            Some(run) if run.state == QueueState::Running => self.requeue_skipped(&run),
            // It is `Starting`: its start is retried.
            Some(_) => {}
            None if self.state.runs_of(experiment).next().is_some() => {}
            None => self.queue_skipped(experiment),
        }
    }

    fn requeue_skipped(&mut self, run: &QueuedRun) {
        let from = Some(run.state.clone());
        let (run, state) = (run.run.clone(), QueueState::Waiting);
        let why = self.note_skip(&run);
        // If the store does not take it, the run is later found to be down.
        let _ = self.change(&[Change::State { run, from, state, why }]);
    }

    fn queue_skipped(&mut self, experiment: &ExperimentId) {
        // An experiment without a usable definition is not to be started.
        let Some(terms) = self.terms_of(experiment) else { return };
        let submission = Submission {
            experiment: experiment.clone(),
            terms,
            held: None,
            extras: String::new(),
            by: "the service manager".to_owned(),
            origin: Origin::Start,
        };
        match self.adapters.store.submit(&[submission], self.seen.now.at) {
            Ok(runs) => {
                self.troubles.clear(TroubleSource::Store);
                for run in runs {
                    let id = run.run.clone();
                    self.join(run);
                    self.note_skip(&id);
                }
            }
            Err(error) => {
                self.stale.queue = true;
                self.troubles.record(TroubleSource::Store, &error, self.seen.now);
            }
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
        let data = [("by", "the service manager".to_owned()), ("text", why.clone())];
        self.note(EventKind::StartSkipped, Some(run), data, self.seen.now);
        why
    }
}
