//! A model of a coordinator that answers all requests and starts no run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bij_api::{
    Caller, HostCommands, Listener, QueueCommands, QueueQueries, RecordQueries, Refusal,
    RefusalKind, Rights, Server,
};
use bij_core::queue::{Amount, Event, EventKind, GroupName, RunRef, SlotsFrom};
use bij_core::request::{
    Act, Admission, AdmissionRequest, AttemptsPart, AttemptsQuery, BoardQuery, CoordinatorStatus,
    Edit, EntryState, EventQuery, GroupSetting, GroupStatus, HISTORY_PAGE_LEN, Minutes,
    MinutesQuery, MoveTo, PAGE_LEN, Page, PauseRequest, PowerModeRequest, PowerSet, QueueEntry,
    QueueQuery, RecordedSample, RunOutcome, Submit, SubmitOptions, TalliesQuery, UnitDone,
    UnitVerb, WaitReason, Why,
};
use bij_core::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, BootId, Bytes, Evidence, Exit, ExperimentId,
    InvocationId, Outcome, RunEnd, RunId, RunNumber, Tally, Timestamp,
};
use tokio::sync::{oneshot, watch};

use super::bij::Bij;

/// The state of the model; tests read and change it.
#[derive(Default)]
pub(crate) struct ModelState {
    /// All runs, also those that are over.
    pub(crate) runs: Vec<QueueEntry>,
    pub(crate) events: Vec<Event>,
    pub(crate) groups: BTreeMap<GroupName, Option<u32>>,
    pub(crate) paused: bool,
    /// The requests that change something, as text.
    pub(crate) requests: Vec<String>,
    pub(crate) submitted: Vec<Submit>,
    pub(crate) edits: Vec<Edit>,
    /// How often a single run was requested.
    pub(crate) why_calls: u32,
    /// How often the queue was listed.
    pub(crate) queue_calls: u32,
    /// How often events were requested.
    pub(crate) events_calls: u32,
    /// How often attempts were requested.
    pub(crate) attempts_calls: u32,
    /// Every attempt, oldest first.
    pub(crate) attempts: Vec<Attempt>,
    /// An attempt begins before this many further requests for attempts.
    pub(crate) attempts_meanwhile: u32,
    /// How many requests for attempts are answered before they fail.
    pub(crate) history_fails_after: Option<u32>,
    /// The answer to a submission, if it is refused.
    pub(crate) refuses: Option<Refusal>,
    /// Whether submissions are never answered.
    pub(crate) hangs: bool,
    /// The warnings in the coordinator's status.
    pub(crate) troubles: Vec<String>,
    /// The samples of the board.
    pub(crate) board: Vec<RecordedSample>,
    /// Whether all gates are open.
    pub(crate) open: bool,
}

/// The handler of the server.
pub(crate) struct Model {
    state: Mutex<ModelState>,
    newest: watch::Sender<u64>,
}

/// A coordinator in a thread of its own, at the socket of a tree.
pub(crate) struct Coordinator {
    pub(crate) model: Arc<Model>,
    end: Option<oneshot::Sender<Ending>>,
    thread: Option<JoinHandle<()>>,
}

/// How a coordinator ends.
#[derive(Debug)]
enum Ending {
    /// Killed: its socket file stays.
    Killed,
    /// Stopped in good order: its socket file is removed.
    Stopped,
}

fn then() -> Timestamp {
    "2026-11-23T22:00:00Z".parse().unwrap()
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap()
}

impl Coordinator {
    /// Starts a coordinator with an empty state.
    pub(crate) fn start(bij: &Bij) -> Self {
        let model = Model { state: Mutex::default(), newest: watch::Sender::new(0) };
        Self::start_with(bij, Arc::new(model))
    }

    /// Starts a coordinator with the state of an earlier one.
    pub(crate) fn start_with(bij: &Bij, model: Arc<Model>) -> Self {
        let path = bij.path("run/brain-in-jar/coordinator.sock");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let (end, ended) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let handler = Arc::clone(&model);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let rights = Rights::User { uid: nix::unistd::getuid().as_raw() };
                let newest = handler.newest.subscribe();
                let server = Server::new(handler, rights, newest);
                let listener = Listener::bind(&path).unwrap();
                ready.send(()).unwrap();
                let ending = tokio::select! {
                    never = server.serve_socket(&listener) => match never {},
                    ending = ended => ending,
                };
                if matches!(ending, Ok(Ending::Stopped)) {
                    listener.remove();
                }
            });
        });
        is_ready.recv().unwrap();
        Self { model, end: Some(end), thread: Some(thread) }
    }

    /// Kills the coordinator; its socket file stays.
    pub(crate) fn kill(mut self) -> Arc<Model> {
        self.finish(Ending::Killed);
        Arc::clone(&self.model)
    }

    fn finish(&mut self, ending: Ending) {
        if let Some(end) = self.end.take() {
            end.send(ending).unwrap();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        self.finish(Ending::Stopped);
    }
}

