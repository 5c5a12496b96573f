//! The history of the queue, read from its events as any client reads them.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::port::RunQueue;
use bij_core::queue::{Event, EventKind, QueueState};
use bij_core::{ExperimentId, RunId};
use bij_sim::MemoryLedger;

/// The state of all runs as the events tell it, and what people have asked for.
#[derive(Default)]
pub(crate) struct Chronicle {
    seq: u64,
    runs: BTreeMap<RunId, RecordedState>,
    /// What became of the newest attempt of each run.
    last_cause: BTreeMap<RunId, (String, String)>,
    ended: BTreeMap<RunId, String>,
    /// Runs that left the line of those that wait, since this was last asked.
    left: BTreeSet<RunId>,
    /// Experiments whose end was requested, and how often: what a store that fails does not
    /// take is told late, so one end may be told when the next is asked for already.
    may_stop: BTreeMap<ExperimentId, u32>,
    /// Runs whose cancellation was requested.
    pub(crate) may_cancel: BTreeSet<RunId>,
    /// Runs whose stop was acknowledged, and that were not requeued since.
    stopped: BTreeSet<RunId>,
    /// Runs whose submission was acknowledged.
    pub(crate) acknowledged: BTreeSet<RunId>,
}

/// Where a run stands, as the events tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecordedState {
    Waiting,
    Held,
    Starting,
    Running,
}

impl Chronicle {
    /// Reads on. An error is what cannot be.
    pub(crate) fn read(&mut self, ledger: &MemoryLedger) -> Result<Vec<Event>, String> {
        let events = ledger.events(self.seq, usize::MAX).map_err(|error| error.to_string())?;
        for event in &events {
            // Event numbers grow without a gap.
            if event.seq != self.seq + 1 {
                return Err(format!("event {} follows event {}", event.seq, self.seq));
            }
            self.seq = event.seq;
            self.take_in(event)?;
        }
        Ok(events)
    }

    fn take_in(&mut self, event: &Event) -> Result<(), String> {
        let Some((experiment, number)) = event.experiment.clone().zip(event.run) else {
            return Ok(());
        };
        let run = RunId { experiment, number };
        let state = match event.kind {
            EventKind::Submitted if event.data.contains_key("held") => RecordedState::Held,
            EventKind::Submitted | EventKind::Released | EventKind::Requeued => {
                RecordedState::Waiting
            }
            EventKind::Held => RecordedState::Held,
            EventKind::Admitted => RecordedState::Starting,
            EventKind::AttemptBegun => RecordedState::Running,
            EventKind::AttemptEnded => return self.attempt_ended(event, run),
            EventKind::RunEnded => return self.run_ended(event, &run),
            _ => return Ok(()),
        };
        if self.ended.contains_key(&run) {
            return Err(format!("{run} is over, and still is {}", event.kind));
        }
        if !matches!(state, RecordedState::Waiting | RecordedState::Held) {
            self.left.insert(run.clone());
        }
        if state != RecordedState::Running {
            self.stopped.remove(&run);
        }
        if event.kind == EventKind::AttemptBegun {
            self.last_cause.remove(&run);
        }
        self.runs.insert(run, state);
        Ok(())
    }

    /// The coordinator stops no run without a request.
    fn attempt_ended(&mut self, event: &Event, run: RunId) -> Result<(), String> {
        let word = |key: &str| event.data.get(key).cloned().unwrap_or_default();
        let cause = word("cause");
        if cause.starts_with("stop") && !self.was_to_be_stopped(&run.experiment) {
            return Err(format!("{run} was stopped without a request"));
        }
        self.last_cause.insert(run, (cause, word("code")));
        Ok(())
    }

