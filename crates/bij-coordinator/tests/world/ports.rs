//! The models as the coordinator's ports.

use bij_coordinator::{Adapters, Coordinator, Ports};
use bij_sim::{Fuse, Fused, SimBoard, SimDefinitions, SimHandover, SimUnits};

use crate::door::Door;

/// Models, each behind a fuse; the store also behind a door at which every start is judged.
pub(crate) struct SimPorts;

impl Ports for SimPorts {
    type Units = Fused<SimUnits>;
    type Store = Fused<Door>;
    type Definitions = Fused<SimDefinitions>;
    type Board = Fused<SimBoard>;
    type Handover = Fused<SimHandover>;
}

pub(crate) type SimCoordinator = Coordinator<SimPorts>;

pub(crate) fn adapters(machine: &bij_sim::Machine, door: Door, fuse: &Fuse) -> Adapters<SimPorts> {
    Adapters {
        units: Fused::new(machine.units.clone(), fuse.clone()).into(),
        store: Fused::new(door, fuse.clone()),
        definitions: Fused::new(machine.definitions.clone(), fuse.clone()),
        board: Fused::new(machine.board.clone(), fuse.clone()),
        handover: Fused::new(machine.handover.clone(), fuse.clone()),
    }
}
