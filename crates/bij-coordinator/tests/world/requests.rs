//! Steps are carried out.

use bij_coordinator::{Now, SubmitRequest};
use bij_core::queue::RunRef;
use bij_core::request::{Act, GroupSetting, PauseRequest, QueueEntry, Submit};
use bij_core::{RunId, port::RunQueue, port::UnitManager};
use futures_util::FutureExt;

use crate::ports::SimCoordinator;
use crate::script::Step;
use crate::world::World;

const ALICE: &str = "alice";
/// So often is the coordinator killed just when it has acknowledged something that is to be done.
const KILLED_ONCE_IN: u8 = 6;

impl World {
    pub(crate) fn carry_out(&mut self, step: Step) {
        match step {
            Step::Submit(runs) => self.submit(runs),
            Step::Act(runs, act) => self.act(&runs, &act),
            Step::Edit(run, edit) => {
                self.ask(|coordinator, now| coordinator.edit(&run, &edit, ALICE, now).map(drop));
            }
            Step::Pause(group, paused) => {
                let request = PauseRequest { group, paused };
                self.ask(|coordinator, now| coordinator.pause(&request, ALICE, now).map(drop));
            }
            Step::SetGroup(name, slots) => {
                let setting = GroupSetting { name, slots };
                self.ask(|coordinator, now| coordinator.set_group(&setting, ALICE, now).map(drop));
            }
            Step::RemoveGroup(name) => {
                self.ask(|coordinator, now| coordinator.remove_group(&name, ALICE, now).map(drop));
            }
            Step::Pass(span) => self.pass(span),
            Step::SystemctlStart(id) => self.machine.units.start_from_elsewhere(&id),
            Step::SystemctlStop(id) => {
                self.chronicle.may_stop(&id);
                self.machine.units.stop_from_elsewhere(&id);
            }
            Step::Enable(id, enabled) => {
                // A manager that cannot be reached does not do it.
                let _ = self.machine.units.set_enabled(&id, enabled).now_or_never();
            }
            Step::Kill(crossings) => self.kill_switch.arm(crossings),
            Step::StopCoordinator => self.coordinator_stops(),
            Step::StartCoordinator if self.coordinator.is_none() => self.coordinator_comes(),
            Step::Reboot { in_good_order, coordinator_is_there } => {
                self.reboot(in_good_order, coordinator_is_there);
            }
            Step::Store(fault) => {
                self.store_fails = fault.is_some();
                self.machine.store.fail(fault);
            }
            Step::Bus { lost } => self.set_bus_lost(lost),
            Step::FailStart(fault) => self.machine.units.fail_next_start(Some(fault)),
            Step::Clock { micros } => self.machine.clock.jump(micros),
            Step::Reload(settings) => {
                self.settings = settings.clone();
                self.door.reload(settings.clone());
                self.ask(|coordinator, now| {
                    coordinator.reload(Ok(settings), ALICE, now);
                    Ok(())
                });
            }
            Step::Signals(noise) => self.noise = noise,
            Step::Redefine(id) if !self.door.is_up(&id) => self.define(&id),
            Step::StartCoordinator | Step::Redefine(_) => {}
            Step::Memory { others, pressure, unreadable } => {
                self.machine.board.set_other_usage(others);
                self.machine.board.set_pressure(pressure);
                self.machine.board.set_unreadable(unreadable);
            }
            Step::Heat(hot) => self.set_heat(hot),
            Step::Greedy(greedy) => {
                self.greedy = greedy;
                self.tell_gpu_memory();
            }
            Step::KillHook => self.kills_hook = true,
            Step::LoseJournal => self.machine.lose_journal(),
        }
        self.settle();
    }

    /// Makes a request to the coordinator, which may be killed during it.
    pub(crate) fn ask<T>(
        &mut self,
        request: impl FnOnce(&mut SimCoordinator, Now) -> Result<T, bij_coordinator::RequestError>,
    ) -> Option<T> {
        let now = self.now();
        let Self { coordinator: Some(coordinator), kill_switch, .. } = self else { return None };
        let answer = kill_switch.run(|| request(coordinator, now));
        self.is_awake = true;
        match answer {
            Ok(Ok(done)) => Some(done),
            Ok(Err(error)) => {
                self.note(|| format!("refused: {error}"));
                None
            }
            Err(_) => {
                self.coordinator_is_killed();
                None
            }
        }
    }

    fn submit(&mut self, runs: Vec<Submit>) {
        let request = |runs| SubmitRequest::new(ALICE, runs);
        let requests = if self.dice.bool() {
            vec![request(runs)]
        } else {
            runs.into_iter().map(|submit| request(vec![submit])).collect()
        };
        let answers = self.ask(|coordinator, now| Ok(coordinator.submit_together(requests, now)));
        for answer in answers.into_iter().flatten() {
            match answer {
                Ok(runs) => {
                    let taken: Vec<RunId> = runs.iter().map(QueueEntry::id).collect();
                    self.note(|| format!("taken in: {taken:?}"));
                    self.chronicle.acknowledged.extend(taken);
                }
                Err(error) => self.note(|| format!("refused: {error}")),
            }
        }
    }

    pub(crate) fn act(&mut self, runs: &[RunRef], act: &Act) {
        if matches!(act, Act::Cancel | Act::Stop | Act::Requeue) {
            let queue = self.machine.store.load().unwrap_or_default();
            for run in runs {
                self.chronicle.may_stop(run.experiment());
                let named = queue.runs.iter().filter(|queued| match run {
                    RunRef::Run(run) => queued.run == *run,
                    RunRef::Newest(id) => queued.run.experiment == *id,
                });
                if *act == Act::Cancel {
                    self.chronicle.may_cancel.extend(named.map(|queued| queued.run.clone()));
                }
            }
        }
        let acted = self.ask(|coordinator, now| coordinator.act(runs, act, ALICE, now));
        let Some(acted) = acted else { return };
        let result = self.read_events();
        self.is_wrong("event numbers grow and every end has its reason", result);
        if *act == Act::Stop {
            for acted in acted {
                self.chronicle.stop_was_acknowledged(acted.run);
            }
        }
        // What was acknowledged and not yet done is what a kill just now must not undo.
        if self.temper > 0 && self.dice.u8(..KILLED_ONCE_IN) == 0 {
            self.coordinator_is_killed();
        }
    }
}
