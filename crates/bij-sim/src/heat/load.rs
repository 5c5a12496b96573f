//! Kinds of what may be asked of a board.

use std::fmt;
use std::str::FromStr;

use bij_core::ExperimentId;
use thiserror::Error;

use super::job::{Hand, Job, Life, Shape};
use super::world::GPU;

/// What runs on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Load {
    /// One experiment on all processors.
    Constant,
    /// Two on half of them each.
    Pair,
    /// Twelve on one each.
    ManySmall,
    /// A huge one of low priority beside a small one of high priority.
    HugeAndSmall,
    /// Half a minute of everything, half a minute of next to nothing.
    ShortBursts,
    /// Ten minutes each.
    LongBursts,
    /// More and more for two hours, then less and less.
    Ramp,
    /// More and more for a quarter of an hour, then anew.
    Sawtooth,
    /// Another share every five minutes.
    Random,
    /// A queue of experiments that take some twenty minutes each, two at a time.
    Queue,
    /// One that keeps the GPU busy by two processors.
    Training,
    /// The same with another share every five minutes.
    Inference,
    /// One of high priority that keeps the GPU busy, beside a huge one of low priority that does not.
    TrainingAndHuge,
}

/// There is no such load.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name:?} is no load: {known}", known = Load::ALL.map(Load::name).join(", "))]
pub struct UnknownLoad {
    /// What was asked for.
    pub name: String,
}

impl Load {
    /// All of them.
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

    /// Its name.
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

    /// How many may be up at the same time.
    pub(super) const fn slots(self) -> usize {
        match self {
            Self::Queue => 2,
            _ => usize::MAX,
        }
    }

    /// Its experiments in starting order, none of them up.
    pub(super) fn jobs(self) -> Vec<Job> {
        match self {
            Self::Constant => vec![job("a", 0, 1200.0, Shape::Steady)],
            Self::Pair => ["a", "b"].map(|name| job(name, 0, 600.0, Shape::Steady)).into(),
            Self::ManySmall => (1..=12)
                .map(|number| job(&format!("small-{number:02}"), number % 3, 100.0, Shape::Steady))
                .collect(),
            Self::HugeAndSmall => {
                vec![job("small", 10, 200.0, Shape::Steady), job("huge", 0, 1000.0, Shape::Steady)]
            }
            Self::ShortBursts => vec![job("a", 0, 1200.0, Shape::Bursts(30.0))],
            Self::LongBursts => vec![job("a", 0, 1200.0, Shape::Bursts(600.0))],
            Self::Ramp => vec![job("a", 0, 1200.0, Shape::Ramp(7200.0))],
            Self::Sawtooth => vec![job("a", 0, 1200.0, Shape::Sawtooth(900.0))],
            Self::Random => vec![job("a", 0, 1200.0, Shape::Random(300.0, 1))],
            Self::Queue => (1..=200)
                .map(|number| Job {
                    left: Some(600.0 / 100.0 * 1200.0),
                    ..job(&format!("queued-{number:03}"), 0, 600.0, Shape::Steady)
                })
                .collect(),
            Self::Training => vec![on_gpu("a", 0, Shape::Steady)],
            Self::Inference => vec![on_gpu("a", 0, Shape::Random(300.0, 2))],
            Self::TrainingAndHuge => {
                vec![on_gpu("training", 10, Shape::Steady), job("huge", 0, 800.0, Shape::Steady)]
            }
        }
    }
}

/// One that keeps the GPU busy: it may take twice the processor time that it needs for that.
fn on_gpu(name: &str, priority: i32, shape: Shape) -> Job {
    Job { uses: 200.0, gpu: GPU, ..job(name, priority, 400.0, shape) }
}

fn job(name: &str, priority: i32, cpu: f64, shape: Shape) -> Job {
    let experiment = ExperimentId::new(name).expect("the names above are ids");
    let (life, hand) = (Life::Waits, Hand::default());
    let (uses, gpu, left, since, cpu_time) = (cpu, 0.0, None, 0.0, 0.0);
    Job { experiment, priority, cpu, uses, gpu, shape, left, life, since, cpu_time, hand }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Load {
    type Err = UnknownLoad;

    fn from_str(name: &str) -> Result<Self, UnknownLoad> {
        let known = Self::ALL.into_iter().find(|load| load.name() == name);
        known.ok_or_else(|| UnknownLoad { name: name.to_owned() })
    }
}
