//! What holds after every step, whatever has happened.

use std::collections::BTreeMap;

use bij_core::port::{AttemptQuery, Ledger, RunQueue};
use bij_core::queue::{EventKind, QueueState};
use bij_core::request::{Act, EntryState, QueueEntry};
use bij_core::{ExperimentId, RunId};

use crate::ports::SimCoordinator;
use crate::script::Step;
use crate::world::World;

/// Signals that are lost would be made good too soon, did it look at all after every step.
const LOOKS_AT_ALL_ONCE_IN: u8 = 8;

impl World {
    /// Carries a step out and looks whether the world still is one that is allowed.
    pub(crate) fn step(&mut self, step: Step) {
        let before = self.line();
        let reorders = reorders(&step);
        self.note(|| format!("-- {step:?}"));
        if !is_undisturbing(&step) {
            self.disturbed = self.machine.clock.uptime();
        }
        self.carry_out(step);
        let result = self.read_events();
        if !self.wrong.is_empty() {
            return;
        }
        self.is_wrong("event numbers grow and every end has its reason", result);
        let result = self.chronicle.agrees_with(self.machine.store.written());
        self.is_wrong("events tell every transition", result);
        let kept = self.chronicle.has_all_that_was_acknowledged();
        self.is_wrong("no acknowledged run disappears", kept);
        let once = self.no_experiment_is_up_twice();
        self.is_wrong("no run is up twice, and no experiment has two that are", once);
        let order = self.order_is_kept(&before);
        if !reorders {
            self.is_wrong("the order is kept unless a request changes it", order);
        }
        if self.knows_why_nothing_starts() {
            let reasons = self.every_waiting_run_has_a_reason();
            self.is_wrong(
                "while the manager is unreachable, every waiting run reports it",
                reasons,
            );
        }
        if self.is_sound() {
            let reasons = self.every_waiting_run_has_a_reason();
            self.is_wrong("every run that is not over is up or waits with a reason", reasons);
            let halts = self.halts_are_told();
            self.is_wrong("an experiment that makes no step is reported as stalled", halts);
            let rest = self.a_settled_world_is_at_rest();
            self.is_wrong("a settled world yields no action", rest);
        }
    }

    pub(crate) fn read_events(&mut self) -> Result<(), String> {
        let events = self.chronicle.read(self.machine.store.written())?;
        for event in events {
            if event.kind == EventKind::Admitted {
                let run = event.experiment.as_ref().map(ToString::to_string);
                self.is_let_start_in_the_heat(&run.unwrap_or_default());
            }
            self.note(|| {
                let run = event
                    .experiment
                    .iter()
                    .zip(event.run)
                    .map(|(id, run)| format!("{id}#{}", run.0));
                format!(
                    "event {} {} {} {:?}",
                    event.seq,
                    event.kind,
                    run.collect::<String>(),
                    event.data
                )
            });
        }
        Ok(())
    }

    /// Those that wait or are held, in starting order.
    fn line(&self) -> Vec<RunId> {
        let mut runs = self.machine.store.written().load().unwrap_or_default().runs;
        runs.retain(|run| matches!(run.state, QueueState::Waiting | QueueState::Held { .. }));
        runs.sort_by(|a, b| a.order().cmp(&b.order()));
        runs.into_iter().map(|run| run.run).collect()
    }

    /// Runs that waited before and still do, wait in the same order: kills, reboots and power cuts
    /// change nothing about it.
    fn order_is_kept(&mut self, before: &[RunId]) -> Result<(), String> {
        let left = self.chronicle.take_left();
        let after = self.line();
        let stayed = |run: &&RunId| !left.contains(*run);
        let was: Vec<&RunId> =
            before.iter().filter(stayed).filter(|run| after.contains(run)).collect();
        let is: Vec<&RunId> =
            after.iter().filter(stayed).filter(|run| before.contains(run)).collect();
        if was == is { Ok(()) } else { Err(format!("{was:?} became {is:?}")) }
    }

