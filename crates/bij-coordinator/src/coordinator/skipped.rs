//! Starts that the service manager has skipped without asking.
//!
//! A condition that systemd cannot even prepare, on a full `/run` for one, it takes for a "no"
//! (systemd.service(5), `ExecCondition=`): `systemctl start` says that all is well, and a crash is followed
//! by nothing. The gates were not asked then, so such a start is put into the queue here.

use bij_core::port::{Change, RunQueue};
use bij_core::queue::{EventKind, Origin, QueueState, QueuedRun, Submission};
use bij_core::{ExperimentId, InvocationId, RunId, TimeSpan};

use super::Coordinator;
use super::trouble::With;
use crate::{Now, Ports};

/// How long a start that was turned away is remembered: a machine under load hears late that it was
/// skipped.
const REMEMBERED: u64 = 600_000_000;

/// Why a run waits whose start was skipped without asking.
const WHY: &str = "the service manager could not prepare its start: is /run or a disk full, or read-only? \
                   its unit's journal tells";

impl<P: Ports> Coordinator<P> {
    /// Notes that a start was turned away by the coordinator itself: a skip follows.
    pub(super) fn expect_skip(&mut self, invocation: Option<InvocationId>) {
        let now = self.seen.now.uptime;
        self.turned_away.retain(|_, until| now < *until);
        let until = TimeSpan::from_micros(now.as_micros().saturating_add(REMEMBERED));
        self.turned_away.extend(invocation.map(|invocation| (invocation, until)));
    }

    /// A start of an experiment's unit, this invocation of it, was skipped by its condition. Unless the
    /// coordinator has said so, the start goes into the queue, and a run that was between two attempts
    /// goes back there.
    pub fn start_skipped(&mut self, experiment: &ExperimentId, invocation: InvocationId, now: Now) {
        self.seen.now = now;
        self.unit_changed(experiment.clone());
        let is_known = self.turned_away.contains_key(&invocation);
        // It is told with each change of the unit until the next start.
        self.expect_skip(Some(invocation));
        // A start of the coordinator's own tells by its result.
        if is_known || self.state.busy.contains_key(experiment) {
            return;
        }
        self.catch_up();
        match self.state.up_of(experiment).cloned() {
            Some(run) if run.state == QueueState::Running => self.wait_again(&run),
            // It was let start: that is carried on.
            Some(_) => {}
            None if self.state.runs_of(experiment).next().is_some() => {}
            None => self.queue_skipped(experiment),
        }
    }

    fn wait_again(&mut self, run: &QueuedRun) {
        let from = Some(run.state.clone());
        let (run, state) = (run.run.clone(), QueueState::Waiting);
        let why = self.tell_skipped(&run);
        // If the store does not take it, the run is found to be down later.
        let _ = self.change(&[Change::State { run, from, state, why }]);
    }

    fn queue_skipped(&mut self, experiment: &ExperimentId) {
        // What has no usable definition is not to be started.
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
                self.troubles.gone(With::Store);
                for run in runs {
                    let run = self.join(run).run;
                    self.tell_skipped(&run.run);
                }
            }
            Err(error) => {
                self.unseen.queue = true;
                self.troubles.met(With::Store, &error, self.seen.now);
            }
        }
    }

    /// Records why a start was skipped, and returns it.
    fn tell_skipped(&mut self, run: &RunId) -> String {
        let why = match self.obstacle(&run.experiment) {
            Some(obstacle) => {
                format!("the service manager could not prepare its start: {obstacle}")
            }
            None => WHY.to_owned(),
        };
        let data = [("by", "the service manager".to_owned()), ("text", why.clone())];
        self.note(EventKind::StartSkipped, Some(run), data, self.seen.now);
        why
    }
}
