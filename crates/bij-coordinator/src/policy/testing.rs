//! Builders of small worlds for tests of decisions.

use bij_core::port::Sample;
use bij_core::queue::{
    Claim, ClosedGate, Dependencies, GpuClaim, Origin, Queue, QueuePosition, QueueState, QueuedRun,
    Terms,
};
use bij_core::spec::Clocks;
use bij_core::{
    ActiveState, BootId, Bytes, CoordinatorSettings, ExperimentId, RunId, SubState, Timestamp,
    UnitStatus, Uptime,
};
use proptest::prelude::ProptestConfig;

use super::{Action, Decision, Observation, State, decide};
use crate::Now;

pub(super) const BOOT: BootId = BootId::from_bytes([1; 16]);

pub(super) fn run_id(text: &str) -> RunId {
    text.parse().unwrap()
}

pub(super) fn experiment(text: &str) -> ExperimentId {
    text.parse().unwrap()
}

pub(super) const fn gib(number: u64) -> Bytes {
    Bytes::new(number << 30)
}

pub(super) fn now(seconds: u32) -> Now {
    let at = Timestamp::from_micros(1_000_000_000_000_000 + i64::from(seconds) * 1_000_000);
    Now { at, uptime: Uptime::from_secs(seconds) }
}

/// Returns a waiting run with default terms.
pub(super) fn waiting(run: &str) -> QueuedRun {
    QueuedRun {
        run: run_id(run),
        state: QueueState::Waiting,
        terms: Terms::default(),
        position: QueuePosition(0),
        bypassed: 0,
        submitted: now(1).at,
        extras: String::new(),
        by: "alice".to_owned(),
        origin: Origin::Submit,
        stop: None,
    }
}

/// Changes to a run in a test.
pub(super) trait Tailored: Sized {
    fn with(self, change: impl FnOnce(&mut QueuedRun)) -> Self;

    fn running(self) -> Self {
        self.with(|run| run.state = QueueState::Running)
    }

    fn starting(self) -> Self {
        self.with(|run| run.state = QueueState::Starting { boot: BOOT })
    }

    fn held(self) -> Self {
        self.with(|run| run.state = QueueState::Held { by: "bob".to_owned() })
    }

    fn to_be_stopped_by(self, by: &str) -> Self {
        self.with(|run| run.stop = Some(by.to_owned()))
    }

    fn position(self, position: i64) -> Self {
        self.with(|run| run.position = QueuePosition(position))
    }

    fn priority(self, priority: i32) -> Self {
        self.with(|run| run.terms.priority = priority)
    }

    fn memory(self, memory: Bytes) -> Self {
        self.with(|run| run.terms.claim = Claim { memory: Some(memory), ..run.terms.claim })
    }

    fn gpu(self, gpu: GpuClaim) -> Self {
        self.with(|run| run.terms.claim.gpu = gpu)
    }

    fn group(self, group: &str) -> Self {
        self.with(|run| run.terms.group = group.parse().unwrap())
    }

    fn after(self, after: &[&str]) -> Self {
        let list = after.iter().map(|on| on.parse().unwrap()).collect();
        self.with(|run| run.terms.after = Dependencies::All(list))
    }

    fn after_any(self, after: &[&str]) -> Self {
        let list = after.iter().map(|on| on.parse().unwrap()).collect();
        self.with(|run| run.terms.after = Dependencies::Any(list))
    }

    fn mode(self, mode: &str) -> Self {
        self.with(|run| run.terms.power = Some(mode.into()))
    }

    fn clocks(self) -> Self {
        self.with(|run| run.terms.clocks = Clocks::Max)
    }

    fn at_once(self) -> Self {
        self.with(|run| run.terms.now = true)
    }
}

impl Tailored for QueuedRun {
    fn with(mut self, change: impl FnOnce(&mut QueuedRun)) -> Self {
        change(&mut self);
        self
    }
}

/// A machine of 64 GiB, nearly empty, with 4 slots and a budget of 40 GiB, ten minutes after its boot.
/// Running runs have units that are up; positions follow the order of the list.
#[derive(Debug)]
pub(super) struct World {
    pub(super) state: State,
    pub(super) seen: Observation,
}

