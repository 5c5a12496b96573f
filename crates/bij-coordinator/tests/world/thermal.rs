//! The board grows hot: all units are stopped without asking the coordinator.

use bij_coordinator::thermal::{
    RestraintChange, StopUrgency, ThermalAction, ThermalDecision, ThermalLevel, ThermalReason,
    ThermalStatus,
};
use bij_core::port::Handover;
use bij_core::{Celsius, Order, OrderKind};

use crate::world::World;

const HOT: Celsius = Celsius::new(90);

impl World {
    /// Makes the board too hot for any experiment, or cool again.
    pub(crate) fn set_heat(&mut self, hot: bool) {
        self.is_hot = hot;
        let up = if hot { self.machine.units.up() } else { Vec::new() };
        let stops = up.iter().map(|id| ThermalDecision {
            action: ThermalAction::restrain(id, RestraintChange::Stop(StopUrgency::Critical)),
            reason: reason(),
        });
        let stops: Vec<ThermalDecision> = stops.collect();
        self.report_heat(&stops);
        for id in up {
            let order = Order { kind: OrderKind::Heat, by: reason().to_string() };
            self.machine.handover.stop(&id, &order).expect("the model takes it");
            self.machine.units.stop_from_elsewhere(&id);
        }
    }

    /// Reports the temperature and the decisions to the coordinator, before anything else happens.
    pub(crate) fn report_heat(&mut self, moves: &[ThermalDecision]) {
        let now = self.now();
        let thermal = if self.is_hot {
            ThermalStatus {
                level: ThermalLevel::Critical,
                held: Some(reason()),
                ..ThermalStatus::default()
            }
        } else {
            ThermalStatus::default()
        };
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.update_thermal(thermal, moves, now);
            self.is_awake = true;
        }
    }

    /// Checks that no start is admitted while the board is too hot.
    pub(crate) fn is_let_start_in_the_heat(&mut self, run: &str) {
        if self.is_hot {
            self.wrong.push(format!("nothing is let start while it is too hot: {run} was"));
        }
    }
}

fn reason() -> ThermalReason {
    ThermalReason::Zone { zone: "tj".to_owned(), celsius: HOT, soon: HOT }
}
