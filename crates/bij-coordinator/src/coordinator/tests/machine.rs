//! A machine: units, hooks, a ledger, and a coordinator that can be killed.

use std::collections::BTreeMap;
use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};

use bij_core::port::{
    Board, BoardReadError, Closing, DefinitionSource, FindError, FoundDefinition, Handover,
    HandoverError, Ledger, Opening, RunQueue, Sample, UnitManager, ZoneReading,
};
use bij_core::queue::{Event, EventKind, QueueState, RunRef};
use bij_core::request::{Act, Admission, QueueEntry, RunOutcome, Submit};
use bij_core::spec::ExperimentSpec;
use bij_core::variable::VariablePattern;
use bij_core::{
    ActiveState, AttemptEnd, AttemptKey, BootId, Bytes, CoordinatorSettings, Evidence, Exit,
    ExperimentId, InvocationId, Obstacle, Order, Progress, RecoveredEnd, RunState, ServiceResult,
    StartKind, TimeSpan, Timestamp, Uptime, close_other_boots,
};
use bij_sim::{MemoryLedger, Script, SimUnits};
use futures_util::FutureExt;

use crate::{Adapters, Coordinator, Now, Ports, RequestError, StartRequest, SubmitRequest};

#[derive(Debug)]
pub(super) struct Lab;

impl Ports for Lab {
    type Units = SimUnits;
    type Store = MemoryLedger;
    type Definitions = Definitions;
    type Board = TestBoard;
    type Handover = TestHandover;
}

#[derive(Clone, Debug, Default)]
pub(super) struct Definitions(
    Arc<Mutex<BTreeMap<ExperimentId, ExperimentSpec>>>,
    /// What the machine lacks for all of them.
    pub(super) Arc<Mutex<Vec<Obstacle>>>,
);

impl DefinitionSource for Definitions {
    fn find(&self, id: &ExperimentId) -> Result<FoundDefinition, FindError> {
        let found = self.0.lock().unwrap().get(id).cloned();
        let missing = || FindError::Missing { id: id.clone(), looked_for: Vec::new() };
        let spec = found.ok_or_else(missing)?;
        Ok(FoundDefinition {
            spec,
            source: String::new(),
            stamp: String::new(),
            warnings: Vec::new(),
        })
    }

    fn ids(&self) -> Result<Vec<ExperimentId>, FindError> {
        Ok(self.0.lock().unwrap().keys().cloned().collect())
    }

    fn obstacles(&self, _: &ExperimentSpec, _: Option<&str>) -> Vec<Obstacle> {
        self.1.lock().unwrap().clone()
    }

    fn fingerprint(&self, id: &ExperimentId) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?}", self.0.lock().unwrap().get(id)).hash(&mut hasher);
        hasher.finish()
    }
}

/// What others do while the coordinator reads the board.
pub(super) type Meanwhile = Option<Box<dyn FnOnce() + Send>>;

#[derive(Clone)]
pub(super) struct TestBoard(pub(super) Arc<Mutex<Sample>>, pub(super) Arc<Mutex<Meanwhile>>);

impl Board for TestBoard {
    fn sample(&self) -> Sample {
        if let Some(meanwhile) = self.1.lock().unwrap().take() {
            meanwhile();
        }
        self.0.lock().unwrap().clone()
    }

    fn zones(&self) -> Result<Vec<ZoneReading>, BoardReadError> {
        Ok(Vec::new())
    }
}

/// What was handed over, by experiment.
#[derive(Clone, Debug, Default)]
pub(super) struct TestHandover {
    pub(super) extras: Arc<Mutex<BTreeMap<ExperimentId, String>>>,
    pub(super) orders: Arc<Mutex<BTreeMap<ExperimentId, Order>>>,
    pub(super) steps: Arc<Mutex<BTreeMap<ExperimentId, u64>>>,
}

