//! The rules of the ledger and its queue without their storage: one experiment's history as a plain
//! value.

use std::collections::BTreeMap;

use crate::port::{Closing, Opened, Opening};
use crate::queue::{Place, QueueState, QueuedRun, Submission};
use crate::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, Continuation, NewestRun, Outcome, RunEnd,
    RunId, RunNumber, RunState, Standing, Tally, Timestamp,
};

/// One experiment's history: what a [`Ledger`](crate::port::Ledger) and a
/// [`RunQueue`](crate::port::RunQueue) do for it, done in memory.
///
/// It is how a start finds its place while the database cannot be written, and the model that
/// every ledger is judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// In the order in which they were opened.
    attempts: Vec<Attempt>,
    /// The runs that are not over.
    queue: BTreeMap<RunNumber, QueuedRun>,
    /// The runs that are.
    run_ends: BTreeMap<RunNumber, RunEnd>,
    /// What attempts that are not at hand add up to.
    elsewhere: Tally,
}

/// All runs of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Those that are not over.
    pub queued: Vec<QueuedRun>,
    /// Those that are, and how they ended.
    pub ended: BTreeMap<RunNumber, RunEnd>,
}

impl History {
    /// Carries on from what a ledger says: an experiment's tally, its runs, and the attempts at
    /// hand, which are all, or the newest of them.
    pub fn resume(tally: &Tally, attempts: Vec<Attempt>, runs: Runs) -> Self {
        let Runs { queued, ended } = runs;
        let mut history = Self {
            attempts,
            queue: queued.into_iter().map(|queued| (queued.run.number, queued)).collect(),
            run_ends: ended,
            elsewhere: Tally::default(),
        };
        let here = history.tally();
        history.elsewhere = Tally {
            last: None,
            last_run_end: None,
            last_cause: tally.last_cause.filter(|_| here.last_cause.is_none()),
            last_checkpoint: tally
                .last_checkpoint
                .clone()
                .filter(|_| here.last_checkpoint.is_none()),
            ..tally.clone()
        };
        history.elsewhere.attempts -= here.attempts.min(tally.attempts);
        history.elsewhere.crashes -= here.crashes.min(tally.crashes);
        for (cause, count) in &mut history.elsewhere.crashes_by_cause {
            *count -= here.crashes_by_cause.get(cause).copied().unwrap_or(0).min(*count);
        }
        history.elsewhere.crashes_by_cause.retain(|_, count| *count > 0);
        history
    }

    /// Its attempts, in the order in which they were opened.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The attempt with this key.
    pub fn attempt(&self, key: AttemptKey) -> Option<&Attempt> {
        self.position(key).map(|at| &self.attempts[at])
    }

    /// Its runs that are not over.
    pub fn queued(&self) -> impl Iterator<Item = &QueuedRun> {
        self.queue.values()
    }

    /// One of its runs that is not over, to be changed; its state and terms, not its number.
    pub fn queued_mut(&mut self, number: RunNumber) -> Option<&mut QueuedRun> {
        self.queue.get_mut(&number)
    }

    /// How its runs ended that are over.
    pub const fn run_ends(&self) -> &BTreeMap<RunNumber, RunEnd> {
        &self.run_ends
    }

    /// The highest number of all its runs.
    pub fn highest(&self) -> Option<RunNumber> {
        let queued = self.queue.last_key_value().map(|(number, _)| *number);
        queued.max(self.run_ends.last_key_value().map(|(number, _)| *number))
    }

    /// Where a run is.
    pub fn run_state(&self, number: RunNumber) -> Option<RunState> {
        let ended = self.run_ends.get(&number).map(|end| RunState::Ended(*end));
        ended.or_else(|| self.queue.contains_key(&number).then_some(RunState::Open))
    }

    /// As [`Ledger::open`](crate::port::Ledger::open); a run that nobody has submitted gets this
    /// place.
    pub fn open(&mut self, opening: &Opening, place: Place) -> Opened {
        let at = self.position(opening.key).unwrap_or_else(|| self.begin(opening, place));
        let attempt = &self.attempts[at];
        Opened {
            run: attempt.run.clone(),
            attempt: attempt.number,
            before: self.tally_before(at, attempt.run.number),
        }
    }

