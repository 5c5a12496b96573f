//! Judges the health of the runs that are up.

use std::collections::BTreeMap;
use std::fmt;

use bij_core::port::Change;
use bij_core::queue::EventKind;
use bij_core::{Bytes, InvocationId, Percent, RunId, TimeSpan, Uptime};

use super::{Action, Observation, Report, State};
use crate::Now;

/// Health of an experiment that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing is wrong with it.
    Healthy,
    /// It makes progress, but with a problem.
    Degraded {
        /// Problem, as a fragment.
        reason: String,
    },
    /// It makes no progress.
    Stalled {
        /// Last step and time without a new one, as a fragment.
        reason: String,
    },
}

impl Health {
    /// Returns the word for it in output.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded { .. } => "degraded",
            Self::Stalled { .. } => "stalled",
        }
    }

    /// Returns why it is not healthy.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Healthy => None,
            Self::Degraded { reason } | Self::Stalled { reason } => Some(reason),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            None => f.write_str(self.as_str()),
            Some(reason) => write!(f, "{}: {reason}", self.as_str()),
        }
    }
}

/// Share of its limit from which memory counts as short: the rest can be used up within a moment.
const MEMORY_SHORT: Percent = Percent::new(90);
/// Share of time waiting for memory from which a run counts as degraded.
const PRESSED: Percent = Percent::new(20);

/// Measurements of a run that is up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Step that the experiment last reported.
    pub step: Option<u64>,
    /// `[health] stall_after`: the run is stalled after this time without a new step.
    pub stall_after: Option<TimeSpan>,
    /// Memory in use.
    pub memory: Option<Bytes>,
    /// Memory limit of the unit.
    pub memory_max: Option<Bytes>,
    /// Share of time in which at least one of its tasks waited for memory.
    pub memory_pressure: Option<Percent>,
    /// Restarts of its unit since it was started.
    pub restarts: Option<u32>,
    /// Invocation of its unit.
    pub invocation: Option<InvocationId>,
}

/// Health of a run, and what the next judgement compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthMemory {
    /// Current health.
    pub health: Health,
    step: Option<u64>,
    /// Uptime at which this step was first observed.
    stepped_at: Uptime,
    restarts: Option<u32>,
    invocation: Option<InvocationId>,
    /// Uptime of the measurement; a measurement is judged once.
    measured_at: Uptime,
}

/// Judges each run that is up and was measured, and returns a note for each change of health.
pub(super) fn check(state: &State, seen: &Observation, report: &mut Report) -> Vec<Action> {
    let mut actions = Vec::new();
    let is_up = |run: &RunId| state.runs.get(run).is_some_and(|run| state.is_up(run));
    for (run, vitals) in seen.vitals.iter().filter(|(run, _)| is_up(run)) {
        let before = state.health.get(run);
        let now = judge(before, vitals, seen.now);
        let has_changed = match before {
            Some(before) => before.health.as_str() != now.health.as_str(),
            None => now.health != Health::Healthy,
        };
        if has_changed {
            actions.push(Action::Change(note(run, &now.health)));
        }
        report.health.insert(run.clone(), now);
    }
    report.health.retain(|run, _| is_up(run));
    actions
}

pub(super) fn note(run: &RunId, health: &Health) -> Change {
    let mut data = BTreeMap::from([("health".to_owned(), health.as_str().to_owned())]);
    data.extend(health.reason().map(|reason| ("text".to_owned(), reason.to_owned())));
    Change::Note { kind: EventKind::Health, run: Some(run.clone()), data }
}

fn judge(before: Option<&HealthMemory>, vitals: &Vitals, now: Now) -> HealthMemory {
    if let Some(before) = before.filter(|before| before.measured_at == now.uptime) {
        return before.clone();
    }
    let known = before.and_then(|before| before.restarts);
    // A listing does not say how often a unit was restarted.
    let restarted = known.zip(vitals.restarts).is_some_and(|(known, now)| known < now);
    let is_same_step = |before: &&HealthMemory| {
        before.step == vitals.step && before.invocation == vitals.invocation
    };
    let stepped_at = before.filter(is_same_step).map_or(now.uptime, |before| before.stepped_at);
    let health = stalled(vitals, stepped_at, now)
        .or_else(|| degraded(vitals, restarted))
        .unwrap_or(Health::Healthy);
    HealthMemory {
        health,
        step: vitals.step,
        stepped_at,
        restarts: vitals.restarts.or(known),
        invocation: vitals.invocation,
        measured_at: now.uptime,
    }
}

fn stalled(vitals: &Vitals, stepped_at: Uptime, now: Now) -> Option<Health> {
    let bound = vitals.stall_after?;
    let still = now.uptime - stepped_at;
    (still >= bound).then(|| {
        let seconds = still.truncated_to(TimeSpan::from_secs(1));
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