impl Model {
    pub(crate) fn state(&self) -> MutexGuard<'_, ModelState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event and announces it to every client.
    pub(crate) fn announce(&self, kind: EventKind, run: Option<&str>) {
        self.announce_with(kind, run, &[]);
    }

    /// Adds an event with data and announces it to every client.
    pub(crate) fn announce_with(&self, kind: EventKind, run: Option<&str>, data: &[(&str, &str)]) {
        let mut state = self.state();
        state.event(kind, run.map(|run| run.parse().unwrap()).as_ref());
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        state.events.last_mut().unwrap().data.extend(data);
        let seq = number(state.events.len());
        drop(state);
        self.newest.send_replace(seq);
    }

    /// Ends a run, and announces it to every client.
    pub(crate) fn end(&self, run: &str, end: RunEnd) {
        let id: RunId = run.parse().unwrap();
        let mut state = self.state();
        let entry = state.runs.iter_mut().find(|entry| entry.id() == id).unwrap();
        *entry = QueueEntry::ended(id, end);
        drop(state);
        self.announce_with(EventKind::RunEnded, Some(run), &[("end", end.as_str())]);
    }

    /// Ends a run without an announcement, and without keeping its event.
    pub(crate) fn lose(&self, run: &str, end: RunEnd) {
        let id: RunId = run.parse().unwrap();
        let mut state = self.state();
        state.event(EventKind::RunEnded, Some(&id));
        // Its number is reset, so that no query returns it; the next event still gets the number after it.
        state.events.last_mut().unwrap().seq = 0;
        let entry = state.runs.iter_mut().find(|entry| entry.id() == id).unwrap();
        *entry = QueueEntry::ended(id, end);
    }

    /// Puts runs into the queue without a request.
    pub(crate) fn put(&self, ids: &[&str]) {
        for id in ids {
            self.state().add(Submit::new(id.parse().unwrap()));
        }
    }
}

impl ModelState {
    /// Adds an attempt with two kilobytes of evidence, of x or, one time in three, of a longer name.
    pub(crate) fn begin_attempt(&mut self) {
        let number = u32::try_from(self.attempts.len()).unwrap() + 1;
        let experiment = if number % 3 == 0 { "a_longer_name" } else { "x" }.parse().unwrap();
        let mut evidence = Evidence::default();
        evidence.exit = Some(Exit::Code(4));
        evidence.last_lines = vec!["x".repeat(2000)];
        self.attempts.push(Attempt {
            run: RunId { experiment, number: RunNumber(number) },
            number: AttemptNumber(1),
            key: AttemptKey {
                boot: BootId::from_bytes([1; 16]),
                invocation: InvocationId::from_bytes(u128::from(number).to_be_bytes()),
            },
            started: then(),
            started_uptime: None,
            ready: None,
            end: Some(AttemptEnd { at: then(), cause: evidence.prove(), evidence }),
            board: None,
        });
    }

    fn event(&mut self, kind: EventKind, run: Option<&RunId>) {
        self.events.push(Event {
            seq: number(self.events.len()) + 1,
            at: then(),
            kind,
            experiment: run.map(|run| run.experiment.clone()),
            run: run.map(|run| run.number),
            attempt: None,
            data: BTreeMap::new(),
        });
    }

    fn add(&mut self, submit: Submit) -> QueueEntry {
        let earlier = self.runs.iter().filter(|run| run.experiment == submit.experiment);
        let number = RunNumber(u32::try_from(earlier.count()).unwrap() + 1);
        let run = RunId { experiment: submit.experiment, number };
        let waiting = WaitReason {
            gate: "slots".into(),
            need: Some(Amount::Number(1)),
            have: Some(Amount::Number(0)),
            since: then(),
            text: "4 of 4 slots are taken".into(),
        };
        let entry = QueueEntry {
            state: if submit.hold { EntryState::Held } else { EntryState::Waiting },
            ended: None,
            priority: submit.priority.unwrap_or(0),
            group: submit.group.unwrap_or_default(),
            submitted: Some(then()),
            by: Some("alice (uid 1000)".to_owned()),
            not_before: submit.not_before,
            after: submit.after.unwrap_or_default(),
            now: submit.now,
            extras: submit.extras,
            waiting_on: if self.open { Arc::default() } else { [waiting].into() },
            ..QueueEntry::ended(run.clone(), RunEnd::Success)
        };
        self.event(EventKind::Submitted, Some(&run));
        self.runs.push(entry.clone());
        entry
    }

