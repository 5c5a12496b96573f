//! Thermal control: suspended, stopped and requeued runs.

use std::collections::BTreeMap;

use bij_core::port::{AttemptQuery, Handover as _, Ledger as _, UnitManager as _};
use bij_core::queue::{EventKind, QueueState};
use bij_core::request::{Act, Submit};
use bij_core::{Cause, Celsius, Order, OrderKind, TimeSpan};
use bij_sim::{LedgerFault, Script, ScriptedEnd};

use super::machine::*;
use crate::thermal::{
    RestraintChange, ThermalAction, ThermalDecision, ThermalLevel, ThermalReason, ThermalStatus,
};

fn hot() -> ThermalReason {
    let celsius = Celsius::new(80);
    ThermalReason::Zone { zone: "tj".to_owned(), celsius, soon: celsius }
}

fn thermal(level: ThermalLevel) -> ThermalStatus {
    let held = (level != ThermalLevel::Normal).then(hot);
    ThermalStatus { level, held, ..ThermalStatus::default() }
}

impl Machine {
    fn warm(&mut self, level: ThermalLevel) {
        let now = self.now();
        self.coordinator.update_thermal(thermal(level), &[], now);
        self.settle();
    }

    /// What the ladder does to it.
    fn stop_for_heat(&mut self, name: &str) {
        let order = Order { kind: OrderKind::Heat, by: hot().to_string() };
        self.handover.stop(&id(name), &order).unwrap();
        at_once(self.units.stop(&id(name))).unwrap();
    }
}

fn machine() -> Machine {
    let mut machine = Machine::new(2);
    for name in ["a", "b", "c", "d"] {
        machine.define(name, Script::runs());
    }
    machine.submit(&["a", "b", "c"]);
    machine.settle();
    machine
}

#[test]
fn what_was_stopped_for_heat_goes_on_before_all_others_when_it_is_cool() {
    let mut machine = machine();
    machine.warm(ThermalLevel::Critical);
    machine.stop_for_heat("b");
    machine.stop_for_heat("a");
    machine.settle();
    assert_eq!(machine.up(), [""; 0]);
    assert_eq!(machine.stored(), ["a#1 waiting", "b#1 waiting", "c#1 waiting"]);
    assert_eq!(machine.gates_of("a#1"), ["heat"]);
    let troubles = machine.coordinator.status().troubles;
    assert_eq!(troubles, ["new starts are on hold because of heat: tj is at 80.0 °C"]);
    let ended = machine.events(EventKind::AttemptEnded);
    assert!(ended.iter().all(|event| event.data["cause"] == "heat"), "{ended:?}");
    machine.warm(ThermalLevel::Normal);
    assert_eq!(machine.stored(), ["a#1 running", "b#1 running", "c#1 waiting"]);
    assert_eq!(machine.events(EventKind::AttemptBegun).len(), 4, "the same runs went on");
}

#[test]
fn what_crashes_while_it_is_hot_is_not_brought_back_and_keeps_its_run() {
    let mut machine = Machine::new(2);
    machine.define_with("a", Script::ends(TimeSpan::from_secs(5), ScriptedEnd::Exit(1)), |spec| {
        spec.restart.delay = TimeSpan::from_secs(60);
    });
    machine.submit(&["a"]);
    machine.settle();
    machine.warm(ThermalLevel::Hold);
    machine.pass(6);
    // Systemd is about to bring it back, and its hook asks.
    let verdict = machine.admit("a");
    assert!(!verdict.admitted);
    let text = verdict.text.unwrap();
    assert_eq!(text, "tj is at 80.0 °C; experiments are held back from 75.0 °C on");
    assert_eq!(machine.state_of("a#1"), Some(QueueState::Waiting));
    at_once(machine.units.stop(&id("a"))).unwrap();
    machine.settle();
    assert_eq!(machine.gates_of("a#1"), ["heat"]);
    machine.warm(ThermalLevel::Normal);
    assert_eq!(machine.state_of("a#1"), Some(QueueState::Running));
}

#[test]
fn a_run_that_passes_the_gates_passes_the_heat_gate_unless_all_are_stopped() {
    for (level, up) in [(ThermalLevel::Hold, vec!["d"]), (ThermalLevel::Critical, vec![])] {
        let mut machine = Machine::new(2);
        machine.define("d", Script::runs());
        machine.warm(level);
        let mut submit = Submit::new(id("d"));
        submit.now = true;
        machine.request(vec![submit]).unwrap();
        machine.settle();
        assert_eq!(machine.up(), up);
    }
}

