//! What befalls the world, step by step, as the dice choose.

use bij_core::queue::{Condition, Dependencies, Dependency, GroupName, RunRef};
use bij_core::request::{Act, Edit, MoveTo, Submit};
use bij_core::spec::{ExperimentSpec, LimitsSpec, OnReboot, RestartSpec};
use bij_core::variable::VariablePattern;
use bij_core::{
    Bytes, CoordinatorSettings, ExperimentId, Limit, MemoryLimit, Percent, RunId, RunNumber,
    TimeSpan, port::RunQueue,
};
use bij_sim::{LedgerFault, Script, ScriptedAttempt, ScriptedEnd, StartFault};

use crate::world::{Noise, World};

/// One step.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Submit(Vec<Submit>),
    Act(Vec<RunRef>, Act),
    Edit(RunRef, Edit),
    Pause(Option<GroupName>, bool),
    SetGroup(GroupName, Option<u32>),
    RemoveGroup(GroupName),
    Pass(TimeSpan),
    SystemctlStart(ExperimentId),
    SystemctlStop(ExperimentId),
    Enable(ExperimentId, bool),
    /// Killed at the so many-th crossing between it and its ports.
    Kill(u64),
    StopCoordinator,
    StartCoordinator,
    Reboot {
        in_good_order: bool,
        coordinator_is_there: bool,
    },
    Store(Option<LedgerFault>),
    Bus {
        lost: bool,
    },
    FailStart(StartFault),
    Clock {
        micros: i64,
    },
    Reload(CoordinatorSettings),
    Signals(Noise),
    Redefine(ExperimentId),
    Memory {
        others: Bytes,
        pressure: Option<Percent>,
        unreadable: bool,
    },
    KillHook,
    /// It is too hot for anything, or cool again.
    Heat(bool),
    /// An experiment has more of the GPU's memory than any may, or none has any longer.
    Greedy(Option<ExperimentId>),
    /// The journal has lost what it was told.
    LoseJournal,
}

const GROUPS: [&str; 3] = ["default", "small", "night"];
const EXPERIMENTS: usize = 10;
/// Length of the queue from which no more runs are submitted.
const FULL: usize = 40;
/// So many steps does a fault last, as a rule.
const MENDED_AFTER: u8 = 8;
const MIB: u64 = 1 << 20;
/// What each may have of the GPU's memory. Here it is not the machine's, so that it is no claim.
pub(crate) const GPU_MEMORY: Bytes = Bytes::new(1 << 30);

impl World {
    pub(crate) fn define_all(&mut self) {
        for at in 0..EXPERIMENTS {
            let id = ExperimentId::new(&format!("x{at}")).expect("it is a plain word");
            self.ids.push(id.clone());
            self.define(&id);
        }
    }

    /// Gives an experiment a definition and attempts that fit it.
    pub(crate) fn define(&mut self, id: &ExperimentId) {
        let mut spec = ExperimentSpec::new(id.clone(), vec!["x".to_owned()]);
        spec.policy.environment = VariablePattern::new("SEED").ok().map(|seed| vec![seed]);
        let memory =
            self.dice.choice([None, Some(100), Some(400), Some(400), Some(900), Some(1500)]);
        let memory = memory.flatten().map(|mib: u64| Bytes::new(mib * MIB));
        let limit = memory.map(|memory| MemoryLimit::Absolute(Limit::At(memory)));
        spec.limits = LimitsSpec { memory: limit, ..LimitsSpec::default() };
        spec.gpu.access = self.dice.u8(..4) == 0;
        spec.gpu.exclusive = spec.gpu.access && self.dice.bool();
        spec.gpu.memory = Some(MemoryLimit::Absolute(Limit::At(GPU_MEMORY)));
        spec.queue.group = self.dice.choice(GROUPS).map(ToOwned::to_owned);
        spec.restart = RestartSpec {
            delay: TimeSpan::from_secs(self.dice.u32(1..20)),
            burst: self.dice.u32(2..5),
            on_reboot: [OnReboot::Resume, OnReboot::Resume, OnReboot::Requeue, OnReboot::Hold]
                [self.dice.usize(..4)],
            rerun_at_boot: self.dice.u8(..4) == 0,
            ..RestartSpec::default()
        };
        if self.dice.bool() {
            spec.health.stall_after = Some(TimeSpan::from_secs(self.dice.u32(30..200)));
            self.some_pace(id);
        }
        let mut attempts = Vec::new();
        for _ in 0..self.dice.usize(1..5) {
            attempts.push(self.attempt());
        }
        let script = Script {
            attempts,
            restart: spec.restart.clone(),
            leaves_after: TimeSpan::from_secs(self.dice.choice([0, 0, 3, 200]).unwrap_or(0)),
            ..Script::default()
        };
        self.machine.units.define(id, script);
        self.machine.board.set_usage(id, memory.unwrap_or(Bytes::new(50 * MIB)));
        self.machine.definitions.define(spec);
    }

