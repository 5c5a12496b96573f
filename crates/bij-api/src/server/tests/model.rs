//! A model of a coordinator that answers all requests and starts nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bij_core::queue::{
    ClosedGate, Event, EventKind, Group, GroupName, Origin, QueuePosition, QueueState, QueuedRun,
    RunRef, SlotsFrom, Terms, WaitingOn,
};
use bij_core::request::{
    Act, Admission, AdmissionRequest, AttemptsPart, AttemptsQuery, BoardQuery, CoordinatorStatus,
    Edit, EventQuery, GroupSetting, GroupStatus, HISTORY_PAGE_LEN, Minutes, MinutesQuery, PAGE_LEN,
    Page, PauseRequest, PowerModeRequest, PowerSet, QueueEntry, QueueQuery, RecordedSample,
    RunOutcome, Submit, SubmitOptions, TalliesQuery, UnitDone, UnitVerb, WaitReason, Why,
    ZoneSample,
};
use bij_core::{
    Attempt, AttemptKey, AttemptNumber, BoardMinute, BootId, Bytes, ExperimentId, InvocationId,
    Outcome, RunId, RunNumber, Tally, TimeSpan, Timestamp,
};
use bij_definition::SpecOverlay;

use crate::{
    Caller, HostCommands, QueueCommands, QueueQueries, RecordQueries, Refusal, RefusalKind,
};

struct State {
    /// Oldest first.
    attempts: Vec<Attempt>,
    runs: Vec<QueuedRun>,
    groups: BTreeMap<GroupName, Group>,
    paused: bool,
    /// The executed commands, in order.
    events: Vec<(EventKind, String)>,
    /// Number of runs in one answer.
    piece: usize,
    /// Number of stored minutes of the board, numbered from 1.
    minutes: u32,
    /// Number of further queries of the history before which an attempt begins.
    more: u32,
    /// Number of further queries of the queue before which a run is cancelled.
    with_removals: usize,
}

pub(super) struct Model(Mutex<State>);

impl Default for Model {
    fn default() -> Self {
        Self::with_page_len(PAGE_LEN as usize)
    }
}

/// Number of stored samples of the board.
pub(super) const SAMPLES: u64 = PAGE_LEN as u64 * 2 + 7;

fn then() -> Timestamp {
    Timestamp::from_micros(1_795_471_200_000_000)
}

impl Model {
    /// Returns a model with this number of runs in one answer.
    pub(super) fn with_page_len(piece: usize) -> Self {
        let (attempts, runs, groups, events) = Default::default();
        let state = State {
            attempts,
            runs,
            groups,
            paused: false,
            events,
            piece,
            minutes: 0,
            more: 0,
            with_removals: 0,
        };
        Self(Mutex::new(state))
    }

    /// Returns a model with a history of attempts, each of its own experiment.
    pub(super) fn with_attempts(count: u32) -> Self {
        let model = Self::default();
        model.state().minutes = count;
        model.state().attempts = (0..count).map(attempt).collect();
        model
    }

    /// Adds an attempt and a minute before each of the first queries of the history.
    pub(super) fn with_more(self, looks: u32) -> Self {
        self.state().more = looks;
        self
    }