#[test]
fn a_limit_of_its_own_keeps_one_experiment_waiting_and_no_other() {
    let mut machine = machine();
    let (limit, celsius) = (Celsius::new(60), Celsius::new(62));
    let too_hot = ThermalReason::TooHotFor { limit, celsius };
    let too_hot_for = BTreeMap::from([(id("c"), too_hot)]);
    let now = machine.now();
    let own = ThermalStatus { too_hot_for, ..ThermalStatus::default() };
    machine.coordinator.update_thermal(own, &[], now);
    machine.submit(&["d"]);
    machine.stop_for_heat("a");
    machine.stop_for_heat("b");
    machine.settle();
    assert_eq!(machine.up(), ["a", "b"], "they go on at once: it is cool for them");
    machine.act("a", &Act::Stop).unwrap();
    machine.settle();
    assert_eq!(machine.up(), ["b", "d"]);
    assert_eq!(machine.gates_of("c#1"), ["heat", "slots"]);
}

#[test]
fn each_move_is_an_event_with_its_reading_though_the_store_takes_it_later() {
    let mut machine = machine();
    machine.ledger.fail(Some(LedgerFault::Full));
    let action = ThermalAction::restrain(&id("a"), RestraintChange::Freeze);
    let now = machine.now();
    let moves = [ThermalDecision { action, reason: hot() }];
    machine.coordinator.update_thermal(thermal(ThermalLevel::Throttle), &moves, now);
    machine.settle();
    assert!(machine.events(EventKind::Heat).is_empty());
    machine.ledger.fail(None);
    machine.pass(3);
    let [event] = &machine.events(EventKind::Heat)[..] else { panic!("it is recorded once") };
    assert_eq!((event.at, event.run.unwrap().0), (now.at, 1));
    assert_eq!(event.data["step"], "freeze");
    assert_eq!(event.data["celsius"], "80");
    assert_eq!(event.data["text"], "tj is at 80.0 °C: freezes a");
}

#[test]
fn the_ladder_gets_the_running_experiments_with_their_heat_settings() {
    let mut machine = Machine::new(2);
    machine.define_with("a", Script::runs(), |spec| {
        spec.thermal.max_celsius = Some(70.5);
        spec.limits.cpu = "250%".parse().ok();
        spec.queue.priority = 3;
    });
    machine.define_with("b", Script::runs(), |spec| spec.thermal.freeze = Some(false));
    machine.submit(&["a", "b"]);
    machine.settle();
    let running = machine.coordinator.running_experiments();
    let [a, b] = &running.loads[..] else { panic!("{running:?}") };
    assert_eq!((a.priority, a.can_freeze, b.can_freeze), (3, true, false));
    assert_eq!(a.max_celsius, Some(Celsius::from_degrees(70.5)));
    assert!(a.cpu < b.cpu);
    machine.pass(2);
    assert_eq!(machine.coordinator.running_experiments(), running, "time alone is no news");
    machine.stop_for_heat("a");
    machine.warm(ThermalLevel::Critical);
    let running = machine.coordinator.running_experiments();
    assert_eq!(running.loads.len(), 1);
    assert_eq!(running.limits.len(), 1, "it waits, and its limit is remembered");
}

#[test]
fn an_edited_definition_applies_to_running_and_waiting_experiments() {
    let mut machine = Machine::new(2);
    for name in ["a", "b"] {
        machine.define_with(name, Script::runs(), |spec| spec.thermal.max_celsius = Some(70.0));
    }
    machine.submit(&["a", "b"]);
    machine.settle();
    let limits = |machine: &mut Machine| {
        let limits = machine.coordinator.running_experiments().limits;
        limits.into_values().collect::<Vec<_>>()
    };
    let degrees = Celsius::from_degrees;
    assert_eq!(limits(&mut machine), [degrees(70.0), degrees(70.0)]);
    machine.stop_for_heat("a");
    machine.warm(ThermalLevel::Critical);
    for (name, celsius) in [("a", 60.0), ("b", 65.0)] {
        machine.define_with(name, Script::runs(), |spec| spec.thermal.max_celsius = Some(celsius));
    }
    machine.pass(1);
    assert_eq!(limits(&mut machine), [degrees(60.0), degrees(65.0)]);
    machine.forget_definition("b");
    machine.pass(1);
    assert_eq!(limits(&mut machine), [degrees(60.0), degrees(65.0)], "it is just being written");
}

#[test]
fn an_end_by_heat_is_recorded_although_its_hook_is_killed() {
    let mut machine = machine();
    machine.settle();
    machine.kills_ends = true;
    machine.warm(ThermalLevel::Critical);
    machine.stop_for_heat("a");
    machine.settle();
    let causes = |machine: &Machine| {
        let attempts = machine.ledger.attempts(&AttemptQuery::default()).unwrap();
        attempts.into_iter().map(|it| it.end.map(|end| end.cause)).collect::<Vec<_>>()
    };
    assert_eq!(causes(&machine), [None, None]);
    machine.pass(10);
    assert_eq!(causes(&machine), [Some(Cause::Heat), None], "b goes on");
    assert_eq!(machine.state_of("a#1"), Some(QueueState::Waiting));
}