    /// As [`Ledger::close`](crate::port::Ledger::close); a run that nobody has submitted gets this
    /// place.
    pub fn close(&mut self, closing: &Closing, place: Place) -> Outcome {
        let at =
            self.position(closing.key).unwrap_or_else(|| self.begin(&closing.as_opening(), place));
        let attempt = &mut self.attempts[at];
        if attempt.end.is_some() {
            return Outcome::Unchanged;
        }
        attempt.ready = closing.ready.or(attempt.ready);
        attempt.end = Some(closing.end.clone());
        let run = attempt.run.number;
        // A run that went on after an attempt was not ended by it.
        let went_on = self.attempts[at + 1..].iter().any(|later| later.run.number == run);
        let runs = self.queue.get(&run).is_some_and(|queued| queued.state == QueueState::Running);
        let end = if runs { RunEnd::after } else { RunEnd::after_put_back }(&closing.end);
        if let Some(end) = end.filter(|_| !went_on) {
            self.end(run, end);
        }
        Outcome::Changed
    }

    /// Takes a run in.
    pub fn submit(&mut self, submission: &Submission, place: Place, at: Timestamp) -> &QueuedRun {
        let number = RunNumber(self.highest().map_or(1, |highest| highest.0 + 1));
        let queued = QueuedRun::submitted(submission, number, place, at);
        self.queue.entry(number).or_insert(queued)
    }

    /// Ends a run that is not over.
    pub fn end(&mut self, number: RunNumber, end: RunEnd) -> Outcome {
        match self.queue.remove(&number) {
            Some(_) => {
                self.run_ends.insert(number, end);
                Outcome::Changed
            }
            None => Outcome::Unchanged,
        }
    }

    /// Adds it up.
    pub fn tally(&self) -> Tally {
        let last_run = self.attempts.last().map(|attempt| attempt.run.number);
        let mut tally = self.add_up(self.attempts.len());
        tally.last_run_end = last_run.and_then(|run| self.run_ends.get(&run).copied());
        tally
    }

    /// What a start has to know of it.
    pub fn standing(&self) -> Standing {
        let newest = self.attempts.last().and_then(|attempt| {
            let queued = self.queue.get(&attempt.run.number)?;
            Some(NewestRun {
                number: attempt.run.number,
                boot: attempt.key.boot,
                interrupted: attempt.was_interrupted(),
                running: queued.state == QueueState::Running,
            })
        });
        let mut inline: Vec<&QueuedRun> = self.queue.values().collect();
        inline.sort_by(|a, b| a.order().cmp(&b.order()));
        let starting = inline.iter().filter_map(|queued| match queued.state {
            QueueState::Starting { boot } => Some((queued.run.number, boot)),
            QueueState::Waiting | QueueState::Held { .. } | QueueState::Running => None,
        });
        let waiting = inline.iter().find(|queued| queued.state == QueueState::Waiting);
        Standing {
            newest,
            starting: starting.collect(),
            waiting: waiting.map(|queued| queued.run.number),
            highest: self.highest(),
        }
    }

    /// What came before the attempt at `position`, which belongs to `run`.
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
        let mut tally = self.elsewhere.clone();
        tally.attempts += counted.iter().map(|_| 1).sum::<u64>();
        for end in ends().filter(|end| end.is_crash()) {
            tally.crashes += 1;
            *tally.crashes_by_cause.entry(end.cause).or_default() += 1;
        }
        tally.last = counted.last().cloned();
        tally.last_cause = ends().next_back().map(|end| end.cause).or(tally.last_cause);
        let saved = |end: &AttemptEnd| {
            end.evidence.progress.clone().filter(|progress| progress.checkpoint.is_some())
        };
        tally.last_checkpoint = ends().filter_map(saved).next_back().or(tally.last_checkpoint);
        tally
    }

    fn position(&self, key: AttemptKey) -> Option<usize> {
        self.attempts.iter().position(|attempt| attempt.key == key)
    }

    /// Opens an attempt that is not known, and says where it is.
    fn begin(&mut self, opening: &Opening, place: Place) -> usize {
        let Opening { experiment, key, at, uptime, start } = opening;
        let Continuation { run, gave_up } =
            Continuation::decide(&self.standing(), *start, key.boot);
        if let Some(other) = gave_up {
            self.end(other, RunEnd::GaveUp);
        }
        let id = RunId { experiment: experiment.clone(), number: run };
        let queued =
            self.queue.entry(run).or_insert_with(|| QueuedRun::begun(id.clone(), place, *at));
        queued.state = QueueState::Running;
        let of_run = self.attempts.iter().rev().find(|attempt| attempt.run.number == run);
        let number = AttemptNumber(of_run.map_or(1, |attempt| attempt.number.0 + 1));
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
