//! Starts that came from elsewhere: `systemctl start`, the boot, `Restart=`.

use std::sync::Arc;

use bij_core::definition::{ExperimentSpec, SourceFile, SpecOverlay};
use bij_core::port::{Board, Change, DefinitionSource, Handover, Ledger, LedgerError, RunQueue};
use bij_core::queue::{
    ClosedGate, EventKind, Origin, Place, QueueState, QueuedRun, RunRef, Submission, Terms,
    WaitingOn,
};
use bij_core::{ExperimentId, RunEnd, RunId, RunNumber, RunState, TimeSpan, error_chain};

use super::trouble::With;
use super::{Coordinator, LetIn};
use crate::policy::{Stray, closed_gates, put_back};
use crate::{Admission, Now, Ports, Verdict};

/// A unit that was let start without a record is believed to be on its way for so long.
const ON_ITS_WAY: u64 = 30_000_000;

impl<P: Ports> Coordinator<P> {
    /// Says whether a start that came from elsewhere may go on. One that may not is in the queue
    /// then, and is started when its gates open.
    ///
    /// A store that cannot be written keeps nothing from being judged: what may start starts, and
    /// counts though it is not recorded.
    pub fn admit(&mut self, admission: &Admission, now: Now) -> Verdict {
        self.seen.now = now;
        let verdict = self.judge_start(admission);
        if !verdict.admitted {
            self.expect_skip(admission.invocation);
        }
        verdict
    }

