//! Converts rows of the queue to domain types.

use std::collections::BTreeMap;

use bij_core::queue::{
    Claim, Delay, Dependencies, Event, EventKind, GpuClaim, Group, GroupName, NotBefore, Origin,
    Pause, QueuePosition, QueueState, QueuedRun, Terms,
};
use bij_core::spec::Clocks;
use bij_core::{
    AttemptNumber, BootId, Bytes, ExperimentId, RunId, RunNumber, TimeSpan, Timestamp, Uptime,
};
use rusqlite::Row;

use crate::database_error::DatabaseError;
use crate::row::{ResultColumn, RowReader, saturating_i64};

/// The columns that [`queued_run`] reads, from `queue q`, `runs r` and `experiments e`.
pub(super) const QUEUED: &str = "q.run, e.name, r.number, q.state, q.holder, q.boot, q.priority, \
     q.group_name, q.memory, q.gpu, q.not_before, q.dependencies, q.now, q.place, q.bypassed, \
     q.submitted, q.extras, q.submitter, q.origin, q.stopper, q.power, q.clocks, \
     q.delay, q.delay_boot, q.delay_due";

/// Reads an open run from a row of [`QUEUED`].
pub(crate) fn queued_run(row: &Row<'_>) -> Result<QueuedRun, DatabaseError> {
    let fields = RowReader::new(row, row.get(0)?);
    Ok(QueuedRun {
        run: RunId {
            experiment: fields.parsed::<ExperimentId>(ResultColumn(1, "experiment"))?,
            number: RunNumber(fields.value(ResultColumn(2, "run"))?),
        },
        state: state(&fields, 3)?,
        terms: Terms {
            priority: fields.value(ResultColumn(6, "priority"))?,
            group: fields.parsed::<GroupName>(ResultColumn(7, "group_name"))?,
            claim: Claim {
                memory: fields.value::<Option<u64>>(ResultColumn(8, "memory"))?.map(Bytes::new),
                gpu: fields.one_of(ResultColumn(9, "gpu"), &GpuClaim::ALL, GpuClaim::as_str)?,
            },
            not_before: not_before(&fields)?,
            after: fields
                .json_optional::<Dependencies>(ResultColumn(11, "dependencies"))?
                .unwrap_or_default(),
            now: fields.value(ResultColumn(12, "now"))?,
            power: fields
                .value::<Option<String>>(ResultColumn(20, "power"))?
                .map(|mode| mode.as_str().into()),
            clocks: fields
                .one_of_optional(ResultColumn(21, "clocks"), &Clocks::ALL, Clocks::as_str)?
                .unwrap_or_default(),
        },
        position: QueuePosition(fields.value(ResultColumn(13, "place"))?),
        bypassed: fields.value(ResultColumn(14, "bypassed"))?,
        submitted: Timestamp::from_micros(fields.value(ResultColumn(15, "submitted"))?),
        extras: fields.value(ResultColumn(16, "extras"))?,
        by: fields.value(ResultColumn(17, "submitter"))?,
        origin: fields.one_of(ResultColumn(18, "origin"), &Origin::ALL, Origin::as_str)?,
        stop: fields.value(ResultColumn(19, "stopper"))?,
    })
}

/// Reads the earliest start: the end of a delay if there is one, else a time of day.
fn not_before(fields: &RowReader<'_, '_>) -> Result<Option<NotBefore>, DatabaseError> {
    let Some(micros) = fields.value::<Option<i64>>(ResultColumn(10, "not_before"))? else {
        return Ok(None);
    };
    let time = Timestamp::from_micros(micros);
    let Some(span) = fields.value::<Option<u64>>(ResultColumn(22, "delay"))? else {
        return Ok(Some(NotBefore::At(time)));
    };
    Ok(Some(NotBefore::Delay(Delay {
        span: TimeSpan::from_micros(span),
        boot: fields.parsed::<BootId>(ResultColumn(23, "delay_boot"))?,
        due: Uptime::from_micros(fields.value(ResultColumn(24, "delay_due"))?),
        at: time,
    })))
}

