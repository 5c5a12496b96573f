//! What stands around every start and end of a unit, left to who attends the model.

use bij_core::{ExperimentId, InvocationId};

use super::{Ending, SimUnits};

/// A hook that is running: its unit goes no further before it has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookCall {
    /// Whose.
    pub id: ExperimentId,
    /// The life of the unit that it belongs to.
    pub invocation: InvocationId,
    /// Which.
    pub hook: Hook,
    /// Automatic restarts since the last manual start (`NRestarts`).
    pub restarts: u32,
}

/// A hook of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `ExecCondition=bij-hook start` asks whether it may start.
    Admit,
    /// It may, and the same process opens the attempt.
    Begin,
    /// `ExecStopPost=bij-hook end`, with how the life has ended.
    End(Ending),
}

impl SimUnits {
    /// The same manager, whose hooks run until [`SimUnits::leave`] says that they have left. By
    /// itself they leave at once.
    #[must_use]
    pub fn attended(self) -> Self {
        self.world().attended = true;
        self
    }

    /// The hooks that are running, in the order of their experiments.
    pub fn hooks(&self) -> Vec<HookCall> {
        let world = self.world();
        let calls = world.units.iter().filter_map(|(id, unit)| unit.hook_call(id));
        calls.collect()
    }

    /// A hook leaves, with exit code 0 or not. One that runs no more is passed over.
    pub fn leave(&self, call: &HookCall, well: bool) {
        let mut world = self.world();
        if world.units.get(&call.id).and_then(|unit| unit.hook_call(&call.id)).as_ref()
            == Some(call)
        {
            world.with_unit(&call.id, |unit, now| unit.hook_left(well, now));
        }
    }
}
