//! What happens in one instant, in an order that the dice choose; and what happens as time passes.

use bij_coordinator::StartRequest;
use bij_core::port::RunQueue;
use bij_core::queue::{QueueState, QueuedRun};
use bij_core::{ExperimentId, RunId, TimeSpan, Uptime};
use bij_sim::{Hook, SimHookCall};
use futures_util::FutureExt;

use crate::ports::SimCoordinator;
use crate::world::World;

/// A hook that asks in vain goes on after so long.
const ASKS_FOR: TimeSpan = TimeSpan::from_secs(10);
/// More cannot happen in one instant, if it comes to an end at all.
const MOST_IN_AN_INSTANT: usize = 3_000;
/// A coordinator that looks more often in one instant, without any news, does not
/// come to rest.
const MOST_IDLE_TICKS: usize = 3;
/// So much may happen at once, where much was waiting for it.
const MOST_AT_ONCE: u64 = 120;
/// A signal that is late is so by this much at most.
const LATEST: TimeSpan = TimeSpan::from_secs(20);

/// One thing that may happen now.
enum Next {
    Hook(SimHookCall),
    Signal(usize),
    Tick,
    Finish,
}

impl World {
    /// Lets happen what happens now, until nothing is left to happen.
    pub(crate) fn settle(&mut self) {
        let mut idle = 0;
        for _ in 0..MOST_IN_AN_INSTANT {
            self.hear_signals();
            let mut next = self.what_may_happen();
            if next.is_empty() {
                return;
            }
            let chosen = next.swap_remove(self.dice.usize(..next.len()));
            idle = if matches!(chosen, Next::Tick) && !self.is_awake { idle + 1 } else { 0 };
            if idle > MOST_IDLE_TICKS {
                self.wrong.push("no hot loop: it wants to look again and again".to_owned());
                return;
            }
            self.happen(chosen);
            let found = self.door.take_wrong();
            self.wrong.extend(found.into_iter().map(|what| format!("our own decisions: {what}")));
            if !self.wrong.is_empty() {
                return;
            }
        }
        self.wrong.push("no hot loop: an instant does not come to its end".to_owned());
    }

    fn what_may_happen(&mut self) -> Vec<Next> {
        let uptime = self.machine.clock.uptime();
        let calls = self.machine.units.hooks();
        self.in_vain
            .retain(|id, _| calls.iter().any(|call| call.id == *id && call.hook == Hook::Admit));
        let mut next = Vec::new();
        for call in calls {
            if call.hook == Hook::Admit && self.coordinator.is_none() && self.socket {
                let since = *self.in_vain.entry(call.id.clone()).or_insert(uptime);
                if uptime < since + ASKS_FOR {
                    continue;
                }
            }
            next.push(Next::Hook(call));
        }
        if let Some(coordinator) = &self.coordinator {
            let due = coordinator.next_tick_due().is_some_and(|due| due <= uptime);
            if self.is_awake || due {
                next.push(Next::Tick);
            }
            if self.may_be_finished && coordinator.is_under_way() {
                next.push(Next::Finish);
            }
            let arrived = |(_, (at, _)): &(usize, &(Uptime, _))| *at <= uptime;
            let arrived = self.signals.iter().enumerate().filter(arrived);
            next.extend(arrived.map(|(at, _)| Next::Signal(at)));
        } else {
            // No client listens.
            self.signals.clear();
        }
        next
    }

    fn happen(&mut self, next: Next) {
        match next {
            Next::Hook(call) if call.hook == Hook::Admit => self.admit(&call),
            Next::Hook(call) => {
                let is_end = matches!(call.hook, Hook::End(_));
                if is_end && std::mem::take(&mut self.kills_hook) {
                    self.note(|| format!("hook {:?} of {} is killed", call.hook, call.id));
                    self.machine.kill_hook(&call);
                } else {
                    self.note(|| format!("hook {:?} of {}", call.hook, call.id));
                    self.machine.run_hook(&call);
                    if call.hook == Hook::Begin {
                        self.paces_itself(&call.id);
                        self.has_its_extras(&call.id);
                    }
                }
                self.may_be_finished = true;
            }
            Next::Signal(at) => {
                let (_, id) = self.signals.swap_remove(at);
                if let Some(coordinator) = &mut self.coordinator {
                    coordinator.unit_changed(id);
                    self.is_awake = true;
                }
            }
            Next::Tick => self.tick(),
            Next::Finish => self.finish(),
        }
    }

    /// What an attempt finds laid over its definition is what its run was submitted with, whatever has
    /// started it. Where the coordinator could not be asked, or a killed hook has left it to `begin` to find out
    /// that the run which was asked for is over, it may be another's.
    fn has_its_extras(&mut self, id: &ExperimentId) {
        let Some(admitted) = self.admitted.remove(id) else { return };
        let queue = self.machine.store.load().unwrap_or_default();
        let is_it = |run: &&QueuedRun| run.run == admitted && run.state == QueueState::Running;
        let Some(run) = queue.runs.iter().find(is_it) else { return };
        let laid = self.machine.handover.extras_for(id);
        if laid != run.extras {
            let what = format!("{admitted} has {:?} and begins with {laid:?}", run.extras);
            self.is_wrong("a run has its extras in all its attempts", Err(what));
        }
    }

