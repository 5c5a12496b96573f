//! The loads for which policies are tested, and the simulated experiments that they consist of.

use std::fmt;
use std::str::FromStr;

use bij_core::{ExperimentId, Percent, Uptime};
use thiserror::Error;

use super::board::GPU;
use crate::thermal::restraint::{Activity, Restraint};

/// The set of experiments that run on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Workload {
    /// One experiment on all processors.
    Constant,
    /// Two experiments on half of the processors each.
    Pair,
    /// Twelve experiments on one processor each.
    ManySmall,
    /// A huge experiment of low priority and a small one of high priority.
    HugeAndSmall,
    /// Half a minute of full load, half a minute of a tenth.
    ShortBursts,
    /// Ten minutes of full load, ten minutes of a tenth.
    LongBursts,
    /// Load that rises for two hours, then falls.
    Ramp,
    /// Load that rises for a quarter of an hour, again and again.
    Sawtooth,
    /// A random load for every five minutes.
    Random,
    /// A queue of experiments of about twenty minutes each, two at a time.
    Queue,
    /// An experiment that keeps the GPU busy with two processors.
    Training,
    /// As training, with a random load for every five minutes.
    Inference,
    /// A training of high priority and a huge experiment of low priority on the processors.
    TrainingAndHuge,
}

/// The error for an unknown name of a load.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name:?} is no load: {known}", known = Workload::ALL.map(Workload::name).join(", "))]
pub struct UnknownWorkload {
    /// The name that was given.
    pub name: String,
}

impl Workload {
    /// All loads, in the order of their output.
    pub const ALL: [Self; 13] = [
        Self::Constant,
        Self::Pair,
        Self::ManySmall,
        Self::HugeAndSmall,
        Self::ShortBursts,
        Self::LongBursts,
        Self::Ramp,
        Self::Sawtooth,
        Self::Random,
        Self::Queue,
        Self::Training,
        Self::Inference,
        Self::TrainingAndHuge,
    ];

    /// Returns the name of the load.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Pair => "pair",
            Self::ManySmall => "many-small",
            Self::HugeAndSmall => "huge-and-small",
            Self::ShortBursts => "short-bursts",
            Self::LongBursts => "long-bursts",
            Self::Ramp => "ramp",
            Self::Sawtooth => "sawtooth",
            Self::Random => "random",
            Self::Queue => "queue",
            Self::Training => "training",
            Self::Inference => "inference",
            Self::TrainingAndHuge => "training-and-huge",
        }
    }

    /// Returns how many experiments may run at the same time.
    pub(super) const fn slots(self) -> usize {
        match self {
            Self::Queue => 2,
            _ => usize::MAX,
        }
    }

    /// Returns the experiments in starting order; none has been started.
    pub(super) fn jobs(self) -> Vec<ModelJob> {
        match self {
            Self::Constant => vec![job("a", 0, 1200, WorkloadShape::Steady)],
            Self::Pair => ["a", "b"].map(|name| job(name, 0, 600, WorkloadShape::Steady)).into(),
            Self::ManySmall => (1..=12)
                .map(|number| {
                    job(&format!("small-{number:02}"), number % 3, 100, WorkloadShape::Steady)
                })
                .collect(),
            Self::HugeAndSmall => {
                vec![
                    job("small", 10, 200, WorkloadShape::Steady),
                    job("huge", 0, 1000, WorkloadShape::Steady),
                ]
            }
            Self::ShortBursts => vec![job("a", 0, 1200, WorkloadShape::Bursts(30.0))],
            Self::LongBursts => vec![job("a", 0, 1200, WorkloadShape::Bursts(600.0))],
            Self::Ramp => vec![job("a", 0, 1200, WorkloadShape::Ramp(7200.0))],
            Self::Sawtooth => vec![job("a", 0, 1200, WorkloadShape::Sawtooth(900.0))],
            Self::Random => vec![job("a", 0, 1200, WorkloadShape::Random(300.0, 1))],
            Self::Queue => (1..=200)
                .map(|number| ModelJob {
                    left: Some(600.0 / 100.0 * 1200.0),
                    ..job(&format!("queued-{number:03}"), 0, 600, WorkloadShape::Steady)
                })
                .collect(),
            Self::Training => vec![on_gpu("a", 0, WorkloadShape::Steady)],
            Self::Inference => vec![on_gpu("a", 0, WorkloadShape::Random(300.0, 2))],
            Self::TrainingAndHuge => {
                vec![
                    on_gpu("training", 10, WorkloadShape::Steady),
                    job("huge", 0, 800, WorkloadShape::Steady),
                ]
            }
        }
    }
}

/// Returns an experiment that keeps the GPU busy. Its CPU limit is twice what it needs.
fn on_gpu(name: &str, priority: i32, shape: WorkloadShape) -> ModelJob {
    ModelJob { uses: 200.0, gpu: GPU, ..job(name, priority, 400, shape) }
}