    /// Removes the first run before each of the first queries of the queue.
    pub(super) fn with_removals(self, looks: usize) -> Self {
        self.state().with_removals = looks;
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn attempt(n: u32) -> Attempt {
    let experiment = format!("x{n:04}").parse().unwrap();
    Attempt {
        run: RunId { experiment, number: RunNumber(1) },
        number: AttemptNumber(1),
        key: AttemptKey {
            boot: BootId::from_bytes([1; 16]),
            invocation: InvocationId::from_bytes(u128::from(n).to_be_bytes()),
        },
        started: then(),
        started_uptime: None,
        ready: None,
        end: None,
        board: None,
    }
}

/// Returns a minute that can be identified by its number of samples.
fn minute(samples: u32) -> BoardMinute {
    BoardMinute {
        at: then(),
        span: TimeSpan::from_secs(60),
        samples,
        hottest: None,
        celsius: None,
        power: None,
        gpu_load: None,
        memory_available: None,
        throttled: None,
    }
}

impl State {
    /// Adds an attempt and a minute, if requested.
    fn begin_meanwhile(&mut self) {
        if self.more > 0 {
            self.more -= 1;
            self.minutes += 1;
            let number = u32::try_from(self.attempts.len()).unwrap();
            self.attempts.push(attempt(number));
        }
    }

    fn seq(&self) -> u64 {
        u64::try_from(self.events.len()).unwrap()
    }

    fn find(&mut self, wanted: &RunRef) -> Result<&mut QueuedRun, Refusal> {
        let found = self.runs.iter_mut().rev().find(|run| match wanted {
            RunRef::Newest(id) => run.run.experiment == *id,
            RunRef::Run(id) => run.run == *id,
        });
        found.ok_or_else(|| {
            let text = format!("there is no run {wanted}");
            Refusal::new(RefusalKind::NotFound, text).remedy("`bij queue` lists them")
        })
    }

    fn add(&mut self, submit: Submit, by: &str) -> QueueEntry {
        let position = i64::try_from(self.runs.len()).unwrap();
        let earlier = self.runs.iter().filter(|run| run.run.experiment == submit.experiment);
        let number = RunNumber(u32::try_from(earlier.count()).unwrap() + 1);
        let run = QueuedRun {
            run: RunId { experiment: submit.experiment, number },
            state: QueueState::Waiting,
            terms: Terms { priority: submit.priority.unwrap_or(0), ..Terms::default() },
            position: QueuePosition(position),
            bypassed: 0,
            submitted: then(),
            extras: submit.extras,
            by: by.to_owned(),
            origin: Origin::Submit,
            stop: None,
        };
        let entry = entry(&run);
        self.events.push((EventKind::Submitted, run.run.to_string()));
        self.runs.push(run);
        entry
    }
}

fn gate() -> WaitingOn {
    WaitingOn { gate: ClosedGate::Slots { taken: 4, slots: 4 }, since: then() }
}

fn entry(run: &QueuedRun) -> QueueEntry {
    QueueEntry::new(run, SpecOverlay::without_values, [WaitReason::from(&gate())].into())
}

impl QueueQueries for Model {
    async fn queue(&self, query: QueueQuery) -> Result<Page<QueueEntry>, Refusal> {
        let mut state = self.state();
        if state.with_removals > 0 && query.skip > 0 {
            state.with_removals -= 1;
            let gone = state.runs.remove(0).run.to_string();
            state.events.push((EventKind::RunEnded, gone));
        }
        let skip = usize::try_from(query.skip).unwrap();
        let ours =
            |run: &&QueuedRun| query.experiment.as_ref().is_none_or(|id| run.run.experiment == *id);
        let all: Vec<_> = state.runs.iter().filter(ours).collect();
        let items = all.iter().skip(skip).take(state.piece).map(|run| entry(run)).collect();
        Ok(Page { items, total: u32::try_from(all.len()).unwrap(), seq: state.seq() })
    }

    async fn why(&self, run: RunRef) -> Result<Why, Refusal> {
        let mut state = self.state();
        let found = state.find(&run)?.clone();
        let ahead = state.runs.iter().filter(|other| other.position < found.position);
        Ok(Why { ahead: ahead.map(|other| other.run.clone()).collect(), entry: entry(&found) })
    }

    async fn groups(&self) -> Result<Vec<GroupStatus>, Refusal> {
        let status = |group: &Group| GroupStatus {
            waiting: 2,
            ..GroupStatus::new(group, group.slots.map(|_| SlotsFrom::Operator))
        };
        Ok(self.state().groups.values().map(status).collect())
    }

    async fn events(&self, query: EventQuery) -> Result<Vec<Event>, Refusal> {
        let state = self.state();
        let at_most = query.limit();
        let numbered = (1_u64..).zip(&state.events).filter(|(seq, _)| *seq > query.since);
        let event = |(seq, (kind, text)): (u64, &(EventKind, String))| Event {
            seq,
            at: then(),
            kind: *kind,
            experiment: None,
            run: None,
            attempt: None,
            data: BTreeMap::from([("text".to_owned(), text.clone())]),
        };
        Ok(numbered.take(at_most).map(event).collect())
    }

    async fn status(&self) -> Result<CoordinatorStatus, Refusal> {
        let state = self.state();
        Ok(CoordinatorStatus {
            version: "0".to_owned(),
            since: then(),
            seq: state.seq(),
            waiting: u32::try_from(state.runs.len()).unwrap(),
            held: 0,
            running: 4,
            slots: Some(4),
            memory_budget: None,
            memory_claimed: Bytes::new(0),
            gpu_memory: Some([("x".parse().unwrap(), Bytes::new(5 << 30))].into()),
            gpu_memory_why: None,
            paused_by: state.paused.then(|| "root".to_owned()),
            paused_since: None,
            troubles: vec!["the disk is full".to_owned()],
        })
    }
}

impl RecordQueries for Model {
    async fn attempts(&self, query: AttemptsQuery) -> Result<Vec<Attempt>, Refusal> {
        let mut state = self.state();
        state.begin_meanwhile();
        let all = &state.attempts;
        let scan = match query.part()? {
            AttemptsPart::Newest(query) => return Ok(query.choose(all.clone())),
            AttemptsPart::Oldest(scan) => scan,
        };
        Ok(scan.choose(all, HISTORY_PAGE_LEN as usize).unwrap())
    }

    async fn tallies(&self, query: TalliesQuery) -> Result<BTreeMap<ExperimentId, Tally>, Refusal> {
        let state = self.state();
        let mut tallies: BTreeMap<ExperimentId, Tally> = BTreeMap::new();
        for attempt in &state.attempts {
            let tally = tallies.entry(attempt.run.experiment.clone()).or_default();
            tally.attempts += 1;
            tally.last = Some(attempt.clone());
        }
        let wanted = |(id, _): &(ExperimentId, Tally)| {
            query.experiment.as_ref().is_none_or(|only| only == id)
                && query.after.as_ref().is_none_or(|after| after < id)
        };
        Ok(tallies.into_iter().filter(wanted).take(HISTORY_PAGE_LEN as usize).collect())
    }

    async fn board(&self, query: BoardQuery) -> Result<Vec<RecordedSample>, Refusal> {
        let later = (query.after_usec + 1)..=SAMPLES;
        let sample = |uptime_usec| RecordedSample {
            at: then(),
            uptime_usec,
            zones: vec![ZoneSample { name: "tj".to_owned(), celsius: 52.875 }],
            total_milliwatts: Some(8918),
            gpu_load_percent: None,
            memory_available: None,
            throttled: Some(false),
            over_current_events: None,
        };
        Ok(later.take(PAGE_LEN as usize).map(sample).collect())
    }

    async fn minutes(&self, query: MinutesQuery) -> Result<Minutes, Refusal> {
        let mut state = self.state();
        state.begin_meanwhile();
        let end = query.before.map_or(state.minutes + 1, |before| u32::try_from(before).unwrap());
        let begin = end.saturating_sub(u32::try_from(query.limit()).unwrap()).max(1);
        let first = if begin < end { i64::from(begin) } else { 0 };
        Ok(Minutes { first, minutes: (begin..end).map(minute).collect() })
    }
}

impl QueueCommands for Model {
    async fn submit(
        &self,
        caller: &Caller,
        runs: Vec<Submit>,
        _options: SubmitOptions,
    ) -> Result<Vec<QueueEntry>, Refusal> {
        let mut state = self.state();
        Ok(runs.into_iter().map(|run| state.add(run, &caller.name)).collect())
    }

    async fn edit(&self, _: &Caller, run: RunRef, edit: Edit) -> Result<QueueEntry, Refusal> {
        let mut state = self.state();
        let found = state.find(&run)?;
        found.terms.priority = edit.priority.unwrap_or(found.terms.priority);
        Ok(entry(found))
    }

    async fn act(
        &self,
        caller: &Caller,
        act: Act,
        runs: Vec<RunRef>,
    ) -> Result<Vec<RunOutcome>, Refusal> {
        let mut state = self.state();
        state.events.push((EventKind::Held, format!("{act:?} by {}", caller.name)));
        let done = runs.iter().map(|run| {
            let run = state.find(run)?.run.clone();
            Ok(RunOutcome::new(run, Outcome::Changed))
        });
        done.collect()
    }

    async fn pause(&self, _: &Caller, request: PauseRequest) -> Result<bool, Refusal> {
        Ok(std::mem::replace(&mut self.state().paused, request.paused) != request.paused)
    }

    async fn set_group(&self, _: &Caller, setting: GroupSetting) -> Result<bool, Refusal> {
        let GroupSetting { name, slots } = setting;
        let group = Group { name: name.clone(), slots, paused: None };
        Ok(self.state().groups.insert(name, group.clone()) != Some(group))
    }

    async fn remove_group(&self, _: &Caller, name: GroupName) -> Result<bool, Refusal> {
        Ok(self.state().groups.remove(&name).is_some())
    }
}

impl HostCommands for Model {
    async fn admit(
        &self,
        caller: &Caller,
        experiment: ExperimentId,
        _: AdmissionRequest,
    ) -> Result<Admission, Refusal> {
        let entry = self.state().add(Submit::new(experiment), &caller.name);
        Ok(Admission {
            admitted: false,
            run: Some(entry.run),
            text: Some("4 of 4 slots are taken".to_owned()),
            waiting_on: vec![WaitReason::from(&gate())],
            unrecorded: false,
        })
    }

    async fn steer_unit(
        &self,
        _: &Caller,
        experiment: ExperimentId,
        _: UnitVerb,
    ) -> Result<UnitDone, Refusal> {
        let text = format!("there is no experiment {experiment}");
        Err(Refusal::new(RefusalKind::NotFound, text))
    }

    async fn set_power_mode(
        &self,
        caller: &Caller,
        setting: PowerModeRequest,
    ) -> Result<PowerSet, Refusal> {
        let PowerModeRequest { mode, allow_reboot_later } = setting;
        let event = (EventKind::PowerMode, format!("{mode} by {}", caller.name));
        self.state().events.push(event);
        Ok(PowerSet { id: 1, name: mode, at_next_boot: allow_reboot_later, changed: true })
    }

    async fn reload(&self, _: &Caller) -> Result<(), Refusal> {
        Err(Refusal::new(RefusalKind::Invalid, "coordinator.toml:3: no such key"))
    }
}
