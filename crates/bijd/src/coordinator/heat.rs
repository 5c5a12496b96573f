//! Watches how hot the board is, and does what the ladder says, on a thread of its own.
//!
//! It shares nothing with the loop but messages that it does not wait for, has its own connection to
//! the service manager, and needs no store: it acts though the disk is full, the database locked, or
//! the loop waits for either.

mod deed;
mod gpu;
mod gpu_rein;
mod in_force;
mod means;
mod warmth;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bij_coordinator::heat::{
    Because, HeatMove, HeatObservation, HeatSettings, HeatStep, Ladder, Level, Living,
};
use bij_coordinator::policy::ThermalStatus;
use bij_coordinator::{Clock as _, Handle, Ports, RunningExperiments};
use bij_core::definition::CoordinatorSettings;
use bij_core::port::{Board, UnitManager as _};
use bij_core::{Celsius, ExperimentId, TimeSpan, UnitStatus};
use bij_host::HostContext;
use bij_jetson::Machine;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::journal::log_heat;
use super::units::Units;
use super::{HandoverFiles, SystemClock};
use deed::{Done, carry_out};
use gpu_rein::GpuRein;
use in_force::InForce;
use means::Means;
use warmth::differs;

/// While it is hot, the service manager is asked who lives, because the loop may be held up; it has so
/// long for an answer.
const LISTS_WITHIN: Duration = Duration::from_millis(500);
/// When the coordinator is asked to end, what is frozen is thawed: nobody would be left to do it.
const LETS_GO_WITHIN: Duration = Duration::from_secs(3);
/// The loop opens the store first, and may have to wait for it.
const FIRST_WORD_WITHIN: Duration = Duration::from_secs(2);
/// While nothing lives it is looked so many times less often, and at once when something does: a board
/// that does nothing need not be woken for that.
const AT_REST: u32 = 4;
/// Thresholds that no machine reaches.
const NEVER: (Celsius, Celsius) = (Celsius::new(200), Celsius::new(210));
/// So many moves wait to be told to the loop; it keeps no more itself.
const UNTOLD: usize = 256;

/// What the watch works with.
pub(super) struct HeatWatch<P: Ports> {
    pub(super) machine: Machine,
    pub(super) handle: Handle<P>,
    pub(super) units: Units,
    pub(super) host: HostContext,
}

/// A watch that goes on until this is dropped.
pub(super) struct Watching {
    /// Dropped, it tells the thread to end.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl<P: Ports> HeatWatch<P> {
    /// Begins to watch.
    pub(super) fn spawn(self) -> Result<Watching> {
        let (end, ended) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("no runtime can be made")?;
        let watch = move || runtime.block_on(Watch::of(self).run(ended));
        let thread = thread::Builder::new().name("heat".to_owned()).spawn(watch);
        let thread = thread.context("no thread can be made")?;
        Ok(Watching { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say that it has not said already.
            let _ = thread.join();
        }
    }
}

struct Watch<P: Ports> {
    machine: Machine,
    is_jetson: bool,
    handle: Handle<P>,
    units: Arc<Units>,
    handover: HandoverFiles,
    lives: watch::Receiver<Arc<RunningExperiments>>,
    ladder: Ladder,
    in_force: InForce,
    means: Means,
    gpu: GpuRein<Machine>,
    under_way: JoinSet<Done>,
    /// What the loop was told last, and what it is still to be told.
    told: Option<ThermalStatus>,
    untold: VecDeque<HeatMove>,
}

impl<P: Ports> Watch<P> {
    fn of(watch: HeatWatch<P>) -> Self {
        let HeatWatch { machine, handle, units, host } = watch;
        let in_force = InForce::left_in(host.layout());
        Self {
            is_jetson: machine.sample().identity.is_jetson(),
            gpu: GpuRein::taking_over(machine.clone(), in_force.gpu().cloned()),
            machine,
            lives: handle.running_experiments(),
            handle,
            units: Arc::new(units),
            handover: HandoverFiles::new(host),
            ladder: Ladder::taking_over(default_settings(), in_force.restraints()),
            in_force,
            means: Means::of(std::path::Path::new("/sys/fs/cgroup")),
            under_way: JoinSet::new(),
            told: None,
            untold: VecDeque::new(),
        }
    }

    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        // Without a word of the loop it is looked all the same, and by the defaults.
        let told = self.lives.wait_for(|lives| lives.settings.is_some());
        let _ = timeout(FIRST_WORD_WITHIN, told).await;
        loop {
            self.look().await;
            let pause = Duration::from_micros(self.ladder.observation_interval().as_micros());
            let rests = self.is_at_rest();
            let pause = if rests { pause * AT_REST } else { pause };
            tokio::select! {
                // Whoever holds the other end has dropped it.
                _ = &mut ended => break,
                () = sleep(pause) => {}
                // A loop that is gone tells nothing; then this ends in a moment as well.
                Ok(()) = self.lives.changed(), if rests => {}
            }
        }
        // A deed that is under way may be just what would be undone here.
        self.under_way.shutdown().await;
        if timeout(LETS_GO_WITHIN, self.let_go()).await.is_err() {
            log::warn!("not all that is held back for heat could be let go in time");
        }
    }

    /// Whether nothing lives that could heat the board, and nothing is done about heat.
    fn is_at_rest(&self) -> bool {
        *self.ladder.level() == Level::Normal && self.lives.borrow().living.is_empty()
    }

