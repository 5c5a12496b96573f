//! Translates messages into requests to the loop, and its answers into messages.

use std::sync::Arc;

use bij_api::message::{BoardSample, ZoneSample};
use bij_api::{Refusal, message};
use bij_coordinator as core;
use bij_coordinator::Health;
use bij_core::queue::{RunRef, WaitingOn};
use bij_core::{Celsius, ExperimentId, Milliwatts, Percent, RunId, TimeSpan, Timestamp};

use super::refusal::refusal;
use super::{BoardReading, TimedReading};

pub(super) fn submit(run: message::Submit) -> core::Submit {
    let message::Submit {
        experiment,
        extras,
        priority,
        group,
        after,
        not_before,
        delay,
        hold,
        now,
    } = run;
    let not_before = earliest(not_before, delay);
    core::Submit { experiment, extras, priority, group, after, not_before, hold, now }
}

pub(super) fn edit(edit: message::Edit) -> core::Edit {
    let message::Edit { priority, group, after, not_before, delay, any_time, now } = edit;
    let not_before = earliest(not_before, delay);
    let not_before = if any_time { Some(None) } else { not_before.map(Some) };
    core::Edit { priority, group, after, not_before, now }
}

fn earliest(at: Option<Timestamp>, delay: Option<TimeSpan>) -> Option<core::Earliest> {
    delay.map(core::Earliest::In).or(at.map(core::Earliest::At))
}

pub(super) fn act(act: message::Act) -> core::Act {
    use message::{Act, MoveTo};
    match act {
        Act::Hold => core::Act::Hold,
        Act::Release => core::Act::Release,
        Act::Cancel => core::Act::Cancel,
        Act::Requeue => core::Act::Requeue,
        Act::Stop => core::Act::Stop,
        Act::Prioritize { priority } => core::Act::Prioritize(priority),
        Act::Move { to } => core::Act::Move(match to {
            MoveTo::First => core::MoveTo::First,
            MoveTo::Last => core::MoveTo::Last,
            MoveTo::Before(run) => core::MoveTo::Before(run),
            MoveTo::Behind(run) => core::MoveTo::Behind(run),
        }),
    }
}

pub(super) fn entry(core::QueueEntry { run, waiting_on }: core::QueueEntry) -> message::Entry {
    message::Entry::from_run(run, &waiting_on)
}

/// Translates many runs in a row; consecutive runs with the same gates share them.
#[derive(Default)]
pub(super) struct Entries {
    waiting_on: Arc<[WaitingOn]>,
    translated: Arc<[message::Waiting]>,
}

impl Entries {
    pub(super) fn next(&mut self, listed: core::QueueEntry) -> message::Entry {
        let core::QueueEntry { run, waiting_on } = listed;
        if waiting_on != self.waiting_on {
            let gates = waiting_on.iter().enumerate();
            self.translated = gates.map(|(at, waiting)| self.waiting(at, waiting)).collect();
            self.waiting_on = waiting_on;
        }
        message::Entry::with_gates(run, Arc::clone(&self.translated))
    }

    /// Translates a gate; if the previous run has the same gate, only the time is translated.
    fn waiting(&self, at: usize, waiting: &WaitingOn) -> message::Waiting {
        match (self.waiting_on.get(at), self.translated.get(at)) {
            (Some(before), Some(translated)) if before.gate == waiting.gate => {
                message::Waiting { since: waiting.since, ..translated.clone() }
            }
            _ => message::Waiting::from(waiting),
        }
    }
}

/// Adds the health to the entry of an active run.
pub(super) fn with_health(entry: &mut message::Entry, health: &Health) {
    entry.health = Some(health.as_str().to_owned());
    entry.health_reason = health.reason().map(ToOwned::to_owned);
}

/// Translates the explanation of a run; `newest` returns the newest run of an experiment that has none in the queue.
pub(super) fn why(
    why: core::Why,
    newest: impl FnOnce(&ExperimentId) -> Option<RunId>,
) -> Result<message::Why, Refusal> {
    Ok(match why {
        core::Why::Over { run, end } => {
            let id = match &run {
                RunRef::Run(id) => Some(id.clone()),
                RunRef::Newest(experiment) => newest(experiment),
            };
            let id = id.ok_or_else(|| refusal(&core::RequestError::NoSuchRun(run)))?;
            message::Why { entry: message::Entry::over(id, end), ahead: Vec::new() }
        }
        core::Why::Queued { entry: queued, ahead } => message::Why { entry: entry(*queued), ahead },
    })
}

pub(super) fn group(status: &core::GroupStatus) -> message::GroupInfo {
    let core::GroupStatus { group, slots_from, running, waiting } = status;
    message::GroupInfo {
        slots_from: *slots_from,
        ..message::GroupInfo::from_group(group, *running, *waiting)
    }
}

pub(super) fn admission(verdict: core::AdmissionVerdict) -> message::Admission {
    let core::AdmissionVerdict { admitted, run, text, waiting_on, unrecorded } = verdict;
    message::Admission {
        admitted,
        run: run.map(|run| run.number),
        text,
        waiting_on: waiting_on.iter().map(message::Waiting::from).collect(),
        unrecorded,
    }
}

pub(super) fn status(status: core::Status) -> message::CoordinatorStatus {
    let core::Status {
        since,
        seq,
        waiting,
        held,
        running,
        slots,
        memory_budget,
        memory_claimed,
        gpu_memory,
        paused,
        troubles,
    } = status;
    let (gpu_memory, gpu_memory_why) = match gpu_memory {
        Some(Ok(used)) => (Some(used), None),
        Some(Err(why)) => (None, Some(why)),
        None => (None, None),
    };
    message::CoordinatorStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        since,
        seq,
        waiting,
        held,
        running,
        slots: Some(slots),
        memory_budget,
        memory_claimed,
        gpu_memory,
        gpu_memory_why,
        paused_by: paused.as_ref().map(|pause| pause.by.clone()),
        paused_since: paused.as_ref().map(|pause| pause.since),
        troubles,
    }
}

/// Translates a reading of the board.
pub(super) fn sample(moment: &TimedReading) -> BoardSample {
    let TimedReading { now, reading } = moment;
    let BoardReading { zones, power, gpu_load, memory_available, throttled, over_current } =
        reading;
    let zone = |(name, celsius): &(Arc<str>, Celsius)| ZoneSample {
        name: name.to_string(),
        celsius: celsius.degrees(),
    };
    BoardSample {
        at: now.at,
        uptime_usec: now.uptime.as_micros(),
        zones: zones.iter().map(zone).collect(),
        total_milliwatts: power.map(Milliwatts::get),
        gpu_load_percent: gpu_load.map(Percent::percents),
        memory_available: *memory_available,
        throttled: *throttled,
        over_current_events: *over_current,
    }
}
