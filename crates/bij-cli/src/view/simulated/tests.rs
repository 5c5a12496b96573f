use bij_core::Percent;
use insta::{assert_json_snapshot, assert_snapshot};

use super::*;

fn simulated() -> Simulated {
    let experiment = bij_core::ExperimentId::new("amnesiac_001").unwrap();
    let zone = |celsius, soon| ThermalReason::Zone {
        zone: "tj".to_owned(),
        celsius: Celsius::from_millis(celsius),
        soon: Celsius::from_millis(soon),
    };
    let at = |seconds: u64| TimeSpan::from_millis(seconds * 1_000 + 250);
    let to = Percent::new(350);
    let moves = vec![
        (
            at(170),
            ThermalLevel::Hold,
            ThermalDecision { action: ThermalAction::Hold, reason: zone(71_400, 72_600) },
        ),
        (
            at(181),
            ThermalLevel::Throttle,
            ThermalDecision {
                action: ThermalAction::restrain(&experiment, RestraintChange::Cap(to)),
                reason: zone(75_000, 75_100),
            },
        ),
        (
            at(4000),
            ThermalLevel::Normal,
            ThermalDecision {
                action: ThermalAction::restrain(&experiment, RestraintChange::Uncap),
                reason: zone(50_000, 50_000),
            },
        ),
        (
            at(5000),
            ThermalLevel::Blind("cannot read it: gone".to_owned()),
            ThermalDecision {
                action: ThermalAction::Hold,
                reason: ThermalReason::Unreadable("cannot read it: gone".to_owned()),
            },
        ),
    ];
    let hottest = Some(Celsius::from_millis(75_300));
    let mut end = SimulatedEnd::new(at(7200), hottest, &ThermalLevel::Normal, moves.len());
    end.work_percent = Some(98.5);
    end.all_or_nothing_percent = Some(37.5);
    Simulated::new(moves, end)
}

fn text(simulated: &Simulated, width: Option<usize>) -> String {
    let mut out = Vec::new();
    simulated.text(&mut out, &Format { width, ..Format::for_test() }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn each_move_is_shown_with_its_reason_and_the_end() {
    assert_snapshot!(text(&simulated(), None));
    assert_snapshot!(text(&simulated(), Some(60)));
    assert_json_snapshot!(simulated().lines());
}

#[test]
fn a_simulation_without_moves_says_so() {
    let end = SimulatedEnd::new(TimeSpan::from_secs(60), None, &ThermalLevel::Normal, 0);
    let nothing = text(&Simulated::new(Vec::new(), end), None);
    assert_eq!(nothing, "No move in 1min; the temperature is not known.\n");
}