impl Handover for TestHandover {
    fn extras(&self, id: &ExperimentId, extras: &str) -> Result<(), HandoverError> {
        self.extras.lock().unwrap().insert(id.clone(), extras.to_owned());
        Ok(())
    }

    fn stop(&self, id: &ExperimentId, order: &Order) -> Result<(), HandoverError> {
        self.orders.lock().unwrap().insert(id.clone(), order.clone());
        Ok(())
    }

    fn order(&self, id: &ExperimentId) -> Option<Order> {
        self.orders.lock().unwrap().get(id).cloned()
    }

    fn progress(&self, id: &ExperimentId) -> Option<Progress> {
        let step = self.steps.lock().unwrap().get(id).copied();
        step.map(|step| Progress { step: Some(step), ..Progress::default() })
    }
}

pub(super) fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("models answer at once")
}

pub(super) fn id(text: &str) -> ExperimentId {
    text.parse().unwrap()
}

pub(super) const fn invocation(number: u8) -> InvocationId {
    InvocationId::from_bytes([number; 16])
}

pub(super) const fn boot(number: u8) -> BootId {
    BootId::from_bytes([number; 16])
}

pub(super) struct Machine {
    pub(super) units: SimUnits,
    pub(super) ledger: MemoryLedger,
    pub(super) definitions: Definitions,
    pub(super) board: TestBoard,
    pub(super) handover: TestHandover,
    pub(super) settings: CoordinatorSettings,
    pub(super) coordinator: Coordinator<Lab>,
    seconds: u32,
    /// So far the time of day has been set, in microseconds.
    set_by: i64,
    boots: u8,
    /// The attempts that `begin` has opened.
    open: BTreeMap<ExperimentId, AttemptKey>,
    /// The hooks that tell of ends are killed.
    pub(super) kills_ends: bool,
}

impl Machine {
    /// 64 GiB, a budget of 40 GiB, and so many slots.
    pub(super) fn new(slots: u32) -> Self {
        let mut settings = CoordinatorSettings::default();
        settings.max_concurrent = Some(slots);
        settings.total_memory = "40G".parse().ok();
        let (units, ledger) = (SimUnits::default(), MemoryLedger::default());
        let (definitions, handover) = (Definitions::default(), TestHandover::default());
        let gib = |number: u64| Bytes::new(number << 30);
        let sample = Arc::new(Mutex::new(Sample::new(gib(64), gib(60))));
        let board = TestBoard(sample, Arc::default());
        let adapters = Adapters::<Lab> {
            units: Arc::new(units.clone()),
            store: ledger.clone(),
            definitions: definitions.clone(),
            board: board.clone(),
            handover: handover.clone(),
        };
        let (seconds, boots) = (600, 1);
        let coordinator =
            Coordinator::open(adapters, boot(boots), settings.clone(), now(seconds)).unwrap();
        Self {
            units,
            ledger,
            definitions,
            board,
            handover,
            settings,
            coordinator,
            seconds,
            set_by: 0,
            boots,
            open: BTreeMap::new(),
            kills_ends: false,
        }
    }

    pub(super) fn now(&self) -> Now {
        let Now { at, uptime } = now(self.seconds);
        Now { at: Timestamp::from_micros(at.as_micros() + self.set_by), uptime }
    }

    /// The time of day is set forward or back by this many seconds.
    pub(super) fn set_clock(&mut self, seconds: i64) {
        self.set_by += seconds * 1_000_000;
    }

    /// Defines an experiment that follows a script.
    pub(super) fn define(&self, name: &str, script: Script) {
        self.define_with(name, script, |_| {});
    }

    pub(super) fn define_with(
        &self,
        name: &str,
        mut script: Script,
        change: impl FnOnce(&mut ExperimentSpec),
    ) {
        let mut spec = ExperimentSpec::new(id(name), vec!["/bin/true".to_owned()]);
        spec.policy.environment = VariablePattern::new("SEED").ok().map(|seed| vec![seed]);
        change(&mut spec);
        script.restart = spec.restart.clone();
        self.units.define(&id(name), script);
        self.definitions.0.lock().unwrap().insert(id(name), spec);
    }

