//! Queued runs: their terms, their state, and the gates they wait for.

mod claim;
mod dependency;
mod event;
mod group;
mod not_before;
mod queued_run;
mod submission;
mod waiting_on;

pub use claim::{Claim, GpuClaim};
pub use dependency::{Condition, Dependencies, Dependency, InvalidDependency, RunRef};
pub use event::{Event, EventKind, NewEvent, UnknownEventKind};
pub use group::{Group, GroupName, InvalidGroupName, Pause, SlotsFrom};
pub use not_before::{Delay, NotBefore};
pub use queued_run::{Queue, QueuePosition, QueueState, QueuedRun};
pub use submission::{Origin, Submission, Terms};
pub use waiting_on::{Amount, ClosedGate, GoingDown, WaitingOn};