    fn attempt(&mut self) -> ScriptedAttempt {
        let end = match self.dice.u8(..16) {
            0 => ScriptedEnd::Exit(1),
            1 => ScriptedEnd::Signal,
            2 => ScriptedEnd::OomKill,
            3 => ScriptedEnd::Exit(75),
            4 => ScriptedEnd::Exit(78),
            5 => ScriptedEnd::Watchdog,
            6 => ScriptedEnd::NeverUp,
            7 => ScriptedEnd::TimeLimit,
            _ => ScriptedEnd::Exit(0),
        };
        let hangs = self.dice.u8(..12) == 0;
        let lasts = self.dice.u32(1..=600).min(self.dice.u32(1..=600));
        ScriptedAttempt { lasts: (!hangs).then(|| TimeSpan::from_secs(lasts)), end }
    }

    /// What comes next. Without accidents only people and time do something.
    pub(crate) fn next_step(&mut self) -> Step {
        // What is broken is mended soon: while it is, little happens.
        if self.dice.u8(..MENDED_AFTER) == 0 {
            if self.store_fails {
                return Step::Store(None);
            }
            if self.bus_is_lost {
                return Step::Bus { lost: false };
            }
            if self.is_hot {
                return Step::Heat(false);
            }
            if self.greedy.is_some() {
                return Step::Greedy(None);
            }
            if self.coordinator.is_none() {
                return Step::StartCoordinator;
            }
        }
        if self.dice.u8(..100) < self.temper {
            return self.some_accident();
        }
        match self.dice.u8(..100) {
            0..32 => Step::Pass(TimeSpan::from_micros(self.some_time())),
            32..52 => self.some_submission(),
            52..66 => self.some_act(),
            66..69 => Step::Edit(self.some_run(), self.some_edit()),
            69..72 => self.some_group(),
            72..78 => Step::SystemctlStart(self.some_id()),
            78..80 => Step::SystemctlStop(self.some_id()),
            80..81 => Step::Enable(self.some_id(), self.dice.bool()),
            81..82 => Step::Redefine(self.some_id()),
            82..84 => Step::Reload(self.some_settings()),
            84..85 => Step::Memory {
                others: Bytes::new(self.dice.choice([0, 0, 5_000, 7_500]).unwrap_or(0) * MIB),
                pressure: self
                    .dice
                    .choice([None, Some(0), Some(10), Some(60)])
                    .flatten()
                    .map(Percent::new),
                unreadable: self.dice.u8(..6) == 0,
            },
            _ => self.some_accident(),
        }
    }

    fn some_accident(&mut self) -> Step {
        match self.dice.u8(..38) {
            0..9 => Step::Kill(self.dice.u64(1..60)),
            9..11 => Step::StopCoordinator,
            11..14 => Step::StartCoordinator,
            14..17 => Step::Reboot {
                in_good_order: self.dice.bool(),
                coordinator_is_there: self.dice.u8(..5) > 0,
            },
            17..19 => Step::Store(Some(if self.dice.bool() {
                LedgerFault::Busy
            } else {
                LedgerFault::Full
            })),
            19..21 => Step::Store(None),
            21..22 => Step::Bus { lost: true },
            22..24 => Step::Bus { lost: false },
            24..26 => Step::FailStart(if self.dice.bool() {
                StartFault::Refused
            } else {
                StartFault::TimedOut
            }),
            26..28 => Step::Clock { micros: self.dice.i64(-6 * 3_600..6 * 3_600) * 1_000_000 },
            28..30 => Step::Signals(Noise {
                lost: self.dice.choice([0, 0, 20]).unwrap_or(0),
                doubled: self.dice.choice([0, 30]).unwrap_or(0),
                late: self.dice.choice([0, 30]).unwrap_or(0),
            }),
            30..31 => Step::LoseJournal,
            31..34 => Step::KillHook,
            34..36 => Step::Heat(!self.is_hot),
            _ => Step::Greedy(Some(self.some_that_is_up())),
        }
    }

    fn some_time(&mut self) -> u64 {
        match self.dice.u8(..4) {
            0 => self.dice.u64(1..1_000_000),
            1 => self.dice.u64(1..10_000_000),
            2 => self.dice.u64(1..60_000_000),
            _ => self.dice.u64(1..400_000_000),
        }
    }

    pub(crate) fn some_id(&mut self) -> ExperimentId {
        self.ids[self.dice.usize(..self.ids.len())].clone()
    }

    fn some_that_is_up(&mut self) -> ExperimentId {
        let up = self.machine.units.up();
        self.dice.choice(up).unwrap_or_else(|| self.some_id())
    }

    fn queued(&self) -> Vec<RunId> {
        let queue = self.machine.store.load().unwrap_or_default();
        queue.runs.into_iter().map(|run| run.run).collect()
    }

    fn some_queued(&mut self) -> Option<RunId> {
        let queued = self.queued();
        self.dice.choice(queued)
    }