    pub(super) fn forget_definition(&self, name: &str) {
        self.definitions.0.lock().unwrap().remove(&id(name));
    }

    /// Ticks until nothing is under way; hooks do their work meanwhile.
    pub(super) fn settle(&mut self) {
        for _ in 0..20 {
            self.hooks();
            let now = self.now();
            at_once(self.coordinator.tick(now));
            if !self.coordinator.is_under_way() {
                return;
            }
            while self.coordinator.is_under_way() {
                let finished = at_once(self.coordinator.next_finished());
                self.hooks();
                self.coordinator.finish(finished, now);
            }
        }
        panic!("it never settles");
    }

    /// Lets time pass, second by second, with a tick whenever one is due.
    pub(super) fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.units.advance(TimeSpan::from_secs(1));
            self.seconds += 1;
            self.settle();
        }
    }

    /// What `begin` and `end` write, and what systemd signals.
    pub(super) fn hooks(&mut self) {
        for name in self.definitions.ids().unwrap() {
            let Ok(unit) = at_once(self.units.status(&name)) else { continue };
            let running = (unit.active_state == ActiveState::Active).then_some(unit.invocation);
            let running = running.flatten();
            let open = self.open.get(&name).copied();
            if open.map(|key| key.invocation) == running {
                continue;
            }
            if let Some(key) = open {
                self.end(&name, key, unit.result.clone());
            }
            if let Some(invocation) = running {
                let key = AttemptKey { boot: boot(self.boots), invocation };
                let fresh = unit.restarts == Some(0);
                let start = if fresh { StartKind::Fresh } else { StartKind::Restart };
                let Now { at, uptime } = self.now();
                let uptime = Some(uptime);
                let opening = Opening { experiment: name.clone(), key, at, uptime, start };
                if self.ledger.open(&opening).is_ok() {
                    self.open.insert(name.clone(), key);
                }
            }
            self.coordinator.unit_changed(name);
        }
    }

    fn end(&mut self, name: &ExperimentId, key: AttemptKey, result: Option<ServiceResult>) {
        if self.kills_ends {
            self.open.remove(name);
            return;
        }
        let mut evidence = Evidence::default();
        let is_success = result == Some(ServiceResult::Success);
        evidence.service_result = result;
        evidence.exit = Some(if is_success { Exit::Code(0) } else { Exit::Code(1) });
        evidence.became_ready = true;
        evidence.order = self.handover.orders.lock().unwrap().remove(name);
        let at = self.now().at;
        let end = AttemptEnd { at, cause: evidence.prove(), evidence };
        let closing = Closing { experiment: name.clone(), key, ready: Some(at), end, started: at };
        if self.ledger.close(&closing).is_ok() {
            self.open.remove(name);
        }
    }

    /// `kill -9` of the coordinator, and the next one.
    pub(super) fn kill(&mut self) {
        self.coordinator = self.next_coordinator();
    }

    fn next_coordinator(&self) -> Coordinator<Lab> {
        let adapters = Adapters::<Lab> {
            units: Arc::new(self.units.clone()),
            store: self.ledger.clone(),
            definitions: self.definitions.clone(),
            board: self.board.clone(),
            handover: self.handover.clone(),
        };
        Coordinator::open(adapters, boot(self.boots), self.settings.clone(), self.now()).unwrap()
    }

    /// The power is cut, and the machine comes up again: nothing runs.
    pub(super) fn cut_power(&mut self) {
        self.boots += 1;
        let units = SimUnits::default();
        for name in self.definitions.ids().unwrap() {
            units.define(&name, Script::runs());
        }
        self.units = units;
        self.open.clear();
        let (current, at) = (boot(self.boots), self.now().at);
        close_other_boots(&mut self.ledger, current, at, |_| RecoveredEnd::default()).unwrap();
        self.kill();
    }

    /// Makes the coordinator one user's own.
    pub(super) fn make_own(&mut self, uid: u32) {
        self.coordinator.owner = Some(uid);
    }

    pub(super) fn submit(&mut self, names: &[&str]) -> Vec<QueueEntry> {
        let runs = names.iter().map(|name| Submit::new(id(name))).collect();
        self.request(runs).unwrap()
    }

    pub(super) fn request(&mut self, runs: Vec<Submit>) -> Result<Vec<QueueEntry>, RequestError> {
        let request = SubmitRequest::new("alice", runs);
        let now = self.now();
        self.coordinator.submit_together(vec![request], now).pop().unwrap()
    }

    pub(super) fn admit(&mut self, name: &str) -> Admission {
        let admission = StartRequest {
            experiment: id(name),
            at_boot: false,
            by: "systemctl start".to_owned(),
            invocation: None,
            extras: String::new(),
        };
        let now = self.now();
        self.coordinator.admit(&admission, now)
    }

    /// The service manager skips a start: after a "no", or because it cannot even ask.
    pub(super) fn skip_start(&mut self, name: &str, number: u8) {
        let now = self.now();
        self.coordinator.start_skipped(&id(name), invocation(number), now);
    }

    /// `systemctl start`: asks, and starts if it may.
    pub(super) fn start_from_elsewhere(&mut self, name: &str) -> Admission {
        let verdict = self.admit(name);
        if verdict.admitted {
            at_once(self.units.start(&id(name))).unwrap();
        }
        self.settle();
        verdict
    }

    pub(super) fn act(&mut self, run: &str, act: &Act) -> Result<Vec<RunOutcome>, RequestError> {
        let now = self.now();
        self.coordinator.act(&[run.parse().unwrap()], act, "bob", now)
    }

    /// Which units are up, in alphabetical order.
    pub(super) fn up(&self) -> Vec<String> {
        let list = at_once(self.units.list()).unwrap();
        let up = list.into_iter().filter(|unit| unit.active_state == ActiveState::Active);
        up.map(|unit| unit.id.to_string()).collect()
    }

    /// Every run in the store with its state, in starting order.
    pub(super) fn stored(&self) -> Vec<String> {
        let mut runs = self.ledger.load().unwrap().runs;
        runs.sort_by(|a, b| a.order().cmp(&b.order()));
        runs.iter().map(|run| format!("{} {}", run.run, run.state.as_str())).collect()
    }

    pub(super) fn state_of(&self, run: &str) -> Option<QueueState> {
        let runs = self.ledger.load().unwrap().runs;
        runs.into_iter().find(|it| it.run.to_string() == run).map(|run| run.state)
    }

    pub(super) fn ended(&self, run: &str) -> Option<RunState> {
        let run: RunRef = run.parse().unwrap();
        self.ledger.run_state(&run).unwrap()
    }

    pub(super) fn listed(&mut self, run: &str) -> QueueEntry {
        let now = self.now();
        let queue = self.coordinator.queue(now);
        queue.into_iter().find(|it| it.id().to_string() == run).unwrap()
    }

    pub(super) fn gates_of(&mut self, run: &str) -> Vec<String> {
        self.listed(run).waiting_on.iter().map(|reason| reason.gate.to_string()).collect()
    }

    pub(super) fn events(&self, kind: EventKind) -> Vec<Event> {
        let mut events = self.ledger.events(0, usize::MAX).unwrap();
        events.retain(|event| event.kind == kind);
        events
    }

    pub(super) fn event_count(&self) -> usize {
        self.ledger.events(0, usize::MAX).unwrap().len()
    }
}

fn now(seconds: u32) -> Now {
    let at = Timestamp::from_micros(1_000_000_000_000_000 + i64::from(seconds) * 1_000_000);
    Now { at, uptime: Uptime::from_secs(seconds) }
}
