//! Rows of the queue become domain types here, and nowhere else.

use std::collections::BTreeMap;

use bij_core::definition::Clocks;
use bij_core::queue::{
    Claim, Delay, Dependencies, Event, EventKind, GpuClaim, Group, GroupName, NotBefore, Origin,
    Pause, Place, QueueState, QueuedRun, Terms,
};
use bij_core::{AttemptNumber, BootId, Bytes, ExperimentId, RunId, RunNumber, TimeSpan, Timestamp};
use rusqlite::Row;

use crate::failure::Failure;
use crate::row::{Column, Cursor, signed};

/// The columns that [`queued_run`] reads, from `queue q`, `runs r` and `experiments e`.
pub(super) const QUEUED: &str = "q.run, e.name, r.number, q.state, q.holder, q.boot, q.priority, \
     q.group_name, q.memory, q.gpu, q.not_before, q.dependencies, q.now, q.place, q.bypassed, \
     q.submitted, q.extras, q.submitter, q.origin, q.stopper, q.power, q.clocks, \
     q.delay, q.delay_boot, q.delay_due";

/// A run that is not over, from a row of [`QUEUED`].
pub(super) fn queued_run(row: &Row<'_>) -> Result<QueuedRun, Failure> {
    let at = Cursor::new(row, row.get(0)?);
    Ok(QueuedRun {
        run: RunId {
            experiment: at.parsed::<ExperimentId>(Column(1, "experiment"))?,
            number: RunNumber(at.value(Column(2, "run"))?),
        },
        state: state(&at, 3)?,
        terms: Terms {
            priority: at.value(Column(6, "priority"))?,
            group: at.parsed::<GroupName>(Column(7, "group_name"))?,
            claim: Claim {
                memory: at.value::<Option<u64>>(Column(8, "memory"))?.map(Bytes::new),
                gpu: at.one_of(Column(9, "gpu"), &GpuClaim::ALL, GpuClaim::as_str)?,
            },
            not_before: not_before(&at)?,
            after: at.json_if_any::<Dependencies>(Column(11, "dependencies"))?.unwrap_or_default(),
            now: at.value(Column(12, "now"))?,
            power: at
                .value::<Option<String>>(Column(20, "power"))?
                .map(|mode| mode.as_str().into()),
            clocks: at
                .one_of_if_any(Column(21, "clocks"), &Clocks::ALL, Clocks::as_str)?
                .unwrap_or_default(),
        },
        place: Place(at.value(Column(13, "place"))?),
        bypassed: at.value(Column(14, "bypassed"))?,
        submitted: Timestamp::from_micros(at.value(Column(15, "submitted"))?),
        extras: at.value(Column(16, "extras"))?,
        by: at.value(Column(17, "submitter"))?,
        origin: at.one_of(Column(18, "origin"), &Origin::ALL, Origin::as_str)?,
        stop: at.value(Column(19, "stopper"))?,
    })
}

/// The earliest start: a time of day, or the end of a span where there is one.
fn not_before(at: &Cursor<'_, '_>) -> Result<Option<NotBefore>, Failure> {
    let Some(micros) = at.value::<Option<i64>>(Column(10, "not_before"))? else { return Ok(None) };
    let time = Timestamp::from_micros(micros);
    let Some(span) = at.value::<Option<u64>>(Column(22, "delay"))? else {
        return Ok(Some(NotBefore::At(time)));
    };
    Ok(Some(NotBefore::Delay(Delay {
        span: TimeSpan::from_micros(span),
        boot: at.parsed::<BootId>(Column(23, "delay_boot"))?,
        due: TimeSpan::from_micros(at.value(Column(24, "delay_due"))?),
        at: time,
    })))
}

/// What [`NotBefore`] is in the columns `not_before`, `delay`, `delay_boot` and `delay_due`.
pub(super) fn not_before_columns(
    not_before: Option<NotBefore>,
) -> (Option<i64>, Option<i64>, Option<String>, Option<i64>) {
    let at = not_before.map(|not_before| not_before.at().as_micros());
    match not_before {
        Some(NotBefore::Delay(Delay { span, boot, due, at: _ })) => {
            let micros = |span: TimeSpan| Some(signed(span.as_micros()));
            (at, micros(span), Some(boot.to_string()), micros(due))
        }
        Some(NotBefore::At(_)) | None => (at, None, None, None),
    }
}

/// Where a run stands, from the columns `state`, `holder` and `boot`, which are the first three
/// from `first` on.
pub(super) fn state(at: &Cursor<'_, '_>, first: usize) -> Result<QueueState, Failure> {
    #[derive(Clone, Copy)]
    enum Word {
        Waiting,
        Held,
        Starting,
        Running,
    }
    let word = |word: Word| match word {
        Word::Waiting => "waiting",
        Word::Held => "held",
        Word::Starting => "starting",
        Word::Running => "running",
    };
    let all = [Word::Waiting, Word::Held, Word::Starting, Word::Running];
    Ok(match at.one_of(Column(first, "state"), &all, word)? {
        Word::Waiting => QueueState::Waiting,
        Word::Held => QueueState::Held { by: at.value(Column(first + 1, "holder"))? },
        Word::Starting => {
            QueueState::Starting { boot: at.parsed::<BootId>(Column(first + 2, "boot"))? }
        }
        Word::Running => QueueState::Running,
    })
}

/// What [`QueueState`] is in the columns `state`, `holder` and `boot`.
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

/// A group from a row of [`GROUP`].
pub(super) fn group(row: &Row<'_>) -> Result<Group, Failure> {
    let at = Cursor::new(row, 0);
    Ok(Group {
        name: at.parsed::<GroupName>(Column(0, "name"))?,
        slots: at.value(Column(1, "slots"))?,
        paused: pause(&at, 2)?,
    })
}

/// Who has paused, and when, from two columns.
pub(super) fn pause(at: &Cursor<'_, '_>, first: usize) -> Result<Option<Pause>, Failure> {
    let Some(by) = at.value(Column(first, "paused_by"))? else { return Ok(None) };
    let since = Timestamp::from_micros(at.value(Column(first + 1, "paused_since"))?);
    Ok(Some(Pause { by, since }))
}

/// The columns that [`event`] reads.
pub(super) const EVENT: &str = "seq, at, kind, experiment, run, attempt, data";

/// An event from a row of [`EVENT`].
pub(super) fn event(row: &Row<'_>) -> Result<Event, Failure> {
    let at = Cursor::new(row, row.get(0)?);
    Ok(Event {
        seq: at.value(Column(0, "seq"))?,
        at: Timestamp::from_micros(at.value(Column(1, "at"))?),
        kind: at.parsed::<EventKind>(Column(2, "kind"))?,
        experiment: at.parsed_if_any::<ExperimentId>(Column(3, "experiment"))?,
        run: at.value::<Option<u32>>(Column(4, "run"))?.map(RunNumber),
        attempt: at.value::<Option<u32>>(Column(5, "attempt"))?.map(AttemptNumber),
        data: at.json_if_any::<BTreeMap<String, String>>(Column(6, "data"))?.unwrap_or_default(),
    })
}
