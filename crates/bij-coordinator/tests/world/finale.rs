//! The end of the world: accidents stop, and everything must come to its end.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::port::{AttemptQuery, Ledger, RunQueue};
use bij_core::queue::{Amount, Dependency, QueueState, QueuedRun, RunRef};
use bij_core::request::{Act, EntryState, QueueEntry, WaitReason};
use bij_core::{Bytes, CoordinatorSettings, RunId, TimeSpan};
use bij_sim::{Script, ScriptedAttempt, ScriptedEnd};

use crate::script::Step;
use crate::world::{Noise, World};

/// So often is time given, each time this much.
const ROUNDS: usize = 120;
const ROUND: TimeSpan = TimeSpan::from_secs(600);
/// Time after which the units that are up are stopped, because they may hang.
const STOP_EVERY: usize = 4;

impl World {
    /// Accidents stop, people let everything go, and time passes. What is still there then must
    /// have a reason that is eternal.
    pub(crate) fn run_out(&mut self) {
        self.note(|| "== the end of the world".to_owned());
        self.accidents_stop();
        for round in 0..ROUNDS {
            if !self.wrong.is_empty() {
                return;
            }
            let queue = self.machine.store.load().unwrap_or_default().runs;
            let all_is_over =
                self.eternal().len() == queue.len() && self.machine.units.up().is_empty();
            if all_is_over && round > 0 {
                self.nothing_is_left_open();
                return;
            }
            let held = |run: &&QueuedRun| matches!(run.state, QueueState::Held { .. });
            self.act_on(queue.iter().filter(held), &Act::Release);
            if round == 1 && !self.chronicle.not_stopped().is_empty() {
                let left = self.chronicle.not_stopped();
                self.wrong.push(format!("a stop that was acknowledged comes through: {left:?}"));
                return;
            }
            if round % STOP_EVERY == STOP_EVERY - 1 {
                self.act_on(queue.iter().filter(|run| run.state.is_up()), &Act::Stop);
            }
            self.step(Step::Pass(ROUND));
        }
        let remain = self.remain();
        let eternal = self.eternal();
        let left: Vec<String> = remain
            .iter()
            .filter(|(run, _)| !eternal.contains(*run))
            .map(|(run, entry)| format!("{run} {:?} {:?}", entry.state, entry.waiting_on))
            .collect();
        self.wrong.push(format!(
            "everything comes to its end: {} up, and {}",
            self.machine.units.up().len(),
            left.join("; ")
        ));
    }

    /// Whatever became of the hooks, of every attempt is known that it has ended.
    fn nothing_is_left_open(&mut self) {
        let query = AttemptQuery { open: true, ..AttemptQuery::default() };
        let open = self.machine.store.attempts(&query).unwrap_or_default();
        if !open.is_empty() {
            let open: Vec<String> =
                open.iter().map(|it| format!("{} of {}", it.number, it.run)).collect();
            self.wrong.push(format!("no attempt is left open: {}", open.join(", ")));
        }
    }

    fn accidents_stop(&mut self) {
        self.kill_switch.disarm();
        self.kills_hook = false;
        self.noise = Noise::default();
        self.machine.units.fail_next_start(None);
        self.step(Step::Store(None));
        self.step(Step::Bus { lost: false });
        self.step(Step::Memory { others: Bytes::default(), pressure: None, unreadable: false });
        self.step(Step::Heat(false));
        self.step(Step::Greedy(None));
        self.step(Step::StartCoordinator);
        self.step(Step::Pass(TimeSpan::from_secs(30)));
        // Signals that were lost before are made good by nothing but a look at all.
        self.observes_everything();
        self.step(Step::Reload(CoordinatorSettings::default()));
        self.step(Step::Pause(None, false));
        let queue = self.machine.store.load().unwrap_or_default();
        for group in queue.groups {
            self.step(Step::RemoveGroup(group.name));
        }
        for id in self.ids.clone() {
            let attempt =
                ScriptedAttempt { lasts: Some(TimeSpan::from_secs(60)), end: ScriptedEnd::Exit(0) };
            self.machine.units.define(&id, Script { attempts: vec![attempt], ..Script::default() });
        }
        // What is not to start before some time need not be waited for.
        self.step(Step::Clock { micros: 30 * 86_400 * 1_000_000 });
    }

    fn act_on<'a>(&mut self, runs: impl Iterator<Item = &'a QueuedRun>, act: &Act) {
        for run in runs {
            self.step(Step::Act(vec![RunRef::Run(run.run.clone())], act.clone()));
        }
    }

    fn remain(&mut self) -> BTreeMap<RunId, QueueEntry> {
        let now = self.now();
        let listed = self.coordinator.as_mut().map(|coordinator| coordinator.queue(now));
        let listed = listed.into_iter().flatten();
        listed.map(|entry| (entry.id(), entry)).collect()
    }

    /// Those that wait for ever: for a success that did not come, for a run that was never
    /// submitted, or for one of those that wait for ever.
    fn eternal(&mut self) -> BTreeSet<RunId> {
        let remain = self.remain();
        let mut eternal = BTreeSet::new();
        loop {
            let before = eternal.len();
            for (run, entry) in &remain {
                let waits_for_ever = |reason: &WaitReason| match (&*reason.gate, &reason.need) {
                    ("dependency", _) if reason.have.is_some() => true,
                    ("dependency", Some(Amount::Text(on))) => {
                        match on.parse::<Dependency>().expect("the gate names its dependency").on {
                            RunRef::Run(on) => !remain.contains_key(&on) || eternal.contains(&on),
                            RunRef::Newest(id) => {
                                let newest = remain.keys().rfind(|run| run.experiment == id);
                                newest.is_none_or(|newest| eternal.contains(newest))
                            }
                        }
                    }
                    _ => false,
                };
                let is_waiting = entry.state == EntryState::Waiting;
                if is_waiting && entry.waiting_on.iter().any(waits_for_ever) {
                    eternal.insert(run.clone());
                }
            }
            if eternal.len() == before {
                return eternal;
            }
        }
    }
}
