//! An experiment that makes heat.

use bij_core::{ExperimentId, Percent, TimeSpan};

/// How much an experiment would take of its processors as time goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// All, always.
    Steady,
    /// All for so many seconds, then a tenth for as many.
    Bursts(f64),
    /// From nothing to all within so many seconds, then back as slowly.
    Ramp(f64),
    /// From nothing to all within so many seconds, then anew from nothing.
    Sawtooth(f64),
    /// Another share after so many seconds each.
    Random(f64, u64),
}

impl Shape {
    /// The share of its processors at a moment.
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
                // One and the same for the same piece of time, whoever asks in whatever order.
                let piece = (seconds / each).floor().to_bits();
                fastrand::Rng::with_seed(seed ^ piece.rotate_left(17)).f64()
            }
        }
    }
}

/// How an experiment is held back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hand {
    /// A bound on its processor time; 100 % is one processor.
    pub cap: Option<Percent>,
    /// Whether it stands still.
    pub frozen: bool,
}

/// Where an experiment is in its life.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Life {
    /// It was not started, or was stopped, and waits for its start.
    Waits,
    /// It is starting: that heats, but no work is done. So much longer.
    Starts(f64),
    /// It works.
    Works,
    /// It writes its checkpoint: that heats as well. So much longer.
    Leaves(f64),
    /// All of its work is done.
    Done,
}

/// A start loads code, data and a checkpoint.
pub(super) const STARTING: f64 = 10.0;
/// A stop writes a checkpoint.
pub(super) const LEAVING: f64 = 3.0;

/// One experiment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    pub(super) experiment: ExperimentId,
    pub(super) priority: i32,
    /// What its definition lets it take, in percent of one processor.
    pub(super) cpu: f64,
    /// What of that it uses.
    pub(super) uses: f64,
    /// What it makes of the GPU, in the heat of so many percent of a processor.
    pub(super) gpu: f64,
    pub(super) shape: Shape,
    /// How much work there is, in seconds of one processor; none is without end.
    pub(super) left: Option<f64>,
    pub(super) life: Life,
    pub(super) since: f64,
    /// Processor time taken in this life, in seconds.
    pub(super) cpu_time: f64,
    pub(super) hand: Hand,
}

impl Job {
    /// How fast it would go on at a moment, as a share of all it can, if others left room for it. Its
    /// processors and the GPU keep step.
    pub(super) fn pace(&self, at: f64) -> f64 {
        let wants = match self.life {
            Life::Waits | Life::Done => 0.0,
            Life::Starts(_) | Life::Leaves(_) => 1.0,
            Life::Works => self.shape.at(at),
        };
        if self.hand.frozen && !matches!(self.life, Life::Leaves(_)) {
            return 0.0;
        }
        self.hand.cap.map_or(wants, |cap| wants.min(number(cap) / self.uses))
    }

    /// Lets so many seconds pass in which it takes that much of processors and GPU; gives the work done.
    pub(super) fn pass(&mut self, seconds: f64, takes: f64) -> f64 {
        let mut done = 0.0;
        match &mut self.life {
            Life::Waits | Life::Done => {}
            Life::Starts(_) if self.hand.frozen => {}
            Life::Starts(left) => {
                *left -= seconds;
                if *left <= 0.0 {
                    self.life = Life::Works;
                }
            }
            Life::Leaves(left) => {
                *left -= seconds;
                if *left <= 0.0 {
                    (self.life, self.hand) = (Life::Waits, Hand::default());
                }
            }
            Life::Works => {
                done = takes / 100.0 * seconds;
                if let Some(left) = &mut self.left {
                    *left -= done;
                    if *left <= 0.0 {
                        (self.life, self.hand) = (Life::Done, Hand::default());
                    }
                }
            }
        }
        done
    }

    pub(super) fn is_up(&self) -> bool {
        !matches!(self.life, Life::Waits | Life::Done)
    }
}

/// In percent of one processor.
fn number(percent: Percent) -> f64 {
    f64::from(u32::try_from(percent.permyriad()).unwrap_or(u32::MAX)) / 100.0
}

/// An experiment that is up, as one who holds it back sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct SimLiving {
    /// Which.
    pub experiment: ExperimentId,
    /// The lowest is held back first.
    pub priority: i32,
    /// Since when it is up.
    pub since: TimeSpan,
    /// What it takes at most, 100 % is one processor.
    pub cpu: Percent,
    /// The processor time that it has taken so far.
    pub cpu_time: TimeSpan,
    /// Whether it uses the GPU.
    pub uses_gpu: bool,
    /// How it is held back.
    pub hand: Hand,
}
