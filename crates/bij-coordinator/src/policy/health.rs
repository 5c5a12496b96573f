//! How those that are up do.

use std::collections::BTreeMap;

use bij_core::port::Change;
use bij_core::queue::EventKind;
use bij_core::{Bytes, InvocationId, Percent, RunId, TimeSpan, Timestamp};

use super::{Action, Observation, Report, State};
use crate::{Health, Now};

/// From this share of its limit on, memory is told to be short: what is left is gone in a moment.
const MEMORY_SHORT: Percent = Percent::new(90);
/// From this share of time on, waiting for memory is what it mostly does.
const PRESSED: Percent = Percent::new(20);

/// What is seen of a run that is up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// The steps it says it has done.
    pub step: Option<u64>,
    /// It is stalled if there is no new step for so long: `[health] stall_after`.
    pub stall_after: Option<TimeSpan>,
    /// The memory it uses.
    pub memory: Option<Bytes>,
    /// Its memory limit.
    pub memory_max: Option<Bytes>,
    /// The share of time in which some task of it waited for memory.
    pub memory_pressure: Option<Percent>,
    /// How often its unit was restarted since it was started.
    pub restarts: Option<u32>,
    /// Which life of its unit this is.
    pub life: Option<InvocationId>,
}

/// What is remembered of a run that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthMemory {
    /// How it does.
    pub health: Health,
    /// Since when.
    pub since: Timestamp,
    step: Option<u64>,
    /// The uptime at which it was first seen at this step.
    stepped: TimeSpan,
    restarts: Option<u32>,
    life: Option<InvocationId>,
}

/// Looks at those whose vital signs were taken, and tells what has changed.
pub(super) fn check(state: &State, seen: &Observation, report: &mut Report) -> Vec<Action> {
    let mut actions = Vec::new();
    for (run, vitals) in &seen.vitals {
        let before = state.health.get(run);
        let now = judge(before, vitals, seen.now);
        let is_news = match before {
            Some(before) => before.health.as_str() != now.health.as_str(),
            None => now.health != Health::Healthy,
        };
        if is_news {
            actions.push(Action::Change(note(run, &now.health)));
        }
        report.health.insert(run.clone(), now);
    }
    report.health.retain(|run, _| state.runs.get(run).is_some_and(|run| state.is_up(run)));
    actions
}

pub(super) fn note(run: &RunId, health: &Health) -> Change {
    let mut data = BTreeMap::from([("health".to_owned(), health.as_str().to_owned())]);
    data.extend(health.reason().map(|reason| ("text".to_owned(), reason.to_owned())));
    Change::Note { kind: EventKind::Health, run: Some(run.clone()), data }
}

fn judge(before: Option<&HealthMemory>, vitals: &Vitals, now: Now) -> HealthMemory {
    let restarted = before.is_some_and(|before| before.restarts < vitals.restarts);
    let goes_on = before.filter(|before| before.step == vitals.step && before.life == vitals.life);
    let stepped = goes_on.map_or(now.uptime, |before| before.stepped);
    let health = stalled(vitals, stepped, now)
        .or_else(|| degraded(vitals, restarted))
        .unwrap_or(Health::Healthy);
    let since = before.filter(|before| before.health.as_str() == health.as_str());
    HealthMemory {
        since: since.map_or(now.at, |before| before.since),
        health,
        step: vitals.step,
        stepped,
        restarts: vitals.restarts,
        life: vitals.life,
    }
}

fn stalled(vitals: &Vitals, stepped: TimeSpan, now: Now) -> Option<Health> {
    let bound = vitals.stall_after?;
    let still = now.uptime.as_micros().saturating_sub(stepped.as_micros());
    (still >= bound.as_micros()).then(|| {
        let seconds = TimeSpan::from_micros(still / 1_000_000 * 1_000_000);
        let at =
            vitals.step.map_or("no step yet".to_owned(), |step| format!("still at step {step}"));
        Health::Stalled { reason: format!("{at} after {seconds}") }
    })
}

fn degraded(vitals: &Vitals, restarted: bool) -> Option<Health> {
    let short = vitals
        .memory
        .zip(vitals.memory_max)
        .filter(|(used, limit)| *used >= MEMORY_SHORT.share_of(*limit));
    let reason = if let Some((used, limit)) = short {
        format!("uses {used} of its memory limit of {limit}")
    } else if let Some(some) = vitals.memory_pressure.filter(|some| *some > PRESSED) {
        format!("waits for memory {some} of the time")
    } else if restarted {
        format!("was restarted, {} times by now", vitals.restarts.unwrap_or_default())
    } else {
        return None;
    };
    Some(Health::Degraded { reason })
}
