//! The units of experiments: instances of the template `brain-experiment@.service`.

mod drop_in;
mod hook_view;
mod list;
mod log;
mod unit_dirs;
mod unit_manager;
mod unit_times;

use crate::{RuntimeScope, Watch};

pub use drop_in::{DropIn, MANAGER_NOTIFY_SOCKET, SystemdVersion};
pub use hook_view::{HookView, HookViewError, JobType, ServiceState, UnitFacts};
pub use log::{AttemptSpan, JournalLine, JournalLines, JournalQuery, Writer};
pub use unit_manager::{SettingsInForce, SystemdUnits};
pub use unit_times::UnitTimes;

/// Pattern that matches the unit of every experiment.
pub(crate) const EXPERIMENT_UNITS: &str = "brain-experiment@*.service";

/// Receives changes of the units of all experiments of the manager of this scope; the first call of
/// [`next`](Watch::next) connects.
pub fn watch_experiments(scope: RuntimeScope) -> Watch {
    Watch::new(scope.into(), |unit| unit.experiment().is_some())
}