    fn find(&self, wanted: &RunRef) -> Result<QueueEntry, Refusal> {
        let found = self.runs.iter().rev().find(|entry| match wanted {
            RunRef::Newest(id) => entry.experiment == *id,
            RunRef::Run(id) => entry.id() == *id,
        });
        found.cloned().ok_or_else(|| {
            let text = format!("there is no run {wanted}");
            Refusal::new(RefusalKind::NotFound, text).remedy("`bij queue` lists them")
        })
    }

    fn queue(&self) -> impl Iterator<Item = &QueueEntry> {
        self.runs.iter().filter(|entry| entry.state != EntryState::Ended)
    }
}

impl QueueQueries for Model {
    async fn queue(&self, query: QueueQuery) -> Result<Page<QueueEntry>, Refusal> {
        let mut state = self.state();
        state.queue_calls += 1;
        let wanted = |entry: &&QueueEntry| {
            query.experiment.as_ref().is_none_or(|id| entry.experiment == *id)
                && query.group.as_ref().is_none_or(|group| entry.group == *group)
                && query.state.is_none_or(|state| entry.state == state)
        };
        let all: Vec<QueueEntry> = state.queue().filter(wanted).cloned().collect();
        let total = u32::try_from(all.len()).unwrap();
        let items = all.into_iter().skip(query.skip as usize).take(PAGE_LEN as usize).collect();
        Ok(Page { items, total, seq: number(state.events.len()) })
    }

    async fn why(&self, run: RunRef) -> Result<Why, Refusal> {
        let mut state = self.state();
        state.why_calls += 1;
        let entry = state.find(&run)?;
        let ahead = state.queue().map(QueueEntry::id).take_while(|id| *id != entry.id()).collect();
        Ok(Why { entry, ahead })
    }

    async fn groups(&self) -> Result<Vec<GroupStatus>, Refusal> {
        let state = self.state();
        let group = |(name, slots): (&GroupName, &Option<u32>)| GroupStatus {
            name: name.clone(),
            slots: *slots,
            slots_from: slots.map(|_| SlotsFrom::Operator),
            paused_by: None,
            paused_since: None,
            running: 0,
            waiting: 0,
        };
        Ok(state.groups.iter().map(group).collect())
    }

    async fn events(&self, query: EventQuery) -> Result<Vec<Event>, Refusal> {
        let at_most = query.limit();
        let mut state = self.state();
        state.events_calls += 1;
        let after = state.events.iter().filter(|event| event.seq > query.since);
        Ok(after.take(at_most).cloned().collect())
    }

    async fn status(&self) -> Result<CoordinatorStatus, Refusal> {
        let state = self.state();
        Ok(CoordinatorStatus {
            version: "0".to_owned(),
            since: then(),
            seq: number(state.events.len()),
            waiting: u32::try_from(state.queue().count()).unwrap(),
            held: 0,
            running: 0,
            slots: Some(4),
            memory_budget: None,
            memory_claimed: Bytes::new(0),
            gpu_memory: None,
            gpu_memory_why: None,
            paused_by: None,
            paused_since: None,
            troubles: state.troubles.clone(),
        })
    }
}

impl RecordQueries for Model {
    async fn attempts(&self, query: AttemptsQuery) -> Result<Vec<Attempt>, Refusal> {
        let mut state = self.state();
        state.attempts_calls += 1;
        if state.history_fails_after.is_some_and(|asked| state.attempts_calls > asked) {
            return Err(Refusal::new(RefusalKind::Store, "the disk is gone"));
        }
        if state.attempts_meanwhile > 0 {
            state.attempts_meanwhile -= 1;
            state.begin_attempt();
        }
        let all = &state.attempts;
        let scan = match query.part()? {
            AttemptsPart::Newest(query) => return Ok(query.choose(all.clone())),
            AttemptsPart::Oldest(scan) => scan,
        };
        Ok(scan.choose(all, HISTORY_PAGE_LEN as usize).unwrap())
    }

    async fn tallies(&self, _: TalliesQuery) -> Result<BTreeMap<ExperimentId, Tally>, Refusal> {
        Ok(BTreeMap::new())
    }

    async fn board(&self, query: BoardQuery) -> Result<Vec<RecordedSample>, Refusal> {
        let state = self.state();
        let later = state.board.iter().filter(|sample| sample.uptime_usec > query.after_usec);
        Ok(later.take(PAGE_LEN as usize).cloned().collect())
    }

