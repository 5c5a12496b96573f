//! The rules of the ledger and its queue without their storage: the history of one experiment as a plain
//! value.

use std::collections::BTreeMap;

use crate::port::{Closing, Opened, Opening};
use crate::queue::{QueuePosition, QueueState, QueuedRun, Submission};
use crate::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, Continuation, NewestRun, Outcome,
    RunCandidates, RunEnd, RunId, RunNumber, RunState, Tally, Timestamp,
};

/// The history of one experiment in memory, with the behaviour of a [`Ledger`](crate::port::Ledger) and a
/// [`RunQueue`](crate::port::RunQueue).
///
/// A start uses it to find its run while the database cannot be written, and the contract tests compare
/// every ledger with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The attempts in the order in which they were opened.
    attempts: Vec<Attempt>,
    /// The runs that have not ended.
    queue: BTreeMap<RunNumber, QueuedRun>,
    /// The runs that have ended.
    run_ends: BTreeMap<RunNumber, RunEnd>,
    /// The totals of older attempts that are not in `attempts`.
    older: Tally,
}

/// All runs of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// The runs that have not ended.
    pub queued: Vec<QueuedRun>,
    /// How the other runs ended.
    pub ended: BTreeMap<RunNumber, RunEnd>,
}

impl History {
    /// Restores a history from a ledger: the tally of an experiment, its runs, and all or the newest of its
    /// attempts.
    pub fn resume(tally: &Tally, attempts: Vec<Attempt>, runs: Runs) -> Self {
        let Runs { queued, ended } = runs;
        let mut history = Self {
            attempts,
            queue: queued.into_iter().map(|queued| (queued.run.number, queued)).collect(),
            run_ends: ended,
            older: Tally::default(),
        };
        let newer = history.tally();
        history.older = Tally {
            last: None,
            last_run_end: None,
            last_cause: tally.last_cause.filter(|_| newer.last_cause.is_none()),
            last_checkpoint: tally
                .last_checkpoint
                .clone()
                .filter(|_| newer.last_checkpoint.is_none()),
            ..tally.clone()
        };
        history.older.attempts -= newer.attempts.min(tally.attempts);
        history.older.crashes -= newer.crashes.min(tally.crashes);
        for (cause, count) in &mut history.older.crashes_by_cause {
            *count -= newer.crashes_by_cause.get(cause).copied().unwrap_or(0).min(*count);
        }
        history.older.crashes_by_cause.retain(|_, count| *count > 0);
        history
    }

    /// Returns the attempts in the order in which they were opened.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Returns the attempt with this key.
    pub fn attempt(&self, key: AttemptKey) -> Option<&Attempt> {
        self.index(key).map(|at| &self.attempts[at])
    }

    /// Returns the runs that have not ended.
    pub fn queued(&self) -> impl Iterator<Item = &QueuedRun> {
        self.queue.values()
    }

    /// Returns a run that has not ended, to change its state and terms. Its number must stay the same.
    pub fn queued_mut(&mut self, number: RunNumber) -> Option<&mut QueuedRun> {
        self.queue.get_mut(&number)
    }

    /// Returns how the ended runs ended.
    pub const fn run_ends(&self) -> &BTreeMap<RunNumber, RunEnd> {
        &self.run_ends
    }

    /// Returns the highest number of all runs.
    pub fn highest(&self) -> Option<RunNumber> {
        let queued = self.queue.last_key_value().map(|(number, _)| *number);
        queued.max(self.run_ends.last_key_value().map(|(number, _)| *number))
    }

    /// Returns whether a run is open or how it ended; `None` if there is no such run.
    pub fn run_state(&self, number: RunNumber) -> Option<RunState> {
        let ended = self.run_ends.get(&number).map(|end| RunState::Ended(*end));
        ended.or_else(|| self.queue.contains_key(&number).then_some(RunState::Open))
    }

    /// Opens an attempt as [`Ledger::open`](crate::port::Ledger::open) does. A run that was not submitted gets
    /// this position.
    pub fn open(&mut self, opening: &Opening, position: QueuePosition) -> Opened {
        let at = self.index(opening.key).unwrap_or_else(|| self.begin(opening, position));
        let attempt = &self.attempts[at];
        Opened {
            run: attempt.run.clone(),
            attempt: attempt.number,
            before: self.tally_before(at, attempt.run.number),
        }
    }

    /// Closes an attempt as [`Ledger::close`](crate::port::Ledger::close) does. A run that was not submitted
    /// gets this position.
    pub fn close(&mut self, closing: &Closing, position: QueuePosition) -> Outcome {
        let at =
            self.index(closing.key).unwrap_or_else(|| self.begin(&closing.to_opening(), position));
        let attempt = &mut self.attempts[at];
        if attempt.end.is_some() {
            return Outcome::Unchanged;
        }
        attempt.ready = closing.ready.or(attempt.ready);
        attempt.end = Some(closing.end.clone());
        let run = attempt.run.number;
        // An attempt with a later attempt in the same run did not end that run.
        let was_continued = self.attempts[at + 1..].iter().any(|later| later.run.number == run);
        let is_running =
            self.queue.get(&run).is_some_and(|queued| queued.state == QueueState::Running);
        let end = if is_running { RunEnd::after } else { RunEnd::after_put_back }(&closing.end);
        if let Some(end) = end.filter(|_| !was_continued) {
            self.end(run, end);
        }
        Outcome::Changed
    }