    pub(crate) fn tick(&mut self) {
        let now = self.now();
        self.note(|| "it looks".to_owned());
        self.is_awake = false;
        self.may_be_finished = true;
        self.tell_steps();
        let health = self.health();
        let Self { coordinator: Some(coordinator), kill_switch, .. } = self else { return };
        let ticked = kill_switch
            .run(|| coordinator.tick(now).now_or_never().expect("the models answer at once"));
        match ticked {
            Ok(()) => self.judge_health(&health),
            Err(_) => self.coordinator_is_killed(),
        }
    }

    fn finish(&mut self) {
        let now = self.now();
        self.may_be_finished = false;
        let Self { coordinator: Some(coordinator), kill_switch, .. } = self else { return };
        let finished = kill_switch.run(|| {
            let finished = coordinator.next_finished().now_or_never();
            finished.map(|finished| coordinator.finish(finished, now)).is_some()
        });
        match finished {
            Ok(true) => {
                self.note(|| "a start or stop has come to its end".to_owned());
                self.is_awake = true;
                self.may_be_finished = true;
            }
            Ok(false) => {}
            Err(_) => self.coordinator_is_killed(),
        }
    }

    /// `bij-hook admit` asks.
    fn admit(&mut self, call: &SimHookCall) {
        let now = self.now();
        let at_boot = self.booting.remove(&call.id);
        let Self { coordinator, kill_switch, door, machine, .. } = self;
        let Some(coordinator) = coordinator else {
            self.note(|| format!("{} starts without being let", call.id));
            self.admitted.remove(&call.id);
            self.machine.units.leave(call, true);
            return;
        };
        let admission = StartRequest {
            experiment: call.id.clone(),
            at_boot,
            by: if at_boot { "boot" } else { "systemctl start" }.to_owned(),
            invocation: None,
            extras: machine.handover.extras_for(&call.id),
        };
        let was_up = door.is_up(&call.id);
        if let Ok(verdict) = kill_switch.run(|| coordinator.admit(&admission, now)) {
            let run = verdict.run.map(|number| RunId { experiment: call.id.clone(), number });
            if verdict.admitted && !was_up {
                door.judge_admission(&call.id, run.as_ref());
            }
            let admitted = verdict.admitted;
            if let Some(run) = run.filter(|_| admitted) {
                self.admitted.insert(call.id.clone(), run);
            }
            self.note(|| format!("{} is admitted: {admitted}, {:?}", call.id, verdict.text));
            self.machine.units.leave(call, admitted);
            self.is_awake = true;
        } else {
            if at_boot {
                self.booting.insert(call.id.clone());
            }
            self.coordinator_is_killed();
        }
        self.may_be_finished = true;
    }

    /// Signals go out, and some do not arrive, or late, or twice.
    fn hear_signals(&mut self) {
        let uptime = self.machine.clock.uptime();
        for id in self.machine.units.take_signals() {
            // Who was not connected is told that it may have missed something.
            if self.bus_is_lost || self.dice.u8(..100) < self.noise.lost {
                continue;
            }
            let mut arrives = uptime;
            if self.dice.u8(..100) < self.noise.late {
                arrives = uptime + TimeSpan::from_micros(self.dice.u64(..LATEST.as_micros()));
            }
            if self.dice.u8(..100) < self.noise.doubled {
                self.signals.push((arrives, id.clone()));
            }
            self.signals.push((arrives, id));
        }
    }

    /// Lets time pass, and what is due in it happen.
    pub(crate) fn pass(&mut self, span: TimeSpan) {
        let until = self.machine.clock.uptime() + span;
        let mut wakes = 0;
        let deeds = self.kill_switch.writes();
        loop {
            self.settle();
            let uptime = self.machine.clock.uptime();
            if uptime >= until || !self.wrong.is_empty() {
                break;
            }
            let next = self
                .next_due(uptime)
                .unwrap_or(until)
                .clamp(uptime + TimeSpan::from_micros(1), until);
            self.machine.advance(next - uptime);
            self.may_be_finished = true;
            if self.comes_at.is_some_and(|at| at <= next) {
                self.coordinator_comes();
            }
            wakes += 1;
        }
        self.is_no_hot_loop(span, wakes, self.kill_switch.writes() - deeds);
    }

    /// However long no request comes, what the coordinator does is bounded by the time that
    /// passes.
    fn is_no_hot_loop(&mut self, span: TimeSpan, wakes: u64, deeds: u64) {
        let seconds = span.as_secs();
        if wakes > MOST_AT_ONCE + 2 * seconds {
            self.wrong.push(format!("no hot loop: {wakes} things were due in {span}"));
        }
        if deeds > MOST_AT_ONCE + seconds {
            self.wrong.push(format!("no hot loop: {deeds} things were done in {span}"));
        }
    }

    /// The uptime at which the next thing happens by itself.
    fn next_due(&self, uptime: Uptime) -> Option<Uptime> {
        let unit = self.machine.units.next_due().map(|wait| uptime + wait);
        let look = self.coordinator.as_ref().and_then(SimCoordinator::next_tick_due);
        let vain = self.in_vain.values().map(|since| *since + ASKS_FOR).min();
        let signal = self.signals.iter().map(|(at, _)| *at).min();
        [unit, look, self.comes_at, vain, signal]
            .into_iter()
            .flatten()
            .filter(|at| *at > uptime)
            .min()
    }
}
