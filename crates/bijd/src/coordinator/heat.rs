//! Heat control: reads the temperatures of the board and executes the steps of the ladder, on its own thread.
//!
//! It shares only messages with the loop, and never waits for them. It has its own connection to the service manager,
//! and needs no store, so it also acts while the disk is full, the database is locked, or the loop waits for either.

mod active_restraints;
mod capabilities;
mod execute;
mod gpu;
mod gpu_clock_limit;
mod thermal_status;

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
use bij_jetson::Hardware;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::journal::log_heat;
use super::units::Units;
use super::{HandoverFiles, SystemClock};
use active_restraints::ActiveRestraints;
use capabilities::HeatCapabilities;
use execute::{StepOutcome, execute_step};
use gpu_clock_limit::GpuClockLimit;
use thermal_status::differs;

/// Time for the service manager to list active units. While the board is hot it is asked instead of the loop, which may
/// be blocked.
const LIST_TIMEOUT: Duration = Duration::from_millis(500);
/// Time for lifting all restraints when the coordinator ends.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for the settings from the loop, which opens the store first.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(2);
/// How many times longer the interval is while no experiment runs, to let an idle board sleep. A start ends it at once.
const IDLE_FACTOR: u32 = 4;
/// Thresholds that no machine reaches.
const NEVER: (Celsius, Celsius) = (Celsius::new(200), Celsius::new(210));
/// Largest number of moves that wait to be reported to the loop, which keeps no more itself.
const MAX_UNREPORTED: usize = 256;

/// Heat control that has not started yet.
pub(super) struct HeatWatch<P: Ports> {
    pub(super) machine: Hardware,
    pub(super) handle: Handle<P>,
    pub(super) units: Units,
    pub(super) host: HostContext,
}