    /// No experiment has two attempts that are open in this boot, nor two runs that are up in it.
    fn no_experiment_is_up_twice(&self) -> Result<(), String> {
        let query = AttemptQuery { open: true, ..AttemptQuery::default() };
        let open = self.machine.store.attempts(&query).unwrap_or_default();
        let mut with_attempt: BTreeMap<ExperimentId, RunId> = BTreeMap::new();
        for attempt in open.into_iter().filter(|it| it.key.boot == self.machine.boot_id()) {
            let run = attempt.run;
            if let Some(other) = with_attempt.insert(run.experiment.clone(), run.clone()) {
                return Err(format!("{run} and {other} have attempts that are open"));
            }
        }
        let queue = self.machine.store.load().unwrap_or_default();
        let mut up: BTreeMap<ExperimentId, RunId> = BTreeMap::new();
        for queued in queue.runs.iter().filter(|queued| self.door.is_here(queued)) {
            let run = &queued.run;
            if let Some(other) = up.insert(run.experiment.clone(), run.clone()) {
                return Err(format!("{run} and {other} are up"));
            }
        }
        Ok(())
    }

    /// Asks for the queue as people do; who waits without a reason is about to start.
    fn every_waiting_run_has_a_reason(&mut self) -> Result<(), String> {
        let left = self.kill_switch.left();
        self.kill_switch.disarm();
        let mut bare = self.waits_for_nothing();
        if bare.is_some() {
            self.is_awake = true;
            self.settle();
            bare = self.waits_for_nothing();
        }
        self.kill_switch.arm(left);
        self.read_events()?;
        bare.map_or(Ok(()), |run| Err(format!("{run} waits, and nothing tells why")))
    }

    /// The first run that waits and has no reason to.
    fn waits_for_nothing(&mut self) -> Option<RunId> {
        let now = self.now();
        let listed = self.coordinator.as_mut().map(|coordinator| coordinator.queue(now));
        let bare = |listed: &QueueEntry| {
            let waits = matches!(listed.state, EntryState::Waiting | EntryState::Held);
            waits && listed.waiting_on.is_empty()
        };
        listed.into_iter().flatten().find(bare).map(|listed| listed.id())
    }

    /// A coordinator that looks again at everything where nothing has happened does nothing. What it
    /// had missed, it may do before.
    fn a_settled_world_is_at_rest(&mut self) -> Result<(), String> {
        if self.dice.u8(..LOOKS_AT_ALL_ONCE_IN) > 0 {
            return Ok(());
        }
        let left = self.kill_switch.left();
        self.kill_switch.disarm();
        self.observes_everything();
        self.settle();
        let before = self.kill_switch.writes();
        self.observes_everything();
        self.tick();
        let done = self.kill_switch.writes() - before;
        self.kill_switch.arm(left);
        self.read_events()?;
        if done == 0 { Ok(()) } else { Err(format!("{done} things were done at rest")) }
    }

    /// The bus is lost, and the coordinator has found that out.
    fn knows_why_nothing_starts(&self) -> bool {
        let has_found_out = |coordinator: &SimCoordinator| {
            coordinator.status().troubles.iter().any(|trouble| trouble.contains("manager"))
        };
        self.bus_is_lost
            && !self.store_fails
            && self.coordinator.as_ref().is_some_and(has_found_out)
    }

    pub(crate) fn observes_everything(&mut self) {
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.resync();
            self.is_awake = true;
        }
    }
}

/// Whether a step keeps no coordinator from reading the units, nor says anew what is to be found there.
const fn is_undisturbing(step: &Step) -> bool {
    matches!(
        step,
        Step::Submit(_)
            | Step::Act(..)
            | Step::Edit(..)
            | Step::Pause(..)
            | Step::SetGroup(..)
            | Step::RemoveGroup(_)
            | Step::Pass(_)
            | Step::SystemctlStart(_)
            | Step::SystemctlStop(_)
            | Step::Enable(..)
            | Step::Memory { .. }
    )
}

/// Whether a step may change the order of those that wait.
fn reorders(step: &Step) -> bool {
    match step {
        Step::Act(_, act) => {
            matches!(act, Act::Prioritize { .. } | Act::Move { .. } | Act::Requeue)
        }
        Step::Edit(..) => true,
        _ => false,
    }
}
