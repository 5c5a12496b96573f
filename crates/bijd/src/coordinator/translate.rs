//! Messages into requests, and answers into messages.

use std::sync::Arc;

use bij_api::message::{BoardSample, ZoneSample};
use bij_api::{Refusal, message};
use bij_coordinator as core;
use bij_coordinator::Health;
use bij_core::queue::{RunRef, WaitingOn};
use bij_core::{Celsius, ExperimentId, Milliwatts, Percent, RunId, TimeSpan, Timestamp};

use super::refusal::refusal;
use super::{Glance, Moment};

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
    message::Entry::of(run, &waiting_on)
}

/// Tells many runs one after another; what neighbours wait for alike is made once.
#[derive(Default)]
pub(super) struct Entries {
    waiting_on: Arc<[WaitingOn]>,
    told: Arc<[message::Waiting]>,
}

impl Entries {
    pub(super) fn next(&mut self, listed: core::QueueEntry) -> message::Entry {
        let core::QueueEntry { run, waiting_on } = listed;
        if waiting_on != self.waiting_on {
            let told = waiting_on.iter().enumerate().map(|(at, waiting)| self.waiting(at, waiting));
            self.told = told.collect();
            self.waiting_on = waiting_on;
        }
        message::Entry::with_gates(run, Arc::clone(&self.told))
    }

    /// A gate, of which the neighbour differs at most in since when.
    fn waiting(&self, at: usize, waiting: &WaitingOn) -> message::Waiting {
        match (self.waiting_on.get(at), self.told.get(at)) {
            (Some(before), Some(told)) if before.gate == waiting.gate => {
                message::Waiting { since: waiting.since, ..told.clone() }
            }
            _ => message::Waiting::from(waiting),
        }
    }
}

/// Adds how it does to a run that is up.
pub(super) fn with_health(entry: &mut message::Entry, health: &Health) {
    entry.health = Some(health.as_str().to_owned());
    entry.health_reason = health.reason().map(ToOwned::to_owned);
}

/// `newest` is asked for the newest run of an experiment that has none in the queue.
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
        ..message::GroupInfo::of(group, *running, *waiting)
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

/// A sample of the board, for clients.
pub(super) fn sample(moment: &Moment) -> BoardSample {
    let Moment { now, glance } = moment;
    let Glance { zones, power, gpu_load, memory_available, throttled, over_current } = glance;
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
