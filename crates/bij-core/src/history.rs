//! The rules of the ledger without its storage: one experiment's history as a plain value.

use std::collections::BTreeMap;

use crate::port::{Closing, Opened, Opening};
use crate::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, Continuation, ExperimentId, Outcome, RunEnd,
    RunId, RunNumber, StartKind, Tally, Timestamp,
};

/// One experiment's history: what a [`Ledger`](crate::port::Ledger) does, done in memory.
///
/// It is how a start finds its place while the database cannot be written, and the model that
/// every ledger is judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// In the order in which they were opened.
    attempts: Vec<Attempt>,
    run_ends: BTreeMap<RunNumber, RunEnd>,
    /// What attempts that are not at hand add up to.
    elsewhere: Tally,
}

impl History {
    /// Carries on from what a ledger says: an experiment's tally and the attempts at hand, which
    /// are all, or the newest of them.
    pub fn resume(tally: &Tally, attempts: Vec<Attempt>) -> Self {
        let mut history = Self { attempts, ..Self::default() };
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
        let newest = history.attempts.last().map(|attempt| attempt.run.number);
        for attempt in &history.attempts {
            // A run that is not the newest is over, and its last attempt tells how.
            let end = if Some(attempt.run.number) == newest {
                tally.last_run_end
            } else {
                Some(attempt.end.as_ref().and_then(RunEnd::after).unwrap_or(RunEnd::GaveUp))
            };
            history.run_ends.extend(end.map(|end| (attempt.run.number, end)));
        }
        history
    }

    /// Its attempts, in the order in which they were opened.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// As [`Ledger::open`](crate::port::Ledger::open).
    pub fn open(&mut self, opening: &Opening) -> Opened {
        let at = self.position(opening.key).unwrap_or_else(|| {
            let run = self.place(opening.start, opening.key);
            self.insert(run, &opening.experiment, opening.key, opening.at)
        });
        let attempt = &self.attempts[at];
        Opened {
            run: attempt.run.clone(),
            attempt: attempt.number,
            before: self.tally_before(at, attempt.run.number),
        }
    }

    /// As [`Ledger::close`](crate::port::Ledger::close).
    pub fn close(&mut self, closing: &Closing) -> Outcome {
        let at = self.position(closing.key).unwrap_or_else(|| {
            let run = self.place(closing.start_kind(), closing.key);
            self.insert(run, &closing.experiment, closing.key, closing.started)
        });
        let attempt = &mut self.attempts[at];
        if attempt.end.is_some() {
            return Outcome::Unchanged;
        }
        attempt.ready = closing.ready.or(attempt.ready);
        attempt.end = Some(closing.end.clone());
        let run = attempt.run.number;
        // A run that went on after an attempt was not ended by it.
        let went_on = self.attempts[at + 1..].iter().any(|later| later.run.number == run);
        if let Some(end) = RunEnd::after(&closing.end).filter(|_| !went_on) {
            self.run_ends.entry(run).or_insert(end);
        }
        Outcome::Changed
    }

    /// Adds it up.
    pub fn tally(&self) -> Tally {
        let last_run = self.attempts.last().map(|attempt| attempt.run.number);
        let mut tally = self.add_up(self.attempts.len());
        tally.last_run_end = last_run.and_then(|run| self.run_ends.get(&run).copied());
        tally
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

    /// The run that a new attempt belongs to; ends the newest one if that follows.
    fn place(&mut self, start: StartKind, key: AttemptKey) -> RunNumber {
        let newest = self.attempts.last();
        let number = newest.map_or(RunNumber(0), |attempt| attempt.run.number);
        let ended = self.run_ends.get(&number).copied();
        match Continuation::decide(newest.map(|attempt| (attempt, ended)), start, key.boot) {
            Continuation::Same => RunNumber(number.0.max(1)),
            Continuation::New { closes } => {
                if let Some(end) = closes {
                    self.run_ends.entry(number).or_insert(end);
                }
                RunNumber(number.0 + 1)
            }
        }
    }

    fn insert(
        &mut self,
        run: RunNumber,
        experiment: &ExperimentId,
        key: AttemptKey,
        started: Timestamp,
    ) -> usize {
        let newest = self.attempts.last().filter(|attempt| attempt.run.number == run);
        let number = AttemptNumber(newest.map_or(1, |attempt| attempt.number.0 + 1));
        let run = RunId { experiment: experiment.clone(), number: run };
        self.attempts.push(Attempt { run, number, key, started, ready: None, end: None });
        self.attempts.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BootId, Cause, Evidence, Exit, InvocationId, Progress};

    fn key(number: u8) -> AttemptKey {
        AttemptKey {
            boot: BootId::from_bytes([1; 16]),
            invocation: InvocationId::from_bytes([number; 16]),
        }
    }

    fn opening(number: u8, start: StartKind) -> Opening {
        let at = Timestamp::from_micros(i64::from(number));
        Opening { experiment: "x".parse().unwrap(), key: key(number), at, start }
    }

    fn closing(number: u8, code: i32) -> Closing {
        let progress = Progress { checkpoint: Some(number.to_string()), ..Progress::default() };
        let evidence = Evidence {
            exit: Some(Exit::Code(code)),
            progress: Some(progress),
            ..Evidence::default()
        };
        let at = Timestamp::from_micros(i64::from(number) + 1);
        Closing {
            experiment: "x".parse().unwrap(),
            key: key(number),
            ready: None,
            end: AttemptEnd { at, cause: evidence.prove(), evidence },
            started: at,
        }
    }

    /// Three crashes, the third after a fresh start, and an attempt that is open.
    fn lived() -> History {
        let mut history = History::default();
        for (number, start) in
            [(1, StartKind::Fresh), (2, StartKind::Restart), (3, StartKind::Fresh)]
        {
            history.open(&opening(number, start));
            history.close(&closing(number, 1));
        }
        history.open(&opening(4, StartKind::Restart));
        history
    }

    #[test]
    fn a_history_that_is_resumed_is_the_same() {
        let history = lived();
        let resumed = History::resume(&history.tally(), history.attempts().to_vec());
        assert_eq!(resumed, history);
    }

    #[test]
    fn a_history_resumed_from_its_newest_attempts_counts_the_others_too() {
        let history = lived();
        let all = history.attempts();
        for missing in 1..all.len() {
            let mut resumed = History::resume(&history.tally(), all[missing..].to_vec());
            assert_eq!(resumed.tally(), history.tally(), "{missing} are not at hand");
            let mut whole = history.clone();
            for history in [&mut resumed, &mut whole] {
                history.close(&closing(4, 0));
            }
            let next = opening(5, StartKind::Fresh);
            assert_eq!(resumed.open(&next), whole.open(&next));
        }
    }

    #[test]
    fn an_end_that_nobody_saw_begin_is_a_restart_unless_the_evidence_says_otherwise() {
        let mut unknown = closing(1, 1);
        assert_eq!(unknown.start_kind(), StartKind::Restart);
        for (restarts, start) in [(0, StartKind::Fresh), (1, StartKind::Restart)] {
            unknown.end.evidence.restarts = Some(restarts);
            assert_eq!(unknown.start_kind(), start);
        }
        assert_eq!(unknown.end.cause, Cause::Exit);
    }
}
