//! The lines of an export.

use std::collections::BTreeMap;

use bij_core::queue::{
    Claim, Delay, Dependencies, Event, EventKind, Group, GroupName, NotBefore, Origin, Pause,
    QueuePosition, QueueState, QueuedRun, Terms,
};
use bij_core::spec::Clocks;
use bij_core::{
    Attempt, AttemptNumber, BoardMinute, BootId, Cause, ExperimentId, Progress, RunEnd, RunId,
    RunNumber, TimeSpan, Timestamp, Uptime,
};
use serde::{Deserialize, Serialize};

/// The name of the format, in the first line.
pub(crate) const FORMAT: &str = "bij-store";
/// The only version of the format so far. A field or a kind of line that is added makes a new version.
pub(crate) const VERSION: u32 = 1;
/// Maximum length of a line in bytes, so that a file without line ends does not fill the memory. The evidence of an
/// attempt, the longest record, has a few kilobytes.
pub(crate) const MAX_LINE_LEN: usize = 16 << 20;

/// The first line, by which an export and its version are recognized.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) format: String,
    pub(crate) version: u32,
}

/// A line after the first. The kinds are in the order of the lines: a record comes after all records that it names, so
/// that an import applies each line on its own.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Line {
    Removed(RemovedAttempts),
    Run(RunId),
    Attempt(Box<Attempt>),
    RunEnd(RunEndLine),
    Queued(Box<QueuedLine>),
    Group(GroupLine),
    Admission(AdmissionLine),
    Boot(BootLine),
    Event(EventLine),
    Minute(Box<BoardMinute>),
    End(EndLine),
}

impl Line {
    /// Returns the place of the kind in the order of the lines, and its name.
    pub(crate) const fn kind(&self) -> (u8, &'static str) {
        match self {
            Self::Removed(_) => (0, "removed"),
            Self::Run(_) => (1, "run"),
            Self::Attempt(_) => (2, "attempt"),
            Self::RunEnd(_) => (3, "run-end"),
            Self::Queued(_) => (4, "queued"),
            Self::Group(_) => (5, "group"),
            Self::Admission(_) => (6, "admission"),
            Self::Boot(_) => (7, "boot"),
            Self::Event(_) => (8, "event"),
            Self::Minute(_) => (9, "minute"),
            Self::End(_) => (10, "end"),
        }
    }
}

/// Totals of those attempts of an experiment that are no longer in the database and still count.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemovedAttempts {
    pub(crate) experiment: ExperimentId,
    pub(crate) attempts: u64,
    pub(crate) crashes: u64,
    pub(crate) crashes_by_cause: BTreeMap<Cause, u64>,
    /// The cause of the newest attempt that has ended, if that is one of them.
    pub(crate) last_cause: Option<Cause>,
    /// The newest progress with a checkpoint, if it is of one of them.
    pub(crate) last_checkpoint: Option<Progress>,
}

/// How and when a run ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunEndLine {
    pub(crate) run: RunId,
    pub(crate) end: RunEnd,
    /// `None` for runs that ended before the database had a queue.
    pub(crate) at: Option<Timestamp>,
    /// The account or component that ended it; `None` if its last attempt did.
    pub(crate) by: Option<String>,
}

