//! A simulated experiment that produces heat.

use bij_core::{ExperimentId, Percent, TimeSpan};

use crate::thermal::restraint::{Activity, Restraint};

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
    pub(super) since: TimeSpan,
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
