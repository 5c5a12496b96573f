//! Thermal control: reads the temperatures of the board and carries out the decisions of the ladder, on its own thread.
//!
//! It shares only messages with the loop, and never waits for them. It has its own connection to the service manager,
//! and needs no store, so it also acts while the disk is full, the database is locked, or the loop waits for either.

mod capabilities;
mod execute;
mod gpu_clock_limit;
mod restraint_file;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bij_cgroup::CgroupRoot;
use bij_coordinator::thermal::{
    Ladder, RunningExperiments, ThermalAction, ThermalCapabilities, ThermalDecision, ThermalLevel,
    ThermalLoad, ThermalObservation, ThermalReason, ThermalSettings, ThermalStatus,
};
use bij_coordinator::{Clock as _, Handle, Ports};
use bij_core::port::{Board, UnitManager as _};
use bij_core::{ExperimentId, TimeSpan, UnitStatus};
use bij_host::HostContext;
use bij_jetson::Hardware;
use bij_systemd::experiment::SystemdUnits;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::journal::log_thermal_decision;
use super::{HandoverFiles, SystemClock};
use execute::ChangeOutcome;
use gpu_clock_limit::GpuClockLimit;
use restraint_file::ActiveRestraints;

/// Time for the service manager to list active units. While the board is hot it is asked instead of the loop, which may
/// be blocked.
const LIST_TIMEOUT: Duration = Duration::from_millis(500);
/// Time for lifting all restraints when the coordinator ends.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for the settings from the loop, which opens the store first.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(2);
/// How many times longer the interval is while no experiment runs, to let an idle board sleep. A start ends it at once.
const IDLE_FACTOR: u32 = 4;
/// Largest number of decisions that wait to be reported to the loop, which keeps no more itself.
const MAX_UNREPORTED: usize = 256;

/// Thermal control that has not started yet.
pub(super) struct ThermalControl<P: Ports> {
    pub(super) machine: Hardware,
    pub(super) handle: Handle<P>,
    pub(super) units: SystemdUnits,
    pub(super) host: HostContext,
}