    /// One look, and what follows from it.
    async fn look(&mut self) {
        while let Some(done) = self.under_way.try_join_next() {
            self.take_in(done.ok());
        }
        let lives = self.lives.borrow_and_update().clone();
        let Some(settings) = self.thresholds(&lives) else {
            if lives.settings.is_some() {
                self.rest().await;
            }
            return self.tell(&lives, Vec::new());
        };
        self.ladder.set_settings(settings);
        let mut living = self.living(&lives).await;
        self.look_at_gpu(&lives, &mut living);
        // Before the loop has looked, nobody is up by its word.
        let left_behind =
            lives.settings.map(|_| self.in_force.lifts_left_behind(&living)).unwrap_or_default();
        for step in left_behind {
            self.begin(&step, &Because::Unreadable("it is down".to_owned()));
        }
        let zones = Board::zones(&self.machine);
        let (uptime, processors) = (SystemClock.now().uptime, self.means.processors());
        let gpu = self.gpu.seen();
        let seen = HeatObservation { uptime, zones: &zones, living: &living, processors, gpu };
        let moves = self.ladder.observe(&seen);
        for HeatMove { step, because } in &moves {
            log_heat(step, because);
            self.begin(step, because);
        }
        self.tell(&lives, moves);
    }

    /// From where on something is done. On another machine than a Jetson nothing is until somebody
    /// sets a threshold: a PC's processor is as hot as 75 °C at any work, and its firmware sees to it.
    /// A definition that has a limit of its own has that one kept to.
    fn thresholds(&self, lives: &RunningExperiments) -> Option<HeatSettings> {
        let settings = lives.settings.unwrap_or_else(default_settings);
        if self.is_jetson || lives.thresholds_are_set {
            return Some(settings);
        }
        let never = HeatSettings::new(NEVER.0, NEVER.1, settings.interval()).ok();
        never.filter(|_| !lives.limits.is_empty())
    }

    /// Nothing is to be done any more, or not yet.
    async fn rest(&mut self) {
        self.let_go().await;
        if *self.ladder.level() != Level::Normal {
            self.ladder = Ladder::new(default_settings());
        }
    }

    /// Who lives, by the word of the loop, and while it is hot by that of the service manager.
    async fn living(&self, lives: &RunningExperiments) -> Vec<Living> {
        let known = lives.living.iter().map(|one| self.means.bounded(one));
        if self.ladder.is_calm() && lives.settings.is_some() {
            return known.collect();
        }
        let Ok(Ok(list)) = timeout(LISTS_WITHIN, self.units.list()).await else {
            return known.collect();
        };
        let known: BTreeMap<ExperimentId, Living> =
            known.map(|one| (one.experiment.clone(), one)).collect();
        let up = list.into_iter().filter(|unit| !unit.active_state.is_down());
        let living = |unit: UnitStatus| {
            let nanos = unit.resources.cpu_usage_nsec;
            let cpu_time = nanos.map(|nanos| TimeSpan::from_micros(nanos / 1000));
            let known = known.get(&unit.id).cloned();
            Living { cpu_time, ..known.unwrap_or_else(|| self.means.stranger(unit.id)) }
        };
        up.map(living).collect()
    }

    fn begin(&mut self, step: &HeatStep, because: &Because) {
        match step {
            HeatStep::CapGpu { to } => return self.cap_gpu(*to),
            HeatStep::UncapGpu => return self.lift_gpu(),
            _ => self.in_force.take_in(step),
        }
        let (units, handover) = (Arc::clone(&self.units), self.handover.clone());
        let (step, because) = (step.clone(), because.clone());
        self.under_way.spawn(async move { carry_out(&*units, &handover, step, &because).await });
    }

    /// What became of a step.
    fn take_in(&mut self, done: Option<Done>) {
        let Some(Done { step, result: Err(failure) }) = done else { return };
        if let Some(told) = self.means.learn(&step, &failure) {
            log::warn!("heat: {told}");
        }
        if failure.for_good {
            self.in_force.take_back(&step);
        }
        self.ladder.failed(&step);
    }

    /// Tells the loop what there is to tell, without waiting for it.
    fn tell(&mut self, lives: &RunningExperiments, moves: Vec<HeatMove>) {
        self.untold.extend(moves);
        while self.untold.len() > UNTOLD {
            self.untold.pop_front();
        }
        let warmth = self.warmth(lives);
        let is_news = self.told.as_ref().is_none_or(|told| differs(told, &warmth));
        if !is_news && self.untold.is_empty() {
            return;
        }
        let moves = self.untold.iter().cloned().collect();
        if self.handle.heat(warmth.clone(), moves).is_ok() {
            self.untold.clear();
            self.told = Some(warmth);
        }
    }

    /// Lets everything go that is held back.
    async fn let_go(&mut self) {
        self.lift_gpu();
        for step in self.in_force.lifts() {
            let lifted = match &step {
                HeatStep::Thaw { experiment } => self.units.set_frozen(experiment, false).await,
                HeatStep::Uncap { experiment } => self.units.set_cpu_cap(experiment, None).await,
                _ => continue,
            };
            match lifted {
                Ok(_) => self.in_force.take_in(&step),
                Err(error) => log::warn!("heat: {step}: {}", bij_core::error_chain(&error)),
            }
        }
    }
}

fn default_settings() -> HeatSettings {
    let settings = CoordinatorSettings::default();
    HeatSettings::try_from(&settings).expect("the defaults leave room")
}
