//! A machine with a coordinator on it, and what befalls both.

use std::collections::{BTreeMap, BTreeSet};

use bij_coordinator::{Coordinator, Now};
use bij_core::queue::GoingDown;
use bij_core::{Bytes, CoordinatorSettings, ExperimentId, RunId, TimeSpan, Timestamp, Uptime};
use bij_sim::{KillSwitch, SimMachine, UnitFault};

use crate::chronicle::Chronicle;
use crate::door::Door;
use crate::pace::Pace;
use crate::ports::{SimCoordinator, adapters};

/// What the machine has.
pub(crate) const MEMORY: Bytes = Bytes::new(8 << 30);
/// So soon is a coordinator back that was killed: `RestartSec=` of its unit.
const COMES_BACK_AFTER: TimeSpan = TimeSpan::from_secs(1);
/// How many accidents there are, by seed.
const TEMPERS: [u8; 4] = [0, 5, 15, 40];
/// So long can a shutdown take at most: every unit has its grace.
const SHUTDOWN: usize = 200;

/// What of the bus's signals arrives, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noise {
    pub(crate) lost: u8,
    pub(crate) doubled: u8,
    pub(crate) late: u8,
}

#[expect(clippy::struct_excessive_bools, reason = "each of them happens without the others")]
pub(crate) struct World {
    pub(crate) machine: SimMachine,
    pub(crate) coordinator: Option<SimCoordinator>,
    pub(crate) kill_switch: KillSwitch,
    pub(crate) door: Door,
    pub(crate) settings: CoordinatorSettings,
    pub(crate) dice: fastrand::Rng,
    /// So many steps of a hundred are accidents, besides those that happen anyway.
    pub(crate) temper: u8,
    pub(crate) chronicle: Chronicle,
    pub(crate) ids: Vec<ExperimentId>,
    /// How far experiments come that tell it.
    pub(crate) paces: BTreeMap<ExperimentId, Pace>,
    /// The uptime at which something last was in the way of the coordinator.
    pub(crate) disturbed: Uptime,
    pub(crate) noise: Noise,
    /// Whether the coordinator's socket is there; it is while one was killed, too.
    pub(crate) socket: bool,
    /// The uptime at which a coordinator comes (back).
    pub(crate) comes_at: Option<Uptime>,
    /// Since when hooks ask in vain.
    pub(crate) in_vain: BTreeMap<ExperimentId, Uptime>,
    /// For which run a start was admitted whose attempt has not begun.
    pub(crate) admitted: BTreeMap<ExperimentId, RunId>,
    /// Starts of the boot that have not been answered.
    pub(crate) booting: BTreeSet<ExperimentId>,
    /// Signals that are on their way, and the uptime at which they arrive.
    pub(crate) signals: Vec<(Uptime, ExperimentId)>,
    pub(crate) bus_is_lost: bool,
    pub(crate) store_fails: bool,
    pub(crate) is_hot: bool,
    /// Who has more of the GPU's memory than it may, whenever it is up.
    pub(crate) greedy: Option<ExperimentId>,
    /// Something was told to the coordinator since its last tick.
    pub(crate) is_awake: bool,
    /// What is under way may have come to its end.
    pub(crate) may_be_finished: bool,
    /// The next `end` hook is killed.
    pub(crate) kills_hook: bool,
    pub(crate) keeps_story: bool,
    pub(crate) lines: Vec<String>,
    pub(crate) wrong: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64, keeps_story: bool) -> Self {
        let mut machine = SimMachine::new(MEMORY, Timestamp::from_micros(1_800_000_000_000_000));
        let settings = CoordinatorSettings::default();
        machine.boot();
        let mut world = Self {
            coordinator: None,
            kill_switch: KillSwitch::default(),
            door: Door::new(&machine, settings.clone(), MEMORY),
            machine,
            settings,
            dice: fastrand::Rng::with_seed(seed),
            temper: TEMPERS[usize::try_from(seed % 4).unwrap_or_default()],
            chronicle: Chronicle::default(),
            ids: Vec::new(),
            paces: BTreeMap::new(),
            disturbed: Uptime::BOOT,
            noise: Noise::default(),
            socket: false,
            comes_at: None,
            in_vain: BTreeMap::new(),
            admitted: BTreeMap::new(),
            booting: BTreeSet::new(),
            signals: Vec::new(),
            bus_is_lost: false,
            store_fails: false,
            is_hot: false,
            greedy: None,
            is_awake: false,
            may_be_finished: false,
            kills_hook: false,
            keeps_story,
            lines: Vec::new(),
            wrong: Vec::new(),
        };
        world.define_all();
        world.coordinator_comes();
        world
    }

    pub(crate) fn now(&self) -> Now {
        Now { at: self.machine.clock.at(), uptime: self.machine.clock.uptime() }
    }

    /// Tells the story to who replays it.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.keeps_story {
            let uptime = self.machine.clock.uptime().as_micros();
            let (seconds, millis) = (uptime / 1_000_000, uptime / 1_000 % 1_000);
            self.lines.push(format!("{seconds:>7}.{millis:03}  {}", line()));
        }
    }

    /// What should not be, is.
    pub(crate) fn is_wrong(&mut self, invariant: &str, found: Result<(), String>) {
        if let Err(what) = found {
            self.wrong.push(format!("{invariant}: {what}"));
        }
    }

    /// A coordinator opens what is in the store. One that cannot is tried again, as its unit is.
    pub(crate) fn coordinator_comes(&mut self) {
        self.comes_at = None;
        self.disturbed = self.machine.clock.uptime();
        self.kill_switch.disarm();
        self.door = Door::new(&self.machine, self.settings.clone(), MEMORY);
        let adapters = adapters(&self.machine, self.door.clone(), &self.kill_switch);
        let (boot, now) = (self.machine.boot_id(), self.now());
        match Coordinator::open(adapters, boot, self.settings.clone(), now) {
            Ok(coordinator) => {
                self.coordinator = Some(coordinator);
                self.socket = true;
                self.is_awake = true;
                self.note(|| "a coordinator comes".to_owned());
                self.report_heat(&[]);
                self.tell_gpu_memory();
                // It looks before it listens.
                self.tick();
            }
            Err(_) => self.comes_back_later(),
        }
    }

    /// The coordinator is gone from one moment to the next.
    pub(crate) fn coordinator_is_killed(&mut self) {
        self.coordinator = None;
        self.kill_switch.disarm();
        self.comes_back_later();
        self.note(|| "the coordinator is killed".to_owned());
    }

    fn comes_back_later(&mut self) {
        self.comes_at = Some(self.machine.clock.uptime() + COMES_BACK_AFTER);
    }

    /// The coordinator stops in good order, and stays away until it is started again.
    pub(crate) fn coordinator_stops(&mut self) {
        self.coordinator = None;
        self.socket = false;
        self.comes_at = None;
        self.kill_switch.disarm();
    }

    /// What befalls a machine whose power is cut, or that is rebooted in good order; then it boots.
    pub(crate) fn reboot(&mut self, in_good_order: bool, coordinator_is_there: bool) {
        if in_good_order {
            self.machine.begin_shutdown();
            self.bus_is_lost = false;
            self.hear_that_it_goes_down();
            for _ in 0..SHUTDOWN {
                self.settle();
                if self.machine.is_down() {
                    break;
                }
                self.pass(TimeSpan::from_secs(1));
            }
        }
        if in_good_order {
            self.machine.finish_shutdown();
        } else {
            self.machine.cut_power();
        }
        self.coordinator_stops();
        self.signals.clear();
        self.in_vain.clear();
        let result = self.read_events();
        self.is_wrong("event numbers grow and every end has its reason", result);
        self.chronicle.boot_is_over(self.machine.store.written());
        self.machine.boot();
        self.note(|| "the machine boots".to_owned());
        self.set_bus_lost(false);
        if coordinator_is_there {
            self.coordinator_comes();
        }
        self.machine.units.start_enabled();
        self.booting = self.machine.units.hooks().into_iter().map(|call| call.id).collect();
    }

    /// The manager says that it goes down; that is lost as easily as all that it says.
    fn hear_that_it_goes_down(&mut self) {
        if self.dice.u8(..100) < self.noise.lost {
            return;
        }
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.set_going_down(GoingDown::Machine, true);
            self.door.set_going_down();
            self.is_awake = true;
        }
    }

    pub(crate) fn set_bus_lost(&mut self, lost: bool) {
        self.bus_is_lost = lost;
        self.machine.units.set_fault(lost.then_some(UnitFault::Unreachable));
        self.may_be_finished = true;
        // A connection that is there again does not know what it has missed.
        if let (false, Some(coordinator)) = (lost, &mut self.coordinator) {
            coordinator.resync();
            self.is_awake = true;
        }
    }

    /// Returns whether no fault is in force at the moment.
    pub(crate) fn is_sound(&self) -> bool {
        let nothing_fails = !self.bus_is_lost && !self.store_fails && self.signals.is_empty();
        // That it is hot is told among them, and is none.
        let has_troubles = |coordinator: &SimCoordinator| {
            coordinator.status().troubles.len() > usize::from(self.is_hot)
        };
        nothing_fails
            && self.coordinator.as_ref().is_some_and(|coordinator| !has_troubles(coordinator))
    }
}