/// A run that has not ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueuedLine {
    run: RunId,
    state: StateLine,
    priority: i32,
    group: GroupName,
    claim: Claim,
    not_before: Option<NotBeforeLine>,
    after: Dependencies,
    now: bool,
    power: Option<String>,
    max_clocks: bool,
    position: i64,
    bypassed: u32,
    submitted: Timestamp,
    extras: String,
    by: String,
    origin: Origin,
    stop: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StateLine {
    Waiting,
    Held { by: String },
    Starting { boot: BootId },
    Running,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NotBeforeLine {
    At(Timestamp),
    Delay { span: TimeSpan, boot: BootId, due: Uptime, at: Timestamp },
}

impl From<QueuedRun> for QueuedLine {
    fn from(queued: QueuedRun) -> Self {
        let QueuedRun {
            run,
            state,
            terms,
            position,
            bypassed,
            submitted,
            extras,
            by,
            origin,
            stop,
        } = queued;
        let Terms { priority, group, claim, not_before, after, now, power, clocks } = terms;
        Self {
            run,
            state: match state {
                QueueState::Waiting => StateLine::Waiting,
                QueueState::Held { by } => StateLine::Held { by },
                QueueState::Starting { boot } => StateLine::Starting { boot },
                QueueState::Running => StateLine::Running,
            },
            priority,
            group,
            claim,
            not_before: not_before.map(|not_before| match not_before {
                NotBefore::At(at) => NotBeforeLine::At(at),
                NotBefore::Delay(Delay { span, boot, due, at }) => {
                    NotBeforeLine::Delay { span, boot, due, at }
                }
            }),
            after,
            now,
            power: power.map(|mode| mode.to_string()),
            max_clocks: match clocks {
                Clocks::Dynamic => false,
                Clocks::Max => true,
            },
            position: position.0,
            bypassed,
            submitted,
            extras,
            by,
            origin,
            stop,
        }
    }
}

impl From<QueuedLine> for QueuedRun {
    fn from(line: QueuedLine) -> Self {
        Self {
            run: line.run,
            state: match line.state {
                StateLine::Waiting => QueueState::Waiting,
                StateLine::Held { by } => QueueState::Held { by },
                StateLine::Starting { boot } => QueueState::Starting { boot },
                StateLine::Running => QueueState::Running,
            },
            terms: Terms {
                priority: line.priority,
                group: line.group,
                claim: line.claim,
                not_before: line.not_before.map(|not_before| match not_before {
                    NotBeforeLine::At(at) => NotBefore::At(at),
                    NotBeforeLine::Delay { span, boot, due, at } => {
                        NotBefore::Delay(Delay { span, boot, due, at })
                    }
                }),
                after: line.after,
                now: line.now,
                power: line.power.map(|mode| mode.as_str().into()),
                clocks: if line.max_clocks { Clocks::Max } else { Clocks::Dynamic },
            },
            position: QueuePosition(line.position),
            bypassed: line.bypassed,
            submitted: line.submitted,
            extras: line.extras,
            by: line.by,
            origin: line.origin,
            stop: line.stop,
        }
    }
}

/// A group of runs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupLine {
    name: GroupName,
    slots: Option<u32>,
    paused: Option<PauseLine>,
}

/// A pause, of a group or of all runs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseLine {
    by: String,
    since: Timestamp,
}

impl From<Pause> for PauseLine {
    fn from(Pause { by, since }: Pause) -> Self {
        Self { by, since }
    }
}

impl From<PauseLine> for Pause {
    fn from(PauseLine { by, since }: PauseLine) -> Self {
        Self { by, since }
    }
}

impl From<Group> for GroupLine {
    fn from(Group { name, slots, paused }: Group) -> Self {
        Self { name, slots, paused: paused.map(PauseLine::from) }
    }
}

impl From<GroupLine> for Group {
    fn from(GroupLine { name, slots, paused }: GroupLine) -> Self {
        Self { name, slots, paused: paused.map(Pause::from) }
    }
}

/// The state of admission as a whole.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdmissionLine {
    /// The position behind which the next run is queued.
    pub(crate) last_position: i64,
    pub(crate) paused: Option<PauseLine>,
}

/// A boot that ended with a clean shutdown.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BootLine {
    pub(crate) id: BootId,
    pub(crate) ended: Timestamp,
}

/// An event. [`Event`] itself leaves out data with the names of its fields.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventLine {
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    pub(crate) kind: EventKind,
    pub(crate) experiment: Option<ExperimentId>,
    pub(crate) run: Option<RunNumber>,
    pub(crate) attempt: Option<AttemptNumber>,
    pub(crate) data: BTreeMap<String, String>,
}

impl From<Event> for EventLine {
    fn from(event: Event) -> Self {
        let Event { seq, at, kind, experiment, run, attempt, data } = event;
        Self { seq, at, kind, experiment, run, attempt, data }
    }
}

/// The last line, without which an export is not complete.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndLine {
    /// The number of lines before it.
    pub(crate) lines: u64,
}