    /// Every run that is over ended for a reason that was there.
    fn run_ended(&mut self, event: &Event, run: &RunId) -> Result<(), String> {
        let end = event.data.get("end").cloned().unwrap_or_default();
        let (cause, code) = self.last_cause.get(run).cloned().unwrap_or_default();
        let is_right = match end.as_str() {
            "success" => cause == "success",
            // One that waits to be restarted has no attempt that could be stopped.
            "stopped" => cause.starts_with("stop") || self.may_stop.contains_key(&run.experiment),
            "never" => code == "78",
            "cancelled" => self.may_cancel.contains(run),
            "gave-up" => cause != "success" && cause != "heat",
            _ => false,
        };
        if !is_right {
            return Err(format!("{run} ended as {end:?}; its last attempt: {cause:?} {code:?}"));
        }
        self.runs.remove(run);
        self.stopped.remove(run);
        self.left.insert(run.clone());
        match self.ended.insert(run.clone(), end) {
            None => Ok(()),
            Some(before) => Err(format!("{run} ends again, it was {before} before")),
        }
    }

    /// The events tell every transition: read alone, they lead to what the queue is.
    pub(crate) fn agrees_with(&self, ledger: &MemoryLedger) -> Result<(), String> {
        let queue = ledger.load().map_err(|error| error.to_string())?;
        for run in &queue.runs {
            let is = match run.state {
                QueueState::Waiting => RecordedState::Waiting,
                QueueState::Held { .. } => RecordedState::Held,
                QueueState::Starting { .. } => RecordedState::Starting,
                QueueState::Running => RecordedState::Running,
            };
            let recorded = self.runs.get(&run.run);
            if recorded != Some(&is) {
                return Err(format!("{} is {is:?}, and the events tell {recorded:?}", run.run));
            }
        }
        match self.runs.keys().find(|run| !queue.runs.iter().any(|queued| queued.run == **run)) {
            None => Ok(()),
            Some(run) => Err(format!("{run} is gone from the queue, and no event tells it")),
        }
    }

    /// No run disappears whose submission was acknowledged.
    pub(crate) fn has_all_that_was_acknowledged(&self) -> Result<(), String> {
        let is_known = |run: &&RunId| self.runs.contains_key(*run) || self.ended.contains_key(*run);
        match self.acknowledged.iter().find(|run| !is_known(run)) {
            None => Ok(()),
            Some(run) => Err(format!("{run} was acknowledged, and has disappeared")),
        }
    }

    /// Records a request for the end of an experiment.
    pub(crate) fn may_stop(&mut self, id: &ExperimentId) {
        *self.may_stop.entry(id.clone()).or_default() += 1;
    }

    fn was_to_be_stopped(&mut self, id: &ExperimentId) -> bool {
        let Some(times) = self.may_stop.get_mut(id) else { return false };
        *times -= 1;
        if *times == 0 {
            self.may_stop.remove(id);
        }
        true
    }

    /// A stop of a run that was running was acknowledged.
    pub(crate) fn stop_was_acknowledged(&mut self, run: RunId) {
        if self.runs.get(&run) == Some(&RecordedState::Running) {
            self.stopped.insert(run);
        }
    }

    /// Whose stop has not come through, though it was acknowledged.
    pub(crate) const fn not_stopped(&self) -> &BTreeSet<RunId> {
        &self.stopped
    }

    /// A boot is over: whose end was asked for has come to it, unless that was written down.
    pub(crate) fn boot_is_over(&mut self, ledger: &MemoryLedger) {
        let queue = ledger.load().unwrap_or_default();
        let is_written = |id: &ExperimentId| {
            queue.runs.iter().any(|run| run.run.experiment == *id && run.stop.is_some())
        };
        self.may_stop.retain(|id, _| is_written(id));
    }

    /// Who has left the line of those that wait since this was last asked.
    pub(crate) fn take_left(&mut self) -> BTreeSet<RunId> {
        std::mem::take(&mut self.left)
    }

    /// How many runs are over.
    pub(crate) fn ended(&self) -> usize {
        self.ended.len()
    }
}
