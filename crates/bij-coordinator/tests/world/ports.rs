//! The models as the coordinator's ports.

use bij_coordinator::{Adapters, Coordinator, Ports};
use bij_core::port::{Started, UnitError, UnitManager};
use bij_core::{ExperimentId, Outcome, UnitStatus};
use bij_sim::{Fuse, Fused, SimBoard, SimDefinitions, SimHandover, SimUnits};

use crate::door::Door;

/// Models, each behind a fuse; the store also behind a door at which every start is judged.
pub(crate) struct SimPorts;

impl Ports for SimPorts {
    type Units = Fused<Watched>;
    type Store = Fused<Door>;
    type Definitions = Fused<SimDefinitions>;
    type Board = Fused<SimBoard>;
    type Handover = Fused<SimHandover>;
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
    fuse: &Fuse,
) -> Adapters<SimPorts> {
    Adapters {
        units: Fused::new(Watched(machine.units.clone(), door.clone()), fuse.clone()).into(),
        store: Fused::new(door, fuse.clone()),
        definitions: Fused::new(machine.definitions.clone(), fuse.clone()),
        board: Fused::new(machine.board.clone(), fuse.clone()),
        handover: Fused::new(machine.handover.clone(), fuse.clone()),
    }
}