fn job(name: &str, priority: i32, cpu: u32, shape: WorkloadShape) -> ModelJob {
    let experiment = ExperimentId::new(name).expect("the names above are ids");
    let (phase, restraint) = (JobPhase::Waiting, Restraint::default());
    let (uses, cpu) = (f64::from(cpu), Percent::new(cpu));
    let (gpu, left, since, cpu_time) = (0.0, None, Uptime::BOOT, 0.0);
    ModelJob {
        experiment,
        priority,
        cpu,
        uses,
        gpu,
        shape,
        left,
        phase,
        since,
        cpu_time,
        restraint,
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Workload {
    type Err = UnknownWorkload;

    fn from_str(name: &str) -> Result<Self, UnknownWorkload> {
        let known = Self::ALL.into_iter().find(|load| load.name() == name);
        known.ok_or_else(|| UnknownWorkload { name: name.to_owned() })
    }
}

/// How the load of an experiment on its processors changes over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum WorkloadShape {
    /// Full load, always.
    Steady,
    /// Full load for this time in seconds, then a tenth of it for as long.
    Bursts(f64),
    /// From nothing to full load within this time in seconds, then back as slowly.
    Ramp(f64),
    /// From nothing to full load within this time in seconds, again and again.
    Sawtooth(f64),
    /// A random share for each period of this length in seconds; with a seed.
    Random(f64, u64),
}

impl WorkloadShape {
    /// Returns the share of full load at a time in seconds.
    fn at(self, seconds: f64) -> f64 {
        match self {
            Self::Steady => 1.0,
            Self::Bursts(half) => {
                if (seconds / half).rem_euclid(2.0) < 1.0 {
                    1.0
                } else {
                    0.1
                }
            }
            Self::Ramp(whole) => 1.0 - ((seconds / whole).rem_euclid(2.0) - 1.0).abs(),
            Self::Sawtooth(whole) => (seconds / whole).fract(),
            Self::Random(each, seed) => {
                // The same share for the same period, in whatever order the periods are asked for.
                let piece = (seconds / each).floor().to_bits();
                fastrand::Rng::with_seed(seed ^ piece.rotate_left(17)).f64()
            }
        }
    }
}

/// The phase of a simulated experiment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum JobPhase {
    /// It waits for its start.
    Waiting,
    /// It is starting, which heats but does no work, for this time in seconds.
    Starting(f64),
    /// It does its work.
    Working,
    /// It writes its checkpoint, which heats too, for this time in seconds.
    Stopping(f64),
    /// All of its work is done.
    Done,
}

/// Seconds of a start, which loads code, data and a checkpoint.
pub(super) const START_SECONDS: f64 = 10.0;
/// Seconds of a stop, which writes a checkpoint.
pub(super) const STOP_SECONDS: f64 = 3.0;

/// A simulated experiment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ModelJob {
    pub(super) experiment: ExperimentId,
    pub(super) priority: i32,
    /// CPU limit of its definition; 100 % is one processor.
    pub(super) cpu: Percent,
    /// Processor time that it uses of that limit under full load.
    pub(super) uses: f64,
    /// Heat that it produces on the GPU, in percent of one processor.
    pub(super) gpu: f64,
    pub(super) shape: WorkloadShape,
    /// Remaining work, in seconds of one processor; `None` is without end.
    pub(super) left: Option<f64>,
    pub(super) phase: JobPhase,
    pub(super) since: Uptime,
    /// Processor time since its start, in seconds.
    pub(super) cpu_time: f64,
    pub(super) restraint: Restraint,
}

impl ModelJob {
    /// Returns its pace at a time, as a share of full speed, before experiments share the board.
    /// Processors and GPU run at the same pace.
    pub(super) fn pace(&self, at: f64) -> f64 {
        let pace = match self.phase {
            JobPhase::Waiting | JobPhase::Done => 0.0,
            JobPhase::Starting(_) | JobPhase::Stopping(_) => 1.0,
            JobPhase::Working => self.shape.at(at),
        };
        if self.is_frozen() && !matches!(self.phase, JobPhase::Stopping(_)) {
            return 0.0;
        }
        self.restraint.cap.map_or(pace, |cap| pace.min(cap.percents() / self.uses))
    }

    /// Advances the time in seconds while it uses this much of processors and GPU. Returns the work
    /// done.
    pub(super) fn pass(&mut self, seconds: f64, demand: f64) -> f64 {
        let mut done = 0.0;
        let is_frozen = self.is_frozen();
        match &mut self.phase {
            JobPhase::Waiting | JobPhase::Done => {}
            JobPhase::Starting(_) if is_frozen => {}
            JobPhase::Starting(left) => {
                *left -= seconds;
                if *left <= 0.0 {
                    self.phase = JobPhase::Working;
                }
            }
            JobPhase::Stopping(left) => {
                *left -= seconds;
                if *left <= 0.0 {
                    (self.phase, self.restraint) = (JobPhase::Waiting, Restraint::default());
                }
            }
            JobPhase::Working => {
                done = demand / 100.0 * seconds;
                if let Some(left) = &mut self.left {
                    *left -= done;
                    if *left <= 0.0 {
                        (self.phase, self.restraint) = (JobPhase::Done, Restraint::default());
                    }
                }
            }
        }
        done
    }

    fn is_frozen(&self) -> bool {
        self.restraint.activity == Activity::Frozen
    }

    pub(super) fn is_up(&self) -> bool {
        !matches!(self.phase, JobPhase::Waiting | JobPhase::Done)
    }
}