    fn judge_start(&mut self, admission: &Admission) -> Verdict {
        self.catch_up();
        self.put_back_interrupted();
        let experiment = &admission.experiment;
        self.unit_changed(experiment.clone());
        self.forget_if_over(experiment);
        if let Some(text) = self.waits_for_cold(experiment) {
            let run = self.state.runs_of(experiment).next_back().map(|run| run.run.clone());
            return Verdict::no(run, text);
        }
        if let Some(up) = self.state.up_of(experiment) {
            let run = Some(up.run.clone());
            let text = self.hand_over(up, admission).err();
            return if self.state.stops.contains_key(experiment) || up.stop.is_some() {
                Verdict::no(run, format!("{experiment} is to be stopped"))
            } else {
                Verdict { text, ..Verdict::yes(run) }
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

    /// The end of a run may be set aside where no event tells of it yet, because the disk is full. A
    /// start of its experiment is another run's then, and not the restart of one that is up.
    fn forget_if_over(&mut self, experiment: &ExperimentId) {
        let Some(run) = self.state.up_of(experiment).map(|up| up.run.clone()) else { return };
        let state = self.adapters.store.run_state(&RunRef::Run(run.clone()));
        if matches!(state, Ok(Some(RunState::Ended(_)))) {
            self.state.forget(&run);
            self.report_is_fresh = false;
        }
    }

    /// What another boot has interrupted is dealt with before anything of it starts.
    fn put_back_interrupted(&mut self) {
        if self.state.interrupted.is_empty() {
            return;
        }
        let changes = put_back(&self.state);
        if self.change(&changes).is_err() {
            // It is true all the same, and will be written when that can be done.
            for change in &changes {
                self.state.apply(change);
            }
        }
    }

    /// Takes a start into the queue that could not be judged when it was asked for; it begins in its
    /// turn. Of an experiment that is in the queue already nothing is added.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be recorded: it is to be tried again.
    pub fn take_in_start(&mut self, admission: &Admission, now: Now) -> Result<(), LedgerError> {
        self.seen.now = now;
        self.catch_up();
        self.put_back_interrupted();
        if self.state.runs_of(&admission.experiment).next().is_some() {
            return Ok(());
        }
        match self.submission_for(admission) {
            // What its own start would say is told where the start was asked for.
            Err(_) => Ok(()),
            Ok(submission) => {
                let taken = self.adapters.store.submit(&[submission], now.at);
                match taken {
                    Ok(runs) => {
                        self.troubles.gone(With::Store);
                        for run in runs {
                            drop(self.join(run));
                        }
                        Ok(())
                    }
                    Err(error) => {
                        self.unseen.queue = true;
                        Err(error)
                    }
                }
            }
        }
    }

    /// What is queued for a start of an experiment of which nothing is in the queue. An error is the
    /// verdict where nothing is queued.
    fn submission_for(&self, admission: &Admission) -> Result<Submission, Verdict> {
        let Admission { experiment, at_boot, by, invocation: _, extras } = admission;
        let spec = match self.adapters.definitions.find(experiment) {
            Ok(found) => found.spec,
            // Its own start says aloud what is wrong.
            Err(error) => {
                return Err(Verdict { text: Some(error_chain(&error)), ..Verdict::yes(None) });
            }
        };
        if *at_boot && !spec.restart.rerun_at_boot && self.has_succeeded(experiment) {
            let text = format!(
                "the last run of {experiment} has succeeded; it runs again at boot with [restart] \
                 rerun_at_boot"
            );
            return Err(Verdict::no(None, text));
        }
        let terms = self.terms_with_extras(&spec, extras);
        if let Err(error) = self.check_admissible(experiment, &terms) {
            let remedy = error.remedy().unwrap_or_default();
            return Err(Verdict::no(None, format!("{error}; {remedy}")));
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

    /// An experiment of which nothing is in the queue.
    fn admit_new(&mut self, admission: &Admission) -> Verdict {
        let submission = match self.submission_for(admission) {
            Ok(submission) => submission,
            Err(verdict) => return verdict,
        };
        let terms = submission.terms.clone();
        match self.adapters.store.submit(&[submission], self.seen.now.at) {
            Ok(mut runs) => match runs.pop() {
                Some(run) => {
                    self.troubles.gone(With::Store);
                    let run = self.join(run).run;
                    self.judge(&run, admission, None)
                }
                None => Verdict::yes(None),
            },
            Err(error) => {
                self.unseen.queue = true;
                self.troubles.met(With::Store, &error, self.seen.now);
                let unrecorded = self.unrecorded(admission, terms);
                self.judge(&unrecorded, admission, Some(error_chain(&error)))
            }
        }
    }

    fn terms_with_extras(&self, spec: &ExperimentSpec, extras: &str) -> Terms {
        let overlay = SpecOverlay::parse(SourceFile::new("extras", extras.as_bytes()));
        let mut spec = spec.clone();
        // What is wrong with them its own start says aloud.
        overlay.unwrap_or_default().apply(&mut spec);
        self.terms_in(&spec)
    }

    fn has_succeeded(&self, experiment: &ExperimentId) -> bool {
        let tally = self.adapters.store.tally(experiment);
        tally.is_ok_and(|tally| tally.last_run_end == Some(RunEnd::Success))
    }

    /// A run that could not be recorded, behind all others.
    fn unrecorded(&self, admission: &Admission, terms: Terms) -> QueuedRun {
        let experiment = admission.experiment.clone();
        QueuedRun {
            run: RunId { experiment, number: RunNumber(u32::MAX) },
            state: QueueState::Waiting,
            terms,
            place: Place(i64::MAX),
            bypassed: 0,
            submitted: self.seen.now.at,
            extras: admission.extras.clone(),
            by: admission.by.clone(),
            origin: Origin::Start,
            stop: None,
        }
    }

    /// Judges the gates of a run in its turn. `unrecorded` says why it is not in the queue.
    fn judge(
        &mut self,
        run: &QueuedRun,
        admission: &Admission,
        unrecorded: Option<String>,
    ) -> Verdict {
        self.seen.sample = self.adapters.board.sample();
        if let Some((hold, text)) = self.hold_for_extras(run).filter(|_| unrecorded.is_none()) {
            // Where it cannot be written, it is found again at the next start.
            let _ = self.change(&[hold]);
            return Verdict::no(Some(run.run.clone()), text);
        }
        // A unit whose run was taken from under it since the last decision still takes its share. What
        // the store cannot tell is seen as it was.
        let _ = self.look_at_strays();
        let closed = self.look_at_others(Some(run)).map_or_else(
            // What it waits for is not known to have come.
            |_| run.terms.after.iter().map(unknown).collect(),
            |()| Vec::new(),
        );
        let closed: Vec<ClosedGate> =
            closed.into_iter().chain(closed_gates(&self.state, &self.seen, run)).collect();
        match (closed.is_empty(), unrecorded) {
            (true, None) => self.let_in(run, admission),
            (true, Some(why)) => {
                self.let_in_unrecorded(run);
                let text = format!("it starts though it could not be recorded: {why}");
                Verdict { text: Some(text), ..Verdict::yes(None) }
            }
            (false, None) => self.turn_away(run, admission, &closed),
            (false, Some(why)) => {
                let text = format!("{}; it could not be queued: {why}", reasons(&closed));
                let waiting_on = self.since(&run.run, closed);
                Verdict { waiting_on, unrecorded: true, ..Verdict::no(None, text) }
            }
        }
    }

    fn let_in(&mut self, run: &QueuedRun, admission: &Admission) -> Verdict {
        if let Err(text) = self.hand_over(run, admission) {
            return Verdict::no(Some(run.run.clone()), text);
        }
        // Whoever wanted a life before this one stopped has nothing against it.
        self.state.stops.remove(&run.run.experiment);
        let state = QueueState::Starting { boot: self.state.boot };
        let why = format!("asked for by {}", admission.by);
        let from = Some(run.state.clone());
        let change = Change::State { run: run.run.clone(), from, state, why };
        let recorded = self.change(std::slice::from_ref(&change));
        let text = recorded.err().map(|error| {
            // It counts from now on, recorded or not.
            self.state.apply(&change);
            let error: Arc<_> = error;
            format!("it starts though that could not be recorded: {}", error_chain(error.as_ref()))
        });
        Verdict { text, ..Verdict::yes(Some(run.run.clone())) }
    }

    /// Lays over the definition what the run was submitted with: what is in place may be another
    /// run's, or nothing. An error says why not.
    fn hand_over(&self, run: &QueuedRun, admission: &Admission) -> Result<(), String> {
        if run.extras == admission.extras {
            return Ok(());
        }
        let handed_over = self.adapters.handover.extras(&run.run.experiment, &run.extras);
        handed_over.map_err(|error| error_chain(&error))
    }

    fn let_in_unrecorded(&mut self, run: &QueuedRun) {
        self.state.stops.remove(&run.run.experiment);
        let stray = Stray {
            run: run.run.clone(),
            group: run.terms.group.clone(),
            claim: run.terms.claim,
            unwanted: false,
        };
        let until = self.seen.now.uptime.as_micros().saturating_add(ON_ITS_WAY);
        let let_in = LetIn { stray: stray.clone(), until: TimeSpan::from_micros(until) };
        self.let_in.insert(run.run.experiment.clone(), let_in);
        self.seen.strays.push(stray);
    }

    fn turn_away(
        &mut self,
        run: &QueuedRun,
        admission: &Admission,
        closed: &[ClosedGate],
    ) -> Verdict {
        let text = reasons(closed);
        let data = [("by", admission.by.clone()), ("text", text.clone())];
        self.note(EventKind::StartSkipped, Some(&run.run), data, self.seen.now);
        let waiting_on = self.since(&run.run, closed.to_vec());
        Verdict { waiting_on, ..Verdict::no(Some(run.run.clone()), text) }
    }

    /// Since when these gates keep a run waiting, as far as the last report knows.
    fn since(&self, run: &RunId, closed: Vec<ClosedGate>) -> Vec<WaitingOn> {
        let last = self.state.last.as_ref();
        let before = last.and_then(|last| last.waiting.get(run));
        let since = |gate: &ClosedGate| {
            let same = before.and_then(|list| list.iter().find(|it| it.gate.name() == gate.name()));
            same.map_or(self.seen.now.at, |waiting| waiting.since)
        };
        closed.into_iter().map(|gate| WaitingOn { since: since(&gate), gate }).collect()
    }
}

fn unknown(on: &bij_core::queue::Dependency) -> ClosedGate {
    ClosedGate::Dependency { on: on.clone(), ended: None }
}

/// All reasons as one sentence.
fn reasons(closed: &[ClosedGate]) -> String {
    closed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Verdict {
    const fn yes(run: Option<RunId>) -> Self {
        Self { admitted: true, run, text: None, waiting_on: Vec::new(), unrecorded: false }
    }

    const fn no(run: Option<RunId>, text: String) -> Self {
        Self { admitted: false, run, text: Some(text), waiting_on: Vec::new(), unrecorded: false }
    }
}
