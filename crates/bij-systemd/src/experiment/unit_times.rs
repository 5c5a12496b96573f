//! Time stamps and time limits of an experiment's unit.

use bij_core::port::UnitError;
use bij_core::{ExperimentId, Limit, MonotonicTime, SubState, TimeSpan};

use super::{EXPERIMENT_UNITS, SystemdUnits};
use crate::error::Operation;
use crate::properties::UnitProperties;
use crate::{JobKind, JobMode, UnitName};

/// Time stamps and time limits of an experiment's unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitTimes {
    /// `SubState` of the unit.
    pub sub_state: SubState,
    /// When the main process was started.
    pub main_started: Option<MonotonicTime>,
    /// When the unit last became active.
    pub active_since: Option<MonotonicTime>,
    /// `TimeoutStartUSec` in force.
    pub start_timeout: Option<Limit<TimeSpan>>,
    /// `RuntimeMaxUSec` in force, with the longest addition that `RuntimeRandomizedExtraUSec` allows.
    pub time_limit: Option<Limit<TimeSpan>>,
    /// `TimeoutStopUSec` in force, or `TimeoutAbortUSec` if that is longer.
    pub stop_timeout: Option<Limit<TimeSpan>>,
}

impl SystemdUnits {
    /// Returns the `SubState` of every loaded unit of an experiment, with one call.
    ///
    /// # Errors
    /// [`UnitError`] if the manager does not answer.
    pub async fn sub_states(&self) -> Result<Vec<(ExperimentId, SubState)>, UnitError> {
        let operation = Operation::new("list experiments");
        let patterns = [EXPERIMENT_UNITS.to_owned()];
        let (rows, _) = self.manager()?.rows(operation, &[], &patterns).await?;
        let state = |row: crate::proxy::UnitRow| {
            Some((ExperimentId::from_unit_name(&row.0)?, SubState::from(row.4)))
        };
        Ok(rows.into_iter().filter_map(state).collect())
    }

    /// Queues a stop job for a unit, without waiting for its end.
    ///
    /// # Errors
    /// [`UnitError`] if the manager does not answer, or refuses the job.
    pub async fn begin_stop(&self, id: &ExperimentId) -> Result<(), UnitError> {
        let unit = UnitName::from_experiment(id);
        Ok(self.manager()?.queue_job(&unit, JobKind::Stop, JobMode::Replace).await?)
    }

    /// Reads the time stamps and time limits of one unit.
    ///
    /// # Errors
    /// [`UnitError`] if the manager does not answer.
    pub async fn times(&self, id: &ExperimentId) -> Result<UnitTimes, UnitError> {
        Ok(times(&self.properties(id).await?))
    }
}

fn times(properties: &UnitProperties) -> UnitTimes {
    let extra = properties.span_limit("RuntimeRandomizedExtraUSec").and_then(Limit::at);
    let time_limit = properties.span_limit("RuntimeMaxUSec").map(|limit| match limit {
        Limit::At(time) => Limit::At(time.saturating_add(extra.unwrap_or_default())),
        Limit::Max => Limit::Max,
    });
    let stop = properties.span_limit("TimeoutStopUSec");
    let abort = properties.span_limit("TimeoutAbortUSec");
    UnitTimes {
        sub_state: properties.sub_state(),
        main_started: properties.monotonic("ExecMainStartTimestampMonotonic"),
        active_since: properties.monotonic("ActiveEnterTimestampMonotonic"),
        start_timeout: properties.span_limit("TimeoutStartUSec"),
        time_limit,
        stop_timeout: stop.zip(abort).map(|(stop, abort)| longer(stop, abort)).or(stop),
    }
}

fn longer(one: Limit<TimeSpan>, other: Limit<TimeSpan>) -> Limit<TimeSpan> {
    match (one, other) {
        (Limit::At(one), Limit::At(other)) => Limit::At(one.max(other)),
        (Limit::Max, _) | (_, Limit::Max) => Limit::Max,
    }
}
