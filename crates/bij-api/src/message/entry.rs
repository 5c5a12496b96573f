//! A run in the queue.

use std::sync::Arc;

use bij_core::definition::{SourceFile, SpecOverlay};
use bij_core::queue::{
    Amount, Dependencies, GpuClaim, GroupName, NotBefore, Origin, QueueState, QueuedRun, Terms,
    WaitingOn,
};
use bij_core::{Bytes, ExperimentId, RunEnd, RunId, RunNumber, Timestamp};
use serde::{Deserialize, Serialize};

use super::Waiting;

/// A run and where it stands: one element of `bij --json queue`.
///
/// `W` is how its closed gates are told: each by itself, or on the wire by what many have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<W = Arc<[Waiting]>> {
    /// The run's number.
    pub run: RunNumber,
    /// Whose run.
    pub experiment: ExperimentId,
    /// Where it stands.
    pub state: State,
    /// How it ended, if it is over.
    #[serde(default)]
    pub ended: Option<RunEnd>,
    /// Higher goes first.
    pub priority: i32,
    /// Whose slots it uses.
    pub group: GroupName,
    /// When it was taken in; absent for a run that is over.
    #[serde(default)]
    pub submitted: Option<Timestamp>,
    /// Who asked for it.
    #[serde(default)]
    pub by: Option<String>,
    /// How it came into the queue.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// Its place among those of its priority: lower goes first.
    #[serde(default)]
    pub place: Option<i64>,
    /// The memory that it claims.
    #[serde(default)]
    pub memory: Option<Bytes>,
    /// How it uses the GPU.
    #[serde(default)]
    pub gpu: GpuClaim,
    /// It starts not before this time.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// Nor before these.
    #[serde(default)]
    pub after: Dependencies,
    /// Whether it passes the gates.
    #[serde(default)]
    pub now: bool,
    /// How many smaller runs have passed it while it waited for room.
    #[serde(default)]
    pub bypassed: u32,
    /// What is laid over the definition in this run only, as TOML; of variables only the names, and `***`
    /// for each value.
    #[serde(default)]
    pub extras: String,
    /// How it does, if it is up: `healthy`, `degraded`, `stalled`.
    #[serde(default)]
    pub health: Option<String>,
    /// Why it is not healthy.
    #[serde(default)]
    pub health_reason: Option<String>,
    /// Who wants it stopped, if somebody does.
    #[serde(default)]
    pub stop_requested_by: Option<String>,
    /// Every closed gate; empty for a run that does not wait. Thousands can share one list.
    pub waiting_on: W,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It waits for its gates.
    Waiting,
    /// It waits for somebody to release it.
    Held,
    /// It was let start, and no attempt has begun yet.
    Starting,
    /// An attempt lives, or the next one is due.
    Running,
    /// It is over.
    Ended,
}

impl State {
    /// The word for it in output.
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

/// The earliest start. What its gate says is newer than what was expected when a span began.
fn due(not_before: NotBefore, waiting_on: &[Waiting]) -> Timestamp {
    let gate = waiting_on.iter().find(|waiting| &*waiting.gate == "not-before");
    let told = gate.and_then(|gate| match gate.need.as_ref()? {
        Amount::Text(text) => text.parse().ok(),
        Amount::Number(_) => None,
    });
    told.unwrap_or(not_before.at())
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
    /// A run that is not over, and what it waits for.
    pub fn of(run: QueuedRun, waiting_on: &[WaitingOn]) -> Self {
        Self::with_gates(run, waiting_on.iter().map(Waiting::from).collect())
    }

    /// A run that is not over, and what it waits for as it is told to somebody else too.
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

    /// A run that is over.
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

/// Extras as everybody may see them. The run's own are for the experiment's user and root, who find them
/// in the experiment's environment.
fn without_values(extras: String) -> String {
    // There can be thousands of runs, and few of them have variables of their own.
    if !extras.contains("environment") {
        return extras;
    }
    match SpecOverlay::parse(SourceFile::new("extras", extras.as_bytes())) {
        Ok(overlay) => overlay.without_values().to_toml(),
        // They were checked when they were taken in; what cannot be read is not shown either.
        Err(_) => "# these extras cannot be read\n".to_owned(),
    }
}

impl<W> Entry<W> {
    /// The run's name.
    pub fn id(&self) -> RunId {
        RunId { experiment: self.experiment.clone(), number: self.run }
    }

    /// The same with its gates told in another way.
    pub(crate) fn telling<V>(self, waiting_on: V) -> Entry<V> {
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

/// A run, what it waits for, and who goes first: what `bij --json why` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The run.
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
    fn of_variables_only_the_names_are_told() {
        let mut overlay = SpecOverlay::default();
        overlay.add_environment("TOKEN=secret").unwrap();
        overlay.add_limit("memory=2G").unwrap();
        let told = without_values(overlay.to_toml());
        assert!(told.contains("TOKEN") && told.contains("2G"), "{told}");
        assert!(!told.contains("secret"), "{told}");
        assert!(!without_values("environment = secret".to_owned()).contains("secret"));
        assert_eq!(without_values("limits.tasks = 7".to_owned()), "limits.tasks = 7");
    }
}
