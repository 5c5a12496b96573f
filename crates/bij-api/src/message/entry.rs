//! A run in the queue.

use std::sync::Arc;

use bij_core::queue::{
    Amount, Dependencies, GpuClaim, GroupName, NotBefore, Origin, QueueState, QueuedRun, Terms,
    WaitingOn,
};
use bij_core::{Bytes, ExperimentId, RunEnd, RunId, RunNumber, Timestamp};
use bij_definition::{SourceFile, SpecOverlay};
use serde::{Deserialize, Serialize};

use super::Waiting;

/// A run and its state: one element of `bij --json queue`.
///
/// `W` is the form of its closed gates: a list, or references to gates shared by many runs on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<W = Arc<[Waiting]>> {
    /// The number of the run.
    pub run: RunNumber,
    /// The experiment of the run.
    pub experiment: ExperimentId,
    /// The state of the run.
    pub state: State,
    /// How an ended run ended.
    #[serde(default)]
    pub ended: Option<RunEnd>,
    /// The priority; higher goes first.
    pub priority: i32,
    /// The group whose slots it uses.
    pub group: GroupName,
    /// When it was submitted; absent for an ended run.
    #[serde(default)]
    pub submitted: Option<Timestamp>,
    /// The user or mechanism that submitted it.
    #[serde(default)]
    pub by: Option<String>,
    /// How it came into the queue.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// Its position among runs of its priority; lower goes first.
    #[serde(default)]
    pub place: Option<i64>,
    /// The memory that it claims.
    #[serde(default)]
    pub memory: Option<Bytes>,
    /// How it uses the GPU.
    #[serde(default)]
    pub gpu: GpuClaim,
    /// Its earliest start.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// The runs that it starts after.
    #[serde(default)]
    pub after: Dependencies,
    /// Whether it bypasses the gates.
    #[serde(default)]
    pub now: bool,
    /// How many smaller runs have passed it while it waited for capacity.
    #[serde(default)]
    pub bypassed: u32,
    /// Settings that override the definition in this run only, as TOML; values of variables are replaced by `***`.
    #[serde(default)]
    pub extras: String,
    /// Health of an active run: `healthy`, `degraded`, `stalled`.
    #[serde(default)]
    pub health: Option<String>,
    /// Why it is not healthy.
    #[serde(default)]
    pub health_reason: Option<String>,
    /// The author of a pending request to stop it.
    #[serde(default)]
    pub stop_requested_by: Option<String>,
    /// All closed gates; empty for a run that does not wait. Thousands of runs can share one list.
    pub waiting_on: W,
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Waits for its gates.
    Waiting,
    /// Waits until an operator releases it.
    Held,
    /// Was admitted, and no attempt has begun yet.
    Starting,
    /// Has an open attempt, or waits for a restart.
    Running,
    /// Has ended.
    Ended,
}

impl State {
    /// Returns the name of the state in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }
}

/// Returns the earliest start. The time of its gate is more recent than the one computed when a delay began.
fn due(not_before: NotBefore, waiting_on: &[Waiting]) -> Timestamp {
    let gate = waiting_on.iter().find(|waiting| &*waiting.gate == "not-before");
    let from_gate = gate.and_then(|gate| match gate.need.as_ref()? {
        Amount::Text(text) => text.parse().ok(),
        Amount::Number(_) => None,
    });
    from_gate.unwrap_or(not_before.at())
}

impl From<&QueueState> for State {
    fn from(state: &QueueState) -> Self {
        match state {
            QueueState::Waiting => Self::Waiting,
            QueueState::Held { .. } => Self::Held,
            QueueState::Starting { .. } => Self::Starting,
            QueueState::Running => Self::Running,
        }
    }
}

impl Entry {
    /// Returns the entry of a run that has not ended.
    pub fn from_run(run: QueuedRun, waiting_on: &[WaitingOn]) -> Self {
        Self::with_gates(run, waiting_on.iter().map(Waiting::from).collect())
    }

