#![doc = include_str!("../README.md")]

mod attempt;
mod board_record;
mod boot_clock;
pub mod caller_environment;
mod cause;
mod continuation;
mod coordinator_settings;
mod evidence;
pub mod executable;
mod history;
mod id;
mod layout;
mod obstacle;
pub mod port;
mod progress;
mod quantity;
pub mod queue;
pub mod request;
mod requester;
mod run;
pub mod spec;
mod start_limit;
mod text;
mod timestamp;
mod trust;
mod unclosed;
mod unit_state;
pub mod variable;

pub use attempt::{Attempt, AttemptEnd, AttemptKey, Tally};
pub use board_record::{AttemptBoard, BoardMinute, Hottest, Spread};
pub use boot_clock::{MonotonicTime, Uptime};
pub use cause::{Cause, UnknownCause};
pub use continuation::{Continuation, NewestRun, RunCandidates};
pub use coordinator_settings::CoordinatorSettings;
pub use evidence::{Evidence, Exit, LeftBehind, Order, OrderKind, PeakSource, Witness};
pub use history::{History, Runs};
pub use id::{
    AttemptNumber, BootId, ExperimentId, InvalidExperimentId, InvalidId128, InvalidRunId,
    InvocationId, RunId, RunNumber,
};
pub use layout::Layout;
pub use obstacle::{Obstacle, ProgramTrouble, UnknownToEnv};
pub use port::Outcome;
pub use progress::{InvalidProgress, Progress};
pub use quantity::{
    Bytes, Celsius, CpuQuota, Hertz, InvalidQuantity, Limit, MemoryLimit, Millijoules, Milliwatts,
    Percent, TimeSpan,
};
pub use requester::{Requester, UNATTRIBUTED_STARTS, account_name};
pub use run::{RunEnd, RunState, StartKind};
pub use start_limit::StartLimit;
pub use text::{error_chain, is_printable, printable};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use trust::{Authority, Ownership, PathStep, PathStepKind, TooOpen, TooOpenReason};
pub use unclosed::{RecoveredEnd, close_other_boots, close_this_boot, unclosed_attempts};
pub use unit_state::{
    ActiveState, JobResult, LoadState, Resources, ServiceResult, SubState, UnitStatus,
};