/// The thread of thermal control, which ends when this is dropped.
pub(super) struct ThermalThread {
    /// Ends the thread when it is dropped.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl<P: Ports> ThermalControl<P> {
    /// Spawns the thread.
    pub(super) fn spawn(self) -> Result<ThermalThread> {
        let (end, ended) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot build a runtime")?;
        let control = move || runtime.block_on(ThermalLoop::new(self).run(ended));
        let thread = thread::Builder::new().name("heat".to_owned()).spawn(control);
        let thread = thread.context("cannot spawn a thread")?;
        Ok(ThermalThread { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for ThermalThread {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // The thread has logged its errors itself.
            let _ = thread.join();
        }
    }
}

struct ThermalLoop<P: Ports> {
    machine: Hardware,
    is_jetson: bool,
    handle: Handle<P>,
    units: Arc<SystemdUnits>,
    handover: HandoverFiles,
    running: watch::Receiver<Arc<RunningExperiments>>,
    ladder: Ladder,
    restraints: ActiveRestraints,
    capabilities: ThermalCapabilities,
    gpu: GpuClockLimit<Hardware>,
    pending: JoinSet<ChangeOutcome>,
    /// The status that the loop has, and the decisions that it does not have yet.
    reported: Option<ThermalStatus>,
    unreported: VecDeque<ThermalDecision>,
}

impl<P: Ports> ThermalLoop<P> {
    fn new(control: ThermalControl<P>) -> Self {
        let ThermalControl { machine, handle, units, host } = control;
        let restraints = ActiveRestraints::load(host.layout());
        Self {
            is_jetson: machine.sample().identity.is_jetson(),
            gpu: GpuClockLimit::resume(machine.clone(), restraints.gpu().cloned()),
            machine,
            running: handle.running_experiments(),
            handle,
            units: Arc::new(units),
            handover: HandoverFiles::new(host),
            ladder: Ladder::taking_over(ThermalSettings::default(), restraints.each()),
            restraints,
            capabilities: capabilities::read(Path::new(CgroupRoot::MOUNT_POINT)),
            pending: JoinSet::new(),
            reported: None,
            unreported: VecDeque::new(),
        }
    }

    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        // If the loop sends no settings in time, start with the defaults.
        let settings = self.running.wait_for(|running| running.settings.is_some());
        let _ = timeout(SETTINGS_TIMEOUT, settings).await;
        loop {
            self.tick().await;
            let pause = self.ladder.observation_interval().as_duration();
            let is_idle = self.is_idle();
            let pause = if is_idle { pause * IDLE_FACTOR } else { pause };
            tokio::select! {
                // `ThermalThread` was dropped.
                _ = &mut ended => break,
                () = sleep(pause) => {}
                // If the loop has ended, this thread is about to end too.
                Ok(()) = self.running.changed(), if is_idle => {}
            }
        }
        // A change that is under way may be just what would be undone here.
        self.pending.shutdown().await;
        if timeout(RELEASE_TIMEOUT, self.release()).await.is_err() {
            log::warn!("heat: could not lift all restraints in time");
        }
    }

    /// Returns whether no experiment runs and no restraint is in force.
    fn is_idle(&self) -> bool {
        *self.ladder.level() == ThermalLevel::Normal && self.running.borrow().loads.is_empty()
    }

    /// Reads the temperatures once, and starts what the ladder decides.
    async fn tick(&mut self) {
        while let Some(done) = self.pending.try_join_next() {
            self.record_outcome(done.ok());
        }
        let running = self.running.borrow_and_update().clone();
        let Some(settings) = ThermalSettings::in_force(&running, self.is_jetson) else {
            if running.settings.is_some() {
                self.stand_down().await;
            }
            return self.report(&running, Vec::new());
        };
        self.ladder.set_settings(settings);
        let mut loads = self.loads(&running).await;
        self.read_gpu_clock(&running, &mut loads);
        // Until the loop has sent its settings, it knows of no active experiment.
        if running.settings.is_some() {
            let reason = ThermalReason::Unreadable("it is down".to_owned());
            for (experiment, change) in self.restraints.lifts_of_inactive(&loads) {
                self.start_change(&experiment, change, &reason);
            }
        }
        let observation = ThermalObservation {
            uptime: SystemClock.now().uptime,
            zones: &Board::zones(&self.machine),
            loads: &loads,
            processors: self.capabilities.processors(),
            gpu: self.gpu.reading(),
        };
        let decisions = self.ladder.observe(&observation);
        for decision in &decisions {
            log_thermal_decision(decision);
            self.execute(decision);
        }
        self.report(&running, decisions);
    }

    /// Carries out a decision; a change of an experiment's restraint is only started.
    fn execute(&mut self, ThermalDecision { action, reason }: &ThermalDecision) {
        match action {
            // The status that is reported to the loop puts starts on hold.
            ThermalAction::Hold | ThermalAction::Admit => {}
            ThermalAction::CapGpu { to } => self.cap_gpu(*to),
            ThermalAction::UncapGpu => self.lift_gpu(),
            ThermalAction::Restrain { experiment, change } => {
                self.start_change(experiment, *change, reason);
            }
        }
    }

    /// Lifts all restraints and resets the ladder, because thermal control is off.
    async fn stand_down(&mut self) {
        self.release().await;
        if *self.ladder.level() != ThermalLevel::Normal {
            self.ladder = Ladder::new(ThermalSettings::default());
        }
    }

    /// Returns the active experiments as the loop knows them; while the board is hot, as the service manager lists them.
    async fn loads(&self, running: &RunningExperiments) -> Vec<ThermalLoad> {
        let known = running.loads.iter().map(|load| self.capabilities.restrict(load));
        if self.ladder.is_calm() && running.settings.is_some() {
            return known.collect();
        }
        let Ok(Ok(list)) = timeout(LIST_TIMEOUT, self.units.list()).await else {
            return known.collect();
        };
        let known: BTreeMap<ExperimentId, ThermalLoad> =
            known.map(|load| (load.experiment.clone(), load)).collect();
        let up = list.into_iter().filter(|unit| !unit.active_state.is_down());
        let load = |unit: UnitStatus| {
            let nanos = unit.resources.cpu_usage_nsec;
            let cpu_time = nanos.map(TimeSpan::from_nanos);
            let known = known.get(&unit.id).cloned();
            ThermalLoad {
                cpu_time,
                ..known.unwrap_or_else(|| self.capabilities.unknown_experiment(unit.id))
            }
        };
        up.map(load).collect()
    }

    /// Reads the GPU's clock, if it may be limited and an experiment uses it; updates `can_cap_gpu` of the experiments.
    fn read_gpu_clock(&mut self, running: &RunningExperiments, loads: &mut [ThermalLoad]) {
        if !running.cap_gpu.unwrap_or(self.is_jetson) {
            self.lift_gpu();
            self.gpu.clear_reading();
        } else if self.gpu.saved().is_some() || loads.iter().any(|load| load.can_cap_gpu) {
            if let Some(foreign) = self.gpu.read() {
                log::info!(
                    "heat: the GPU's clock limit was changed to {foreign} from outside; leaving it"
                );
                self.restraints.set_gpu(None);
            }
        } else {
            self.gpu.clear_reading();
        }
        let can_cap = self.gpu.reading().is_some();
        for load in loads {
            load.can_cap_gpu &= can_cap;
        }
    }

    /// Reports the status and the decisions to the loop, without waiting for it.
    fn report(&mut self, running: &RunningExperiments, decisions: Vec<ThermalDecision>) {
        self.unreported.extend(decisions);
        while self.unreported.len() > MAX_UNREPORTED {
            self.unreported.pop_front();
        }
        let status = self.ladder.status(running, self.capabilities.processors());
        let has_changed =
            self.reported.as_ref().is_none_or(|reported| status.differs_notably(reported));
        if !has_changed && self.unreported.is_empty() {
            return;
        }
        let decisions = self.unreported.iter().cloned().collect();
        if self.handle.report_thermal(status.clone(), decisions).is_ok() {
            self.unreported.clear();
            self.reported = Some(status);
        }
    }
}