    /// Returns the entry of a run that has not ended, with a list of gates that several runs share.
    pub fn with_gates(run: QueuedRun, waiting_on: Arc<[Waiting]>) -> Self {
        let QueuedRun {
            run: RunId { experiment, number },
            state,
            terms: Terms { priority, group, claim, not_before, after, now, power: _, clocks: _ },
            place,
            bypassed,
            submitted,
            extras,
            by,
            origin,
            stop,
        } = run;
        let extras = without_values(extras);
        Self {
            run: number,
            experiment,
            state: State::from(&state),
            ended: None,
            priority,
            group,
            submitted: Some(submitted),
            by: Some(by),
            origin: Some(origin),
            place: Some(place.0),
            memory: claim.memory,
            gpu: claim.gpu,
            not_before: not_before.map(|not_before| due(not_before, &waiting_on)),
            after,
            now,
            bypassed,
            extras,
            health: None,
            health_reason: None,
            stop_requested_by: stop,
            waiting_on,
        }
    }

    /// Returns the entry of an ended run.
    pub fn over(run: RunId, end: RunEnd) -> Self {
        Self {
            run: run.number,
            experiment: run.experiment,
            state: State::Ended,
            ended: Some(end),
            priority: 0,
            group: GroupName::default(),
            submitted: None,
            by: None,
            origin: None,
            place: None,
            memory: None,
            gpu: GpuClaim::None,
            not_before: None,
            after: Dependencies::default(),
            now: false,
            bypassed: 0,
            extras: String::new(),
            health: None,
            health_reason: None,
            stop_requested_by: None,
            waiting_on: Arc::default(),
        }
    }
}

/// Returns extra settings as all users may see them. Values of variables are for the experiment's user and root only.
fn without_values(extras: String) -> String {
    // A fast path: there can be thousands of runs, and few of them set variables.
    if !extras.contains("environment") {
        return extras;
    }
    match SpecOverlay::parse(SourceFile::new("extras", extras.as_bytes())) {
        Ok(overlay) => overlay.without_values().to_toml(),
        // Extras were checked at submission. Unreadable ones are not shown, to be safe.
        Err(_) => "# these extras cannot be read\n".to_owned(),
    }
}

impl<W> Entry<W> {
    /// Returns the id of the run.
    pub fn id(&self) -> RunId {
        RunId { experiment: self.experiment.clone(), number: self.run }
    }

    /// Returns the entry with another form of its gates.
    pub(crate) fn with_waiting_on<V>(self, waiting_on: V) -> Entry<V> {
        Entry {
            run: self.run,
            experiment: self.experiment,
            state: self.state,
            ended: self.ended,
            priority: self.priority,
            group: self.group,
            submitted: self.submitted,
            by: self.by,
            origin: self.origin,
            place: self.place,
            memory: self.memory,
            gpu: self.gpu,
            not_before: self.not_before,
            after: self.after,
            now: self.now,
            bypassed: self.bypassed,
            extras: self.extras,
            health: self.health,
            health_reason: self.health_reason,
            stop_requested_by: self.stop_requested_by,
            waiting_on,
        }
    }
}

/// A run, its closed gates, and the runs before it: the output of `bij --json why`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The run with its gates.
    #[serde(flatten)]
    pub entry: Entry,
    /// The waiting runs before it in starting order, as texts such as `amnesiac_001#3`.
    #[serde(with = "super::run_texts")]
    pub ahead: Vec<RunId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_variables_are_shown() {
        let mut overlay = SpecOverlay::default();
        overlay.add_environment("TOKEN=secret").unwrap();
        overlay.add_limit("memory=2G").unwrap();
        let shown = without_values(overlay.to_toml());
        assert!(shown.contains("TOKEN") && shown.contains("2G"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(!without_values("environment = secret".to_owned()).contains("secret"));
        assert_eq!(without_values("limits.tasks = 7".to_owned()), "limits.tasks = 7");
    }
}
