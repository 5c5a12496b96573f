//! Time stamps and time limits of an experiment's unit.

use bij_core::port::UnitError;
use bij_core::{ExperimentId, Limit, MonotonicTime, SubState, TimeSpan};

use crate::SystemdUnits;
use crate::bus::{Operation, call};
use crate::properties::UnitProperties;
use crate::scope::EXPERIMENT_UNITS;

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
        let manager = self.bus()?.manager().await?;
        let operation = Operation { verb: "list experiments", id: None };
        let rows =
            call(operation, manager.list_units_by_patterns(&[], &[EXPERIMENT_UNITS])).await?;
        let state = |row: crate::proxy::ListedUnit| {
            Some((ExperimentId::from_unit_name(&row.0)?, SubState::from(row.4)))
        };
        Ok(rows.into_iter().filter_map(state).collect())
    }

    /// Queues a stop job for a unit, without waiting for its end.
    ///
    /// # Errors
    /// [`UnitError`] if the manager does not answer, or refuses the job.
    pub async fn begin_stop(&self, id: &ExperimentId) -> Result<(), UnitError> {
        let manager = self.bus()?.manager().await?;
        let operation = Operation { verb: "stop", id: Some(id) };
        call(operation, manager.stop_unit(&id.unit_name(), "replace")).await.map(drop)
    }

    /// Reads the time stamps and time limits of one unit.
    ///
    /// # Errors
    /// [`UnitError`] if the manager does not answer.
    pub async fn times(&self, id: &ExperimentId) -> Result<UnitTimes, UnitError> {
        Ok(times(&self.bus()?.unit(id).await?))
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