impl World {
    pub(super) fn new(runs: impl IntoIterator<Item = QueuedRun>) -> Self {
        let mut settings = CoordinatorSettings::default();
        settings.max_concurrent = Some(4);
        settings.total_memory = "40G".parse().ok();
        settings.reserve_memory = "1G".parse().ok();
        let mut runs: Vec<_> = runs.into_iter().collect();
        for (at, run) in runs.iter_mut().enumerate() {
            if run.position == QueuePosition(0) {
                run.position = QueuePosition(i64::try_from(at).unwrap() + 1);
            }
        }
        let seen = Observation::new(now(600), Sample::new(gib(64), gib(60)));
        let up: Vec<_> =
            runs.iter().filter(|run| run.state == QueueState::Running).cloned().collect();
        let queue = Queue { runs, ..Queue::default() };
        let mut world = Self { state: State::new(BOOT, settings, queue), seen };
        for run in up {
            world.unit(run.run.experiment.as_str(), &ActiveState::Active, "running");
        }
        world
    }

    pub(super) fn slots(mut self, slots: u32) -> Self {
        self.state.settings.max_concurrent = Some(slots);
        self
    }

    pub(super) fn bypass(mut self, times: u32) -> Self {
        self.state.settings.max_bypass = Some(times);
        self
    }

    pub(super) fn at(mut self, seconds: u32) -> Self {
        self.seen.now = now(seconds);
        self
    }

    pub(super) fn unit(&mut self, id: &str, active_state: &ActiveState, sub_state: &str) {
        let mut status = UnitStatus::down(experiment(id));
        status.active_state = active_state.clone();
        status.sub_state = SubState::from(sub_state);
        self.seen.units.insert(experiment(id), status);
    }

    pub(super) fn decide(&self) -> Decision {
        decide(&self.state, &self.seen)
    }

    /// Returns the runs that a decision starts, in order.
    pub(super) fn started(&self) -> Vec<String> {
        started(&self.decide())
    }

    /// Returns the names of the gates that keep a run waiting.
    pub(super) fn gates_of(&self, run: &str) -> Vec<&'static str> {
        let report = self.decide().report;
        report.waiting[&run_id(run)].iter().map(|waiting| waiting.gate.name()).collect()
    }

    /// Returns the gate of this name that keeps a run waiting.
    pub(super) fn gate(&self, run: &str, name: &str) -> ClosedGate {
        let report = self.decide().report;
        let mut gates = report.waiting[&run_id(run)].iter().map(|waiting| waiting.gate.clone());
        gates.find(|gate| gate.name() == name).unwrap()
    }

    /// Carries out a decision without faults: every started run is running at once.
    pub(super) fn carry_out(&mut self, decision: Decision) {
        for action in decision.actions {
            match action {
                Action::Close { run: closed, end: _ } => {
                    self.seen.unclosed.retain(|(run, _)| *run != closed);
                }
                Action::Change(change) => self.state.apply(&change),
                Action::Start { run, from: _, why: _ } => {
                    let run = self.state.runs.get_mut(&run).unwrap();
                    run.state = QueueState::Running;
                    let claim = run.terms.claim.memory.unwrap_or_default();
                    let id = run.run.experiment.clone();
                    self.use_memory(|available| available.saturating_sub(claim.get()));
                    self.unit(id.as_str(), &ActiveState::Active, "running");
                }
                Action::Stop { experiment, order: _ } => {
                    self.seen.units.remove(&experiment);
                    self.seen
                        .untracked_units
                        .retain(|untracked| untracked.run.experiment != experiment);
                    self.state.stops.remove(&experiment);
                    let up = self.state.up_of(&experiment).map(|run| run.run.clone());
                    self.state.runs.retain(|run, _| Some(run) != up.as_ref());
                }
            }
        }
        self.state.health = decision.report.health.clone();
        self.state.over_gpu_memory = decision.report.over_gpu_memory.clone();
        self.state.last = Some(decision.report);
    }

    /// Ends a run, whose unit goes down.
    pub(super) fn end(&mut self, run: &RunId) {
        let ended = self.state.runs.remove(run).unwrap();
        let claim = ended.terms.claim.memory.unwrap_or_default();
        self.use_memory(|available| available + claim.get());
        self.seen.units.remove(&run.experiment);
    }

    fn use_memory(&mut self, change: impl FnOnce(u64) -> u64) {
        if let Ok(available) = &mut self.seen.sample.memory_available {
            *available = Bytes::new(change(available.get()));
        }
    }
}

/// Returns a configuration with ten times the default number of cases, or of `PROPTEST_CASES`.
pub(super) fn many_cases() -> ProptestConfig {
    let standard = ProptestConfig::default();
    ProptestConfig { cases: standard.cases.saturating_mul(10), ..standard }
}

pub(super) fn started(decision: &Decision) -> Vec<String> {
    let started = decision.actions.iter().filter_map(|action| match action {
        Action::Start { run, from: _, why: _ } => Some(run.to_string()),
        Action::Close { .. } | Action::Change(_) | Action::Stop { .. } => None,
    });
    started.collect()
}
