//! A run in the queue.

use std::sync::Arc;

use crate::queue::{
    Amount, Dependencies, GpuClaim, GroupName, NotBefore, Origin, QueueState, QueuedRun, Terms,
    WaitingOn,
};
use crate::{Bytes, ExperimentId, RunEnd, RunId, RunNumber, Timestamp};

/// A run and its state: one element of `bij --json queue`.
///
/// `W` is the form of its closed gates: a list, or references to gates shared by many runs on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct QueueEntry<W = Arc<[WaitReason]>> {
    /// The number of the run.
    pub run: RunNumber,
    /// The experiment of the run.
    pub experiment: ExperimentId,
    /// The state of the run.
    pub state: EntryState,
    /// How an ended run ended.
    #[cfg_attr(feature = "serde", serde(default))]
    pub ended: Option<RunEnd>,
    /// The priority; higher goes first.
    pub priority: i32,
    /// The group whose slots it uses.
    pub group: GroupName,
    /// When it was submitted; absent for an ended run.
    #[cfg_attr(feature = "serde", serde(default))]
    pub submitted: Option<Timestamp>,
    /// The user or mechanism that submitted it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub by: Option<String>,
    /// How it came into the queue.
    #[cfg_attr(feature = "serde", serde(default))]
    pub origin: Option<Origin>,
    /// Its position among runs of its priority; lower goes first.
    #[cfg_attr(feature = "serde", serde(default, rename = "place"))]
    pub position: Option<i64>,
    /// The memory that it claims.
    #[cfg_attr(feature = "serde", serde(default))]
    pub memory: Option<Bytes>,
    /// How it uses the GPU.
    #[cfg_attr(feature = "serde", serde(default))]
    pub gpu: GpuClaim,
    /// Its earliest start.
    #[cfg_attr(feature = "serde", serde(default))]
    pub not_before: Option<Timestamp>,
    /// The runs that it starts after.
    #[cfg_attr(feature = "serde", serde(default))]
    pub after: Dependencies,
    /// Whether it bypasses the gates.
    #[cfg_attr(feature = "serde", serde(default))]
    pub now: bool,
    /// How many smaller runs have passed it while it waited for capacity.
    #[cfg_attr(feature = "serde", serde(default))]
    pub bypassed: u32,
    /// Settings that override the definition in this run only, as TOML; values of variables are replaced by `***`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub extras: String,
    /// Health of an active run: `healthy`, `degraded`, `stalled`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub health: Option<String>,
    /// Why it is not healthy.
    #[cfg_attr(feature = "serde", serde(default))]
    pub health_reason: Option<String>,
    /// The author of a pending request to stop it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub stop_requested_by: Option<String>,
    /// All closed gates; empty for a run that does not wait. Thousands of runs can share one list.
    pub waiting_on: W,
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum EntryState {
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

impl EntryState {
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
fn due(not_before: NotBefore, waiting_on: &[WaitReason]) -> Timestamp {
    let gate = waiting_on.iter().find(|waiting| &*waiting.gate == "not-before");
    let from_gate = gate.and_then(|gate| match gate.need.as_ref()? {
        Amount::Text(text) => text.parse().ok(),
        Amount::Number(_) => None,
    });
    from_gate.unwrap_or(not_before.at())
}

impl From<&QueueState> for EntryState {
    fn from(state: &QueueState) -> Self {
        match state {
            QueueState::Waiting => Self::Waiting,
            QueueState::Held { .. } => Self::Held,
            QueueState::Starting { .. } => Self::Starting,
            QueueState::Running => Self::Running,
        }
    }
}

impl QueueEntry {
    /// Returns the entry of a run that has not ended. `without_values` removes the values of variables from extras (TOML):
    /// only the experiment's user and root may read them.
    pub fn new(
        run: &QueuedRun,
        without_values: impl FnOnce(&str) -> String,
        waiting_on: Arc<[WaitReason]>,
    ) -> Self {
        let QueuedRun {
            run: RunId { experiment, number },
            state,
            terms: Terms { priority, group, claim, not_before, after, now, power: _, clocks: _ },
            position,
            bypassed,
            submitted,
            extras,
            by,
            origin,
            stop,
        } = run;
        Self {
            run: *number,
            experiment: experiment.clone(),
            state: EntryState::from(state),
            ended: None,
            priority: *priority,
            group: group.clone(),
            submitted: Some(*submitted),
            by: Some(by.clone()),
            origin: Some(*origin),
            position: Some(position.0),
            memory: claim.memory,
            gpu: claim.gpu,
            not_before: not_before.map(|not_before| due(not_before, &waiting_on)),
            after: after.clone(),
            now: *now,
            bypassed: *bypassed,
            extras: without_values(extras),
            health: None,
            health_reason: None,
            stop_requested_by: stop.clone(),
            waiting_on,
        }
    }

    /// Returns the entry of an ended run.
    pub fn ended(run: RunId, end: RunEnd) -> Self {
        Self {
            run: run.number,
            experiment: run.experiment,
            state: EntryState::Ended,
            ended: Some(end),
            priority: 0,
            group: GroupName::default(),
            submitted: None,
            by: None,
            origin: None,
            position: None,
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

impl<W> QueueEntry<W> {
    /// Returns the id of the run.
    pub fn id(&self) -> RunId {
        RunId { experiment: self.experiment.clone(), number: self.run }
    }

    /// Returns the entry with another form of its gates.
    pub fn with_waiting_on<V>(self, waiting_on: V) -> QueueEntry<V> {
        QueueEntry {
            run: self.run,
            experiment: self.experiment,
            state: self.state,
            ended: self.ended,
            priority: self.priority,
            group: self.group,
            submitted: self.submitted,
            by: self.by,
            origin: self.origin,
            position: self.position,
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
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Why {
    /// The run with its gates.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub entry: QueueEntry,
    /// The waiting runs before it in starting order, as texts such as `amnesiac_001#3`.
    #[cfg_attr(feature = "serde", serde(with = "super::run_texts"))]
    pub ahead: Vec<RunId>,
}

/// A closed gate, as a reason why a run waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WaitReason {
    /// The name of the gate: `slots`, `memory`, `hold`, …
    pub gate: Arc<str>,
    /// The amount that the run needs, in the gate's own unit.
    #[cfg_attr(feature = "serde", serde(default))]
    pub need: Option<Amount>,
    /// The amount that is available.
    #[cfg_attr(feature = "serde", serde(default))]
    pub have: Option<Amount>,
    /// Since when the gate is closed for the run.
    pub since: Timestamp,
    /// A description, without a full stop.
    pub text: Arc<str>,
}

impl From<&WaitingOn> for WaitReason {
    fn from(WaitingOn { gate, since }: &WaitingOn) -> Self {
        Self {
            gate: gate.name().into(),
            need: gate.need(),
            have: gate.have(),
            since: *since,
            text: gate.to_string().into(),
        }
    }
}