/// The thread of heat control, which ends when this is dropped.
pub(super) struct HeatThread {
    /// Ends the thread when it is dropped.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl<P: Ports> HeatWatch<P> {
    /// Spawns the thread.
    pub(super) fn spawn(self) -> Result<HeatThread> {
        let (end, ended) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot build a runtime")?;
        let watch = move || runtime.block_on(HeatLoop::new(self).run(ended));
        let thread = thread::Builder::new().name("heat".to_owned()).spawn(watch);
        let thread = thread.context("cannot spawn a thread")?;
        Ok(HeatThread { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for HeatThread {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // The thread has logged its errors itself.
            let _ = thread.join();
        }
    }
}

struct HeatLoop<P: Ports> {
    machine: Hardware,
    is_jetson: bool,
    handle: Handle<P>,
    units: Arc<Units>,
    handover: HandoverFiles,
    lives: watch::Receiver<Arc<RunningExperiments>>,
    ladder: Ladder,
    restraints: ActiveRestraints,
    capabilities: HeatCapabilities,
    gpu: GpuClockLimit<Hardware>,
    pending: JoinSet<StepOutcome>,
    /// The status that the loop has, and the moves that it does not have yet.
    reported: Option<ThermalStatus>,
    unreported: VecDeque<HeatMove>,
}

impl<P: Ports> HeatLoop<P> {
    fn new(watch: HeatWatch<P>) -> Self {
        let HeatWatch { machine, handle, units, host } = watch;
        let restraints = ActiveRestraints::load(host.layout());
        Self {
            is_jetson: machine.sample().identity.is_jetson(),
            gpu: GpuClockLimit::resume(machine.clone(), restraints.gpu().cloned()),
            machine,
            lives: handle.running_experiments(),
            handle,
            units: Arc::new(units),
            handover: HandoverFiles::new(host),
            ladder: Ladder::taking_over(default_settings(), restraints.to_ladder()),
            restraints,
            capabilities: HeatCapabilities::new(std::path::Path::new("/sys/fs/cgroup")),
            pending: JoinSet::new(),
            reported: None,
            unreported: VecDeque::new(),
        }
    }

    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        // If the loop sends no settings in time, start with the defaults.
        let settings = self.lives.wait_for(|lives| lives.settings.is_some());
        let _ = timeout(SETTINGS_TIMEOUT, settings).await;
        loop {
            self.tick().await;
            let pause = Duration::from_micros(self.ladder.observation_interval().as_micros());
            let is_idle = self.is_idle();
            let pause = if is_idle { pause * IDLE_FACTOR } else { pause };
            tokio::select! {
                // `HeatThread` was dropped.
                _ = &mut ended => break,
                () = sleep(pause) => {}
                // If the loop has ended, this thread is about to end too.
                Ok(()) = self.lives.changed(), if is_idle => {}
            }
        }
        // A execute that is under way may be just what would be undone here.
        self.pending.shutdown().await;
        if timeout(RELEASE_TIMEOUT, self.release()).await.is_err() {
            log::warn!("heat: could not lift all restraints in time");
        }
    }

    /// Returns whether no experiment runs and no restraint is in force.
    fn is_idle(&self) -> bool {
        *self.ladder.level() == Level::Normal && self.lives.borrow().living.is_empty()
    }

    /// Reads the temperatures once, and starts the steps that the ladder decides.
    async fn tick(&mut self) {
        while let Some(done) = self.pending.try_join_next() {
            self.record_outcome(done.ok());
        }
        let lives = self.lives.borrow_and_update().clone();
        let Some(settings) = self.thresholds(&lives) else {
            if lives.settings.is_some() {
                self.stand_down().await;
            }
            return self.report(&lives, Vec::new());
        };
        self.ladder.set_settings(settings);
        let mut living = self.living(&lives).await;
        self.observe_gpu(&lives, &mut living);
        // Until the loop has sent its settings, it knows of no active experiment.
        let obsolete =
            lives.settings.map(|_| self.restraints.lifts_of_inactive(&living)).unwrap_or_default();
        for step in obsolete {
            self.start_step(&step, &Because::Unreadable("it is down".to_owned()));
        }
        let zones = Board::zones(&self.machine);
        let (uptime, processors) = (SystemClock.now().uptime, self.capabilities.processors());
        let gpu = self.gpu.observed();
        let seen = HeatObservation { uptime, zones: &zones, living: &living, processors, gpu };
        let moves = self.ladder.observe(&seen);
        for HeatMove { step, because } in &moves {
            log_heat(step, because);
            self.start_step(step, because);
        }
        self.report(&lives, moves);
    }

    /// Returns the thresholds in force; `None` without heat control. On a machine that is no Jetson there is none until
    /// an operator sets a threshold: a PC's processor reaches 75 °C under any load, and its firmware protects it. The own
    /// limit of a definition is enforced anyway.
    fn thresholds(&self, lives: &RunningExperiments) -> Option<HeatSettings> {
        let settings = lives.settings.unwrap_or_else(default_settings);
        if self.is_jetson || lives.thresholds_are_set {
            return Some(settings);
        }
        let never = HeatSettings::new(NEVER.0, NEVER.1, settings.interval()).ok();
        never.filter(|_| !lives.limits.is_empty())
    }

    /// Lifts all restraints and resets the ladder, because heat control is off.
    async fn stand_down(&mut self) {
        self.release().await;
        if *self.ladder.level() != Level::Normal {
            self.ladder = Ladder::new(default_settings());
        }
    }

    /// Returns the active experiments as the loop knows them; while the board is hot, as the service manager lists them.
    async fn living(&self, lives: &RunningExperiments) -> Vec<Living> {
        let known = lives.living.iter().map(|one| self.capabilities.restrict(one));
        if self.ladder.is_calm() && lives.settings.is_some() {
            return known.collect();
        }
        let Ok(Ok(list)) = timeout(LIST_TIMEOUT, self.units.list()).await else {
            return known.collect();
        };
        let known: BTreeMap<ExperimentId, Living> =
            known.map(|one| (one.experiment.clone(), one)).collect();
        let up = list.into_iter().filter(|unit| !unit.active_state.is_down());
        let living = |unit: UnitStatus| {
            let nanos = unit.resources.cpu_usage_nsec;
            let cpu_time = nanos.map(|nanos| TimeSpan::from_micros(nanos / 1000));
            let known = known.get(&unit.id).cloned();
            Living {
                cpu_time,
                ..known.unwrap_or_else(|| self.capabilities.unknown_experiment(unit.id))
            }
        };
        up.map(living).collect()
    }

    fn start_step(&mut self, step: &HeatStep, because: &Because) {
        match step {
            HeatStep::CapGpu { to } => return self.cap_gpu(*to),
            HeatStep::UncapGpu => return self.lift_gpu(),
            _ => self.restraints.record(step),
        }
        let (units, handover) = (Arc::clone(&self.units), self.handover.clone());
        let (step, because) = (step.clone(), because.clone());
        self.pending.spawn(async move { execute_step(&*units, &handover, step, &because).await });
    }

    /// Records a finished step; a failed one is reported to the ladder.
    fn record_outcome(&mut self, done: Option<StepOutcome>) {
        let Some(StepOutcome { step, result: Err(failure) }) = done else { return };
        if let Some(text) = self.capabilities.record_failure(&step, &failure) {
            log::warn!("heat: {text}");
        }
        if failure.is_permanent {
            self.restraints.revert(&step);
        }
        self.ladder.failed(&step);
    }

    /// Reports the status and the moves to the loop, without waiting for it.
    fn report(&mut self, lives: &RunningExperiments, moves: Vec<HeatMove>) {
        self.unreported.extend(moves);
        while self.unreported.len() > MAX_UNREPORTED {
            self.unreported.pop_front();
        }
        let status = self.thermal_status(lives);
        let has_changed = self.reported.as_ref().is_none_or(|reported| differs(reported, &status));
        if !has_changed && self.unreported.is_empty() {
            return;
        }
        let moves = self.unreported.iter().cloned().collect();
        if self.handle.heat(status.clone(), moves).is_ok() {
            self.unreported.clear();
            self.reported = Some(status);
        }
    }

    /// Lifts all restraints.
    async fn release(&mut self) {
        self.lift_gpu();
        for step in self.restraints.lift_steps() {
            let lifted = match &step {
                HeatStep::Thaw { experiment } => self.units.set_frozen(experiment, false).await,
                HeatStep::Uncap { experiment } => self.units.set_cpu_cap(experiment, None).await,
                _ => continue,
            };
            match lifted {
                Ok(_) => self.restraints.record(&step),
                Err(error) => log::warn!("heat: {step}: {}", bij_core::error_chain(&error)),
            }
        }
    }
}

fn default_settings() -> HeatSettings {
    let settings = CoordinatorSettings::default();
    HeatSettings::try_from(&settings).expect("the default thresholds are valid")
}