/// Returns the values of the columns `not_before`, `delay`, `delay_boot` and `delay_due`.
pub(super) fn not_before_columns(
    not_before: Option<NotBefore>,
) -> (Option<i64>, Option<i64>, Option<String>, Option<i64>) {
    let at = not_before.map(|not_before| not_before.at().as_micros());
    match not_before {
        Some(NotBefore::Delay(Delay { span, boot, due, at: _ })) => {
            let micros = |micros| Some(saturating_i64(micros));
            (at, micros(span.as_micros()), Some(boot.to_string()), micros(due.as_micros()))
        }
        Some(NotBefore::At(_)) | None => (at, None, None, None),
    }
}

/// Reads the state of a run from the columns `state`, `holder` and `boot`; `first` is the index of `state`.
pub(super) fn state(fields: &RowReader<'_, '_>, first: usize) -> Result<QueueState, DatabaseError> {
    #[derive(Clone, Copy)]
    enum StateName {
        Waiting,
        Held,
        Starting,
        Running,
    }
    let as_str = |name: StateName| match name {
        StateName::Waiting => "waiting",
        StateName::Held => "held",
        StateName::Starting => "starting",
        StateName::Running => "running",
    };
    let all = [StateName::Waiting, StateName::Held, StateName::Starting, StateName::Running];
    Ok(match fields.one_of(ResultColumn(first, "state"), &all, as_str)? {
        StateName::Waiting => QueueState::Waiting,
        StateName::Held => {
            QueueState::Held { by: fields.value(ResultColumn(first + 1, "holder"))? }
        }
        StateName::Starting => {
            QueueState::Starting { boot: fields.parsed::<BootId>(ResultColumn(first + 2, "boot"))? }
        }
        StateName::Running => QueueState::Running,
    })
}

/// Returns the values of the columns `state`, `holder` and `boot`.
pub(super) fn state_columns(state: &QueueState) -> (&'static str, Option<&str>, Option<String>) {
    let (holder, boot) = match state {
        QueueState::Held { by } => (Some(by.as_str()), None),
        QueueState::Starting { boot } => (None, Some(boot.to_string())),
        QueueState::Waiting | QueueState::Running => (None, None),
    };
    (state.as_str(), holder, boot)
}

/// The columns that [`group`] reads.
pub(super) const GROUP: &str = "name, slots, paused_by, paused_since";

/// Reads a group from a row of [`GROUP`].
pub(super) fn group(row: &Row<'_>) -> Result<Group, DatabaseError> {
    let fields = RowReader::new(row, 0);
    Ok(Group {
        name: fields.parsed::<GroupName>(ResultColumn(0, "name"))?,
        slots: fields.value(ResultColumn(1, "slots"))?,
        paused: pause(&fields, 2)?,
    })
}

/// Reads a pause from the columns `paused_by` and `paused_since`; `first` is the index of `paused_by`.
pub(super) fn pause(
    fields: &RowReader<'_, '_>,
    first: usize,
) -> Result<Option<Pause>, DatabaseError> {
    let Some(by) = fields.value(ResultColumn(first, "paused_by"))? else { return Ok(None) };
    let since = Timestamp::from_micros(fields.value(ResultColumn(first + 1, "paused_since"))?);
    Ok(Some(Pause { by, since }))
}

/// The columns that [`event`] reads.
pub(super) const EVENT: &str = "seq, at, kind, experiment, run, attempt, data";

/// Reads an event from a row of [`EVENT`].
pub(crate) fn event(row: &Row<'_>) -> Result<Event, DatabaseError> {
    let fields = RowReader::new(row, row.get(0)?);
    Ok(Event {
        seq: fields.value(ResultColumn(0, "seq"))?,
        at: Timestamp::from_micros(fields.value(ResultColumn(1, "at"))?),
        kind: fields.parsed::<EventKind>(ResultColumn(2, "kind"))?,
        experiment: fields.parsed_optional::<ExperimentId>(ResultColumn(3, "experiment"))?,
        run: fields.value::<Option<u32>>(ResultColumn(4, "run"))?.map(RunNumber),
        attempt: fields.value::<Option<u32>>(ResultColumn(5, "attempt"))?.map(AttemptNumber),
        data: fields
            .json_optional::<BTreeMap<String, String>>(ResultColumn(6, "data"))?
            .unwrap_or_default(),
    })
}
