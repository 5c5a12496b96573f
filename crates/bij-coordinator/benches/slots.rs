//! How long a slot that has come free stays so, with a few and with 10,000 runs queued:
//! `cargo bench -p bij-coordinator`.
//!
//! The budget is 20 ms, from the moment the service manager tells of the end until it is asked for
//! the next start, and as much until a follower of the events has it. All adapters are models, so
//! this is the coordinator's own share; to it come the store's transaction (`cargo bench -p
//! bij-store`) and the bus.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bij_coordinator::policy::{Observation, State, decide};
use bij_coordinator::{AdapterSet, Adapters, Coordinator, Now, Ports, SubmitRequest};
use bij_core::port::{Change, RunQueue as _, Sample};
use bij_core::request::Submit;
use bij_core::spec::ExperimentSpec;
use bij_core::{BootId, Bytes, CoordinatorSettings, ExperimentId, RunEnd, Timestamp, Uptime};
use bij_sim::{MemoryLedger, Script, SimUnits};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt as _;

const QUEUED: [usize; 2] = [10, 10_000];
const SLOTS: u32 = 4;

type Lab = AdapterSet<SimUnits, MemoryLedger, BTreeMap<ExperimentId, ExperimentSpec>, Sample, ()>;

/// A machine with all slots taken and so many runs queued.
struct Machine<P: Ports> {
    units: SimUnits,
    store: MemoryLedger,
    coordinator: Coordinator<P>,
}

impl Machine<Lab> {
    fn new(queued: usize) -> Self {
        let (units, store) = (SimUnits::default(), MemoryLedger::default());
        let ids: Vec<ExperimentId> =
            (0..queued + SLOTS as usize).map(|n| format!("e{n}").parse().unwrap()).collect();
        for id in &ids {
            units.define(id, Script::runs());
        }
        let definitions =
            ids.iter().map(|id| (id.clone(), ExperimentSpec::new(id.clone(), Vec::new())));
        let adapters = Adapters::new(
            Arc::new(units.clone()),
            store.clone(),
            definitions.collect::<BTreeMap<_, _>>(),
            sample(),
            (),
        );
        let coordinator = Coordinator::open(adapters, boot(), settings(), now()).unwrap();
        let mut machine = Self { units, store, coordinator };
        machine.submit(ids);
        machine.settle();
        assert_eq!(machine.units.up().len(), SLOTS as usize);
        machine
    }

    fn submit(&mut self, ids: impl IntoIterator<Item = ExperimentId>) {
        let request = SubmitRequest::new("me", ids.into_iter().map(Submit::new));
        self.coordinator.submit(request, now()).unwrap();
    }

    /// One that is up ends and is submitted once more; the service manager tells of its unit.
    fn free_a_slot(&mut self) {
        self.settle();
        let id = self.units.up().swap_remove(0);
        self.units.stop_from_elsewhere(&id);
        let queue = self.store.load().unwrap();
        let up = queue.runs.into_iter().find(|run| run.run.experiment == id && run.state.is_up());
        let run = up.unwrap().run;
        let end = Change::End { run, end: RunEnd::Success, by: "itself".to_owned() };
        self.store.change(&[end], now().at).unwrap();
        self.submit([id.clone()]);
        self.coordinator.unit_changed(id);
    }

    /// Until the service manager has been asked.
    fn start(&mut self) {
        self.coordinator.tick(now()).now_or_never().expect("models answer at once");
        let finished = self.coordinator.next_finished().now_or_never();
        self.coordinator.finish(finished.expect("a start is under way"), now());
    }

    fn settle(&mut self) {
        self.coordinator.settle(now()).now_or_never().expect("models answer at once");
    }
}

fn sample() -> Sample {
    let memory = Bytes::new(64 << 30);
    Sample::new(memory, memory)
}

fn settings() -> CoordinatorSettings {
    let mut settings = CoordinatorSettings::default();
    settings.max_concurrent = Some(SLOTS);
    settings
}

const fn boot() -> BootId {
    BootId::from_bytes([1; 16])
}

fn now() -> Now {
    Now { at: Timestamp::from(std::time::UNIX_EPOCH), uptime: Uptime::from_secs(600) }
}

fn slot_is_free_to_start(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("from a free slot to the next start");
    for queued in QUEUED {
        let machine = RefCell::new(Machine::new(queued));
        group.bench_function(BenchmarkId::from_parameter(queued), |bencher| {
            bencher.iter_batched(
                || machine.borrow_mut().free_a_slot(),
                |()| machine.borrow_mut().start(),
                BatchSize::PerIteration,
            );
        });
        assert_eq!(machine.borrow().units.up().len(), SLOTS as usize);
    }
    group.finish();
}

fn decision(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one decision while nothing can start");
    for queued in QUEUED {
        let machine = Machine::new(queued);
        let mut state = State::new(boot(), settings(), machine.store.load().unwrap());
        let mut seen = Observation::new(now(), sample());
        for id in machine.units.up() {
            let mut up = bij_core::UnitStatus::down(id.clone());
            up.active_state = bij_core::ActiveState::Active;
            seen.units.insert(id, up);
        }
        let first = decide(&state, &seen);
        assert_eq!(first.actions, []);
        state.last = Some(first.report);
        group.bench_function(BenchmarkId::from_parameter(queued), |bencher| {
            bencher.iter(|| decide(&state, &seen));
        });
    }
    group.finish();
}

criterion_group!(benches, slot_is_free_to_start, decision);
criterion_main!(benches);
