//! The models as the coordinator's ports.

use bij_coordinator::{Adapters, Coordinator, Ports};
use bij_core::port::{Started, UnitError, UnitManager};
use bij_core::{ExperimentId, Outcome, UnitStatus};
use bij_sim::{KillSwitch, KillablePort, SimBoard, SimDefinitions, SimHandover, SimUnits};

use crate::door::Door;

/// Models, each behind a kill switch; the store also behind a door at which every start is judged.
pub(crate) struct SimPorts;

impl Ports for SimPorts {
    type Units = KillablePort<Watched>;
    type Store = KillablePort<Door>;
    type Definitions = KillablePort<SimDefinitions>;
    type Board = KillablePort<SimBoard>;
    type Handover = KillablePort<SimHandover>;
}

/// Units whose starts are judged when they are asked for.
pub(crate) struct Watched(SimUnits, Door);

impl UnitManager for Watched {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        self.1.judge_order(id);
        self.0.start(id).await
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        self.0.stop(id).await
    }

    async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
        self.0.status(id).await
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        self.0.list().await
    }
}

pub(crate) type SimCoordinator = Coordinator<SimPorts>;

pub(crate) fn adapters(
    machine: &bij_sim::SimMachine,
    door: Door,
    kill_switch: &KillSwitch,
) -> Adapters<SimPorts> {
    Adapters {
        units: KillablePort::new(Watched(machine.units.clone(), door.clone()), kill_switch.clone())
            .into(),
        store: KillablePort::new(door, kill_switch.clone()),
        definitions: KillablePort::new(machine.definitions.clone(), kill_switch.clone()),
        board: KillablePort::new(machine.board.clone(), kill_switch.clone()),
        handover: KillablePort::new(machine.handover.clone(), kill_switch.clone()),
    }
}