    /// Adds a submitted run to the queue and returns it.
    pub fn submit(
        &mut self,
        submission: &Submission,
        position: QueuePosition,
        at: Timestamp,
    ) -> &QueuedRun {
        let number = RunNumber(self.highest().map_or(1, |highest| highest.0 + 1));
        let queued = QueuedRun::submitted(submission, number, position, at);
        self.queue.entry(number).or_insert(queued)
    }

    /// Ends a run; [`Outcome::Unchanged`] if it has ended already.
    pub fn end(&mut self, number: RunNumber, end: RunEnd) -> Outcome {
        match self.queue.remove(&number) {
            Some(_) => {
                self.run_ends.insert(number, end);
                Outcome::Changed
            }
            None => Outcome::Unchanged,
        }
    }

    /// Returns the totals of the history.
    pub fn tally(&self) -> Tally {
        let last_run = self.attempts.last().map(|attempt| attempt.run.number);
        let mut tally = self.add_up(self.attempts.len());
        tally.last_run_end = last_run.and_then(|run| self.run_ends.get(&run).copied());
        tally
    }

    /// Returns the runs that a start may belong to.
    pub fn run_candidates(&self) -> RunCandidates {
        let newest = self.attempts.last().and_then(|attempt| {
            let queued = self.queue.get(&attempt.run.number)?;
            Some(NewestRun {
                number: attempt.run.number,
                boot: attempt.key.boot,
                interrupted: attempt.was_interrupted(),
                running: queued.state == QueueState::Running,
            })
        });
        let mut ordered: Vec<&QueuedRun> = self.queue.values().collect();
        ordered.sort_by(|a, b| a.order().cmp(&b.order()));
        let starting = ordered.iter().filter_map(|queued| match queued.state {
            QueueState::Starting { boot } => Some((queued.run.number, boot)),
            QueueState::Waiting | QueueState::Held { .. } | QueueState::Running => None,
        });
        let waiting = ordered.iter().find(|queued| queued.state == QueueState::Waiting);
        RunCandidates {
            newest,
            starting: starting.collect(),
            waiting: waiting.map(|queued| queued.run.number),
            highest: self.highest(),
        }
    }

    /// Returns the totals of everything before the attempt at `position`, which belongs to `run`.
    fn tally_before(&self, position: usize, run: RunNumber) -> Tally {
        let mut tally = self.add_up(position);
        let last_run = tally.last.as_ref().map(|attempt| attempt.run.number);
        tally.last_run_end =
            last_run.filter(|last| *last != run).and_then(|last| self.run_ends.get(&last).copied());
        tally
    }

    fn add_up(&self, up_to: usize) -> Tally {
        let counted = &self.attempts[..up_to];
        let ends = || counted.iter().filter_map(|attempt| attempt.end.as_ref());
        let mut tally = self.older.clone();
        tally.attempts += counted.iter().map(|_| 1).sum::<u64>();
        for end in ends().filter(|end| end.is_crash()) {
            tally.crashes += 1;
            *tally.crashes_by_cause.entry(end.cause).or_default() += 1;
        }
        tally.last = counted.last().cloned();
        tally.last_cause = ends().next_back().map(|end| end.cause).or(tally.last_cause);
        let checkpointed = |end: &AttemptEnd| {
            end.evidence.progress.clone().filter(|progress| progress.checkpoint.is_some())
        };
        tally.last_checkpoint =
            ends().filter_map(checkpointed).next_back().or(tally.last_checkpoint);
        tally
    }

    fn index(&self, key: AttemptKey) -> Option<usize> {
        self.attempts.iter().position(|attempt| attempt.key == key)
    }

    /// Adds a new attempt and returns its index in `attempts`.
    fn begin(&mut self, opening: &Opening, position: QueuePosition) -> usize {
        let Opening { experiment, key, at, uptime, start } = opening;
        let Continuation { run, gave_up } =
            Continuation::decide(&self.run_candidates(), *start, key.boot);
        if let Some(other) = gave_up {
            self.end(other, RunEnd::GaveUp);
        }
        let id = RunId { experiment: experiment.clone(), number: run };
        let queued =
            self.queue.entry(run).or_insert_with(|| QueuedRun::begun(id.clone(), position, *at));
        queued.state = QueueState::Running;
        let previous = self.attempts.iter().rev().find(|attempt| attempt.run.number == run);
        let number = AttemptNumber(previous.map_or(1, |attempt| attempt.number.0 + 1));
        self.attempts.push(Attempt {
            run: id,
            number,
            key: *key,
            started: *at,
            started_uptime: *uptime,
            ready: None,
            end: None,
            board: None,
        });
        self.attempts.len() - 1
    }
}

#[cfg(test)]
mod tests;