    /// Mostly one that is there.
    fn some_run(&mut self) -> RunRef {
        match (self.dice.u8(..10), self.some_queued()) {
            (0, _) => RunRef::Run(RunId {
                experiment: self.some_id(),
                number: RunNumber(self.dice.u32(1..20)),
            }),
            (1..3, _) | (_, None) => RunRef::Newest(self.some_id()),
            (_, Some(run)) => RunRef::Run(run),
        }
    }

    fn some_dependencies(&mut self) -> Dependencies {
        let mut list = Vec::new();
        for _ in 0..self.dice.usize(0..3) {
            let condition = if self.dice.bool() { Condition::Success } else { Condition::End };
            list.push(Dependency { condition, on: self.some_run() });
        }
        if self.dice.bool() { Dependencies::All(list) } else { Dependencies::Any(list) }
    }

    fn set_some_start(&mut self, submit: &mut Submit) {
        let seconds = self.dice.u32(0..1_800);
        if self.dice.bool() {
            submit.delay = Some(TimeSpan::from_secs(seconds));
            return;
        }
        submit.not_before = Some(self.machine.clock.at() + TimeSpan::from_secs(seconds));
    }

    fn some_submission(&mut self) -> Step {
        if self.queued().len() > FULL {
            return Step::Pass(TimeSpan::from_secs(300));
        }
        let mut runs = Vec::new();
        for _ in 0..self.dice.choice([1, 1, 1, 2, 5]).unwrap_or(1) {
            let mut submit = Submit::new(self.some_id());
            submit.priority = (self.dice.u8(..4) == 0).then(|| self.dice.i32(-2..3));
            submit.group = (self.dice.u8(..4) == 0).then(|| self.some_group_name());
            submit.after = (self.dice.u8(..5) == 0).then(|| self.some_dependencies());
            if self.dice.u8(..8) == 0 {
                self.set_some_start(&mut submit);
            }
            submit.hold = self.dice.u8(..10) == 0;
            submit.now = self.dice.u8(..16) == 0;
            if self.dice.u8(..4) == 0 {
                submit.extras = format!("environment.SEED = \"{}\"\n", self.dice.u8(..3));
            }
            runs.push(submit);
        }
        Step::Submit(runs)
    }

    fn some_act(&mut self) -> Step {
        let mut runs = vec![self.some_run()];
        if self.dice.u8(..4) == 0 {
            runs.push(self.some_run());
        }
        let beside = self.some_queued();
        let act = match self.dice.u8(..16) {
            0..2 => Act::Hold,
            2..6 => Act::Release,
            6..8 => Act::Cancel,
            8..10 => Act::Requeue,
            10..12 => Act::Stop,
            12..14 => Act::Prioritize { priority: self.dice.i32(-2..3) },
            _ => Act::Move {
                to: match (self.dice.u8(..4), beside) {
                    (0, _) | (_, None) => MoveTo::First,
                    (1, _) => MoveTo::Last,
                    (2, Some(other)) => MoveTo::Before(other),
                    (_, Some(other)) => MoveTo::Behind(other),
                },
            },
        };
        Step::Act(runs, act)
    }

    fn some_edit(&mut self) -> Edit {
        Edit {
            priority: self.dice.bool().then(|| self.dice.i32(-2..3)),
            group: (self.dice.u8(..3) == 0).then(|| self.some_group_name()),
            after: (self.dice.u8(..3) == 0).then(|| self.some_dependencies()),
            any_time: self.dice.u8(..3) == 0,
            now: (self.dice.u8(..6) == 0).then(|| self.dice.bool()),
            ..Edit::default()
        }
    }

    fn some_group_name(&mut self) -> GroupName {
        GROUPS[self.dice.usize(..GROUPS.len())].parse().expect("it is a plain word")
    }

    fn some_group(&mut self) -> Step {
        let name = self.some_group_name();
        match self.dice.u8(..16) {
            0 => Step::Pause(None, true),
            1 => Step::Pause(Some(name), true),
            2..7 => Step::Pause(None, false),
            7..10 => Step::Pause(Some(name), false),
            10..14 => Step::SetGroup(name, self.dice.choice([None, Some(1), Some(2)]).flatten()),
            _ => Step::RemoveGroup(name),
        }
    }

    fn some_settings(&mut self) -> CoordinatorSettings {
        let mut settings = CoordinatorSettings::default();
        settings.max_concurrent = self.dice.choice([None, Some(1), Some(2), Some(3)]).flatten();
        let budget = self.dice.choice([None, Some(1_000), Some(1_000), Some(2_000)]).flatten();
        settings.total_memory =
            budget.map(|mib: u64| MemoryLimit::Absolute(Limit::At(Bytes::new(mib * MIB))));
        settings.max_bypass = self.dice.choice([None, Some(0), Some(2)]).flatten();
        settings.boot_grace =
            self.dice.choice([None, None, Some(60)]).flatten().map(TimeSpan::from_secs);
        settings.health_check_interval =
            self.dice.choice([None, Some(300)]).flatten().map(TimeSpan::from_secs);
        if self.dice.bool() {
            settings.groups.insert(self.some_group_name(), self.dice.u32(1..3));
        }
        settings
    }
}