    async fn minutes(&self, _: MinutesQuery) -> Result<Minutes, Refusal> {
        Ok(Minutes::default())
    }
}

impl QueueCommands for Model {
    async fn submit(
        &self,
        _: &Caller,
        runs: Vec<Submit>,
        options: SubmitOptions,
    ) -> Result<Vec<QueueEntry>, Refusal> {
        let hangs = self.state().hangs;
        if hangs {
            self.state().requests.push("nothing is answered".to_owned());
            std::future::pending::<()>().await;
        }
        let mut state = self.state();
        if let Some(refusal) = state.refuses.clone() {
            return Err(refusal);
        }
        if options.dry_run {
            state.requests.push(format!("dry run of {}", runs.len()));
            return Ok(Vec::new());
        }
        state.submitted.extend(runs.iter().cloned());
        let taken = runs.into_iter().map(|run| state.add(run)).collect();
        self.newest.send_replace(number(state.events.len()));
        Ok(taken)
    }

    async fn edit(&self, _: &Caller, run: RunRef, edit: Edit) -> Result<QueueEntry, Refusal> {
        let mut state = self.state();
        let entry = state.find(&run)?;
        state.edits.push(edit);
        Ok(entry)
    }

    async fn act(
        &self,
        _: &Caller,
        act: Act,
        runs: Vec<RunRef>,
    ) -> Result<Vec<RunOutcome>, Refusal> {
        let mut state = self.state();
        let found: Result<Vec<RunId>, Refusal> =
            runs.iter().map(|run| Ok(state.find(run)?.id())).collect();
        let names: Vec<String> = runs.iter().map(ToString::to_string).collect();
        let word = match act {
            Act::Hold => "hold".to_owned(),
            Act::Release => "release".to_owned(),
            Act::Cancel => "cancel".to_owned(),
            Act::Requeue => "requeue".to_owned(),
            Act::Stop => "stop".to_owned(),
            Act::Prioritize { priority } => format!("priority {priority}"),
            Act::Move { to: MoveTo::First } => "move first".to_owned(),
            Act::Move { to: MoveTo::Last } => "move last".to_owned(),
            Act::Move { to: MoveTo::Before(run) } => format!("move before {run}"),
            Act::Move { to: MoveTo::Behind(run) } => format!("move behind {run}"),
        };
        let request = format!("{word}: {}", names.join(" "));
        // A repeated request changes nothing.
        let outcome =
            if state.requests.contains(&request) { Outcome::Unchanged } else { Outcome::Changed };
        state.requests.push(request);
        Ok(found?.into_iter().map(|run| RunOutcome::new(run, outcome)).collect())
    }

    async fn pause(&self, _: &Caller, request: PauseRequest) -> Result<bool, Refusal> {
        let mut state = self.state();
        Ok(std::mem::replace(&mut state.paused, request.paused) != request.paused)
    }

    async fn set_group(&self, _: &Caller, setting: GroupSetting) -> Result<bool, Refusal> {
        let GroupSetting { name, slots } = setting;
        Ok(self.state().groups.insert(name, slots) != Some(slots))
    }

    async fn remove_group(&self, _: &Caller, name: GroupName) -> Result<bool, Refusal> {
        Ok(self.state().groups.remove(&name).is_some())
    }
}

impl HostCommands for Model {
    async fn admit(
        &self,
        _: &Caller,
        experiment: ExperimentId,
        _: AdmissionRequest,
    ) -> Result<Admission, Refusal> {
        let entry = self.state().add(Submit::new(experiment));
        let text = entry.waiting_on.first().map(|gate| gate.text.to_string());
        let waiting_on = entry.waiting_on.to_vec();
        let run = Some(entry.run);
        Ok(Admission { admitted: false, run, text, waiting_on, unrecorded: false })
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
        _: &Caller,
        setting: PowerModeRequest,
    ) -> Result<PowerSet, Refusal> {
        let PowerModeRequest { mode, allow_reboot_later } = setting;
        let mut state = self.state();
        if let Some(refusal) = state.refuses.take() {
            return Err(refusal);
        }
        let later = if allow_reboot_later { ", reboot later" } else { "" };
        state.requests.push(format!("power mode {mode}{later}"));
        Ok(PowerSet { id: 0, name: mode, at_next_boot: allow_reboot_later, changed: true })
    }

    async fn reload(&self, _: &Caller) -> Result<(), Refusal> {
        Err(Refusal::new(RefusalKind::Invalid, "coordinator.toml:3: there is no key `solts`")
            .remedy("did you mean `slots`?"))
    }
}
