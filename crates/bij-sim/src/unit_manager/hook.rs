//! The hooks around every start and end of a unit, which the test may run.

use bij_core::{ExperimentId, InvocationId};

use super::{SimEnding, SimUnits};

/// A running hook. Its unit waits until it exits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimHookCall {
    /// The experiment of the unit.
    pub id: ExperimentId,
    /// The invocation of the unit that the hook belongs to.
    pub invocation: InvocationId,
    /// Which of the unit's hooks runs.
    pub hook: Hook,
    /// Automatic restarts since the last manual start (`NRestarts`).
    pub restarts: u32,
}

/// A hook of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `ExecCondition=bij-hook start` asks for admission.
    Admit,
    /// The same process was admitted and opens the attempt.
    Begin,
    /// `ExecStopPost=bij-hook end`, with the ending of the attempt.
    End(SimEnding),
}

impl SimUnits {
    /// Returns the same manager with hooks that run until [`SimUnits::leave`]. Without this, hooks
    /// exit at once.
    #[must_use]
    pub fn attended(self) -> Self {
        self.state().attended = true;
        self
    }

    /// Returns the running hooks, ordered by experiment.
    pub fn hooks(&self) -> Vec<SimHookCall> {
        let state = self.state();
        let calls = state.units.iter().filter_map(|(id, unit)| unit.hook_call(id));
        calls.collect()
    }

    /// Has a hook exit, with code 0 if it succeeded. A hook that runs no more is ignored.
    pub fn leave(&self, call: &SimHookCall, succeeded: bool) {
        let mut state = self.state();
        if state.units.get(&call.id).and_then(|unit| unit.hook_call(&call.id)).as_ref()
            == Some(call)
        {
            state.with_unit(&call.id, |unit, context| unit.hook_exited(succeeded, context));
        }
    }
}
