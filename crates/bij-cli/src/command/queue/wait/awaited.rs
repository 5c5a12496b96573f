//! Runs whose ends are waited for.
//!
//! One listing of the queue tells which of them are not over; from then on the events tell. So what a wait
//! costs grows with the events, not with the events times the runs. Listed again is only after another
//! source has begun to answer, or where events are missing or not announced.

use std::collections::{HashMap, HashSet};

use bij_api::message::{Entry, Event, QueueQuery, State};
use bij_core::port::AttemptQuery;
use bij_core::queue::{EventKind, RunRef};
use bij_core::{AttemptEnd, Evidence, Exit, RunEnd, RunId};

use crate::command::run::ending;
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::source::Live;
use crate::view::EndedRun;

pub(super) struct Awaited<'a> {
    context: &'a Context,
    live: Live<'a>,
    /// Those that are not over, each with the end of its last attempt if that was told.
    open: HashMap<RunId, Option<AttemptEnd>>,
    /// Those that have ended, each with its place among the names.
    ended: Vec<(usize, EndedRun)>,
    places: HashMap<RunId, usize>,
    /// The newest event that was read.
    seen: u64,
    /// How often the source had been replaced when it was listed.
    listed: u32,
}

impl<'a> Awaited<'a> {
    /// Finds the runs, and those of them that are over.
    pub(super) async fn find(
        context: &'a Context,
        mut live: Live<'a>,
        names: &[RunRef],
    ) -> Result<Self, CliError> {
        let mut places = HashMap::new();
        for (place, name) in names.iter().enumerate() {
            let run = match name {
                RunRef::Run(run) => run.clone(),
                // A name without a number means the run that is its newest now.
                RunRef::Newest(_) => live.why(name).await?.entry.id(),
            };
            places.entry(run).or_insert(place);
        }
        let open = places.keys().map(|run| (run.clone(), None)).collect();
        let (ended, seen, listed) = (Vec::new(), 0, 0);
        let mut awaited = Self { context, live, open, ended, places, seen, listed };
        awaited.list().await?;
        Ok(awaited)
    }

    /// Whether all of them have ended.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether one of them has ended.
    pub(super) const fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Those that have ended, in the order of their names.
    pub(super) fn into_ended(mut self) -> Vec<EndedRun> {
        self.ended.sort_by_key(|(place, _)| *place);
        self.ended.into_iter().map(|(_, one)| one).collect()
    }

    /// Waits until something has changed, and takes it in.
    pub(super) async fn wait(&mut self) -> Result<(), CliError> {
        self.live.wait().await;
        if self.must_list() || self.begins_anew().await {
            return self.list().await;
        }
        while self.seen < self.live.announced() {
            let events = self.live.events(self.seen).await?;
            let is_next = |event: &Event| event.seq == self.seen.saturating_add(1);
            if self.must_list() || !events.first().is_some_and(is_next) {
                return self.list().await;
            }
            for event in events {
                self.seen = event.seq;
                self.take(&event).await?;
            }
        }
        Ok(())
    }

    /// Whether the numbers of events begin anew, as they do in another database.
    async fn begins_anew(&self) -> bool {
        self.live.announced() < self.seen && self.live.newest_event().await < self.seen
    }

    fn must_list(&self) -> bool {
        self.listed != self.live.replaced() || !self.live.is_announced()
    }

    /// Reads the queue; what is no longer in it is asked about.
    async fn list(&mut self) -> Result<(), CliError> {
        let queued = loop {
            self.listed = self.live.replaced();
            self.seen = self.live.newest_event().await;
            let queued = self.live.queue(&self.query()).await?;
            if self.listed == self.live.replaced() {
                break queued;
            }
        };
        let queued: HashSet<RunId> = queued.iter().map(Entry::id).collect();
        let mut gone: Vec<RunId> =
            self.open.keys().filter(|run| !queued.contains(run)).cloned().collect();
        gone.sort_by_key(|run| self.places.get(run));
        for run in gone {
            self.ask(&run).await?;
        }
        Ok(())
    }

    /// The runs of one experiment, if only that is waited for.
    fn query(&self) -> QueueQuery {
        let mut experiments = self.open.keys().map(|run| &run.experiment);
        let first = experiments.next().filter(|first| experiments.all(|other| other == *first));
        QueueQuery { experiment: first.cloned(), ..QueueQuery::default() }
    }

    async fn ask(&mut self, run: &RunId) -> Result<(), CliError> {
        let entry = self.live.why(&RunRef::Run(run.clone())).await?.entry;
        if entry.state == State::Ended { self.end(run, entry.ended).await } else { Ok(()) }
    }

    async fn take(&mut self, event: &Event) -> Result<(), CliError> {
        let Some(run) = run_of(event).filter(|run| self.open.contains_key(run)) else {
            return Ok(());
        };
        match event.kind {
            EventKind::AttemptEnded => {
                self.open.insert(run, attempt_end(event));
                Ok(())
            }
            EventKind::RunEnded => match event.data.get("end").and_then(|word| run_end(word)) {
                Some(end) => self.end(&run, Some(end)).await,
                None => self.ask(&run).await,
            },
            _ => Ok(()),
        }
    }

    async fn end(&mut self, run: &RunId, end: Option<RunEnd>) -> Result<(), CliError> {
        let last = match self.open.remove(run).flatten() {
            Some(last) => Some(last),
            None => last_attempt(self.context, run).await?,
        };
        let one = EndedRun { run: run.clone(), end, code: code(end, last.as_ref()) };
        self.context.terminal.status(&one.sentence());
        let place = self.places.get(run).copied().unwrap_or(usize::MAX);
        self.ended.push((place, one));
        Ok(())
    }
}

/// The end of a run's last attempt, from the ledger.
async fn last_attempt(context: &Context, run: &RunId) -> Result<Option<AttemptEnd>, CliError> {
    let query = AttemptQuery {
        experiment: Some(run.experiment.clone()),
        run: Some(run.number),
        newest: Some(1),
        ..AttemptQuery::default()
    };
    let attempts = context.past().await?.attempts(&query).await?;
    Ok(attempts.into_iter().next_back().and_then(|attempt| attempt.end))
}

/// The exit code for a run that is over: its last attempt's, but never 0 for one that was given up.
fn code(end: Option<RunEnd>, last: Option<&AttemptEnd>) -> u8 {
    let told = last.map(|last| ending::exit_code(Some(last)));
    match end {
        Some(RunEnd::Success | RunEnd::Stopped) => told.unwrap_or(0),
        Some(RunEnd::Never | RunEnd::GaveUp | RunEnd::Cancelled) | None => {
            told.filter(|code| *code != 0).unwrap_or(Kind::Failed.code())
        }
    }
}

fn run_of(event: &Event) -> Option<RunId> {
    Some(RunId { experiment: event.experiment.clone()?, number: event.run? })
}

fn run_end(word: &str) -> Option<RunEnd> {
    RunEnd::ALL.into_iter().find(|end| end.as_str() == word)
}

/// What an event tells of the end of an attempt, which is all that an exit code depends on.
fn attempt_end(event: &Event) -> Option<AttemptEnd> {
    let number = |key| event.data.get(key).and_then(|text| text.parse().ok());
    let mut evidence = Evidence::default();
    evidence.exit = number("code").map(Exit::Code).or_else(|| number("signal").map(Exit::Signal));
    let cause = event.data.get("cause")?.parse().ok()?;
    Some(AttemptEnd { at: event.at, cause, evidence })
}
