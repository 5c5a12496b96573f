//! A simulated experiment that produces heat.

use bij_core::{ExperimentId, Percent, TimeSpan, Uptime};

/// How the load of an experiment on its processors changes over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum LoadShape {
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

impl LoadShape {
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

/// The restraints of an experiment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JobRestraint {
    /// Cap of its processor time; 100 % is one processor.
    pub cap: Option<Percent>,
    /// Whether it is frozen.
    pub frozen: bool,
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
pub(super) struct HeatJob {
    pub(super) experiment: ExperimentId,
    pub(super) priority: i32,
    /// CPU limit of its definition, in percent of one processor.
    pub(super) cpu: f64,
    /// Processor time that it uses of that limit under full load.
    pub(super) uses: f64,
    /// Heat that it produces on the GPU, in percent of one processor.
    pub(super) gpu: f64,
    pub(super) shape: LoadShape,
    /// Remaining work, in seconds of one processor; `None` is without end.
    pub(super) left: Option<f64>,
    pub(super) phase: JobPhase,
    pub(super) since: f64,
    /// Processor time since its start, in seconds.
    pub(super) cpu_time: f64,
    pub(super) restraint: JobRestraint,
}

impl HeatJob {
    /// Returns its pace at a time, as a share of full speed, before experiments share the board.
    /// Processors and GPU run at the same pace.
    pub(super) fn pace(&self, at: f64) -> f64 {
        let pace = match self.phase {
            JobPhase::Waiting | JobPhase::Done => 0.0,
            JobPhase::Starting(_) | JobPhase::Stopping(_) => 1.0,
            JobPhase::Working => self.shape.at(at),
        };
        if self.restraint.frozen && !matches!(self.phase, JobPhase::Stopping(_)) {
            return 0.0;
        }
        self.restraint.cap.map_or(pace, |cap| pace.min(percent_of_one(cap) / self.uses))
    }

    /// Advances the time in seconds while it uses this much of processors and GPU. Returns the work
    /// done.
    pub(super) fn pass(&mut self, seconds: f64, demand: f64) -> f64 {
        let mut done = 0.0;
        match &mut self.phase {
            JobPhase::Waiting | JobPhase::Done => {}
            JobPhase::Starting(_) if self.restraint.frozen => {}
            JobPhase::Starting(left) => {
                *left -= seconds;
                if *left <= 0.0 {
                    self.phase = JobPhase::Working;
                }
            }
            JobPhase::Stopping(left) => {
                *left -= seconds;
                if *left <= 0.0 {
                    (self.phase, self.restraint) = (JobPhase::Waiting, JobRestraint::default());
                }
            }
            JobPhase::Working => {
                done = demand / 100.0 * seconds;
                if let Some(left) = &mut self.left {
                    *left -= done;
                    if *left <= 0.0 {
                        (self.phase, self.restraint) = (JobPhase::Done, JobRestraint::default());
                    }
                }
            }
        }
        done
    }

    pub(super) fn is_up(&self) -> bool {
        !matches!(self.phase, JobPhase::Waiting | JobPhase::Done)
    }
}

/// Converts into percent of one processor, as a float.
fn percent_of_one(percent: Percent) -> f64 {
    f64::from(u32::try_from(percent.permyriad()).unwrap_or(u32::MAX)) / 100.0
}

/// A running experiment, as a thermal policy sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningJob {
    /// The id of the experiment.
    pub experiment: ExperimentId,
    /// The lowest priority is restrained first.
    pub priority: i32,
    /// Uptime at its start.
    pub since: Uptime,
    /// CPU limit of its definition; 100 % is one processor.
    pub cpu: Percent,
    /// Processor time that it has used since its start.
    pub cpu_time: TimeSpan,
    /// Whether it uses the GPU.
    pub uses_gpu: bool,
    /// The restraints in force.
    pub restraint: JobRestraint,
}
