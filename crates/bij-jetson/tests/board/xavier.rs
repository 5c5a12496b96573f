//! A Xavier NX, whose `nvpmodel.conf` has parameters of TYPE=HWMON.

use bij_jetson::{ParamKind, WhyNot};

use crate::tree::{Board, XAVIER_NX, captured, sample};

#[test]
fn its_modes_are_read_with_parameters_of_hwmon() {
    let board = sample(captured(XAVIER_NX));
    let current = board.power.current.unwrap();
    assert_eq!((current.id, current.name.as_deref()), (2, Some("MODE_15W_6CORE")));
    let ids: Vec<u32> = board.power.offered.unwrap().iter().map(|mode| mode.id).collect();
    assert_eq!(ids, [0, 1, 2, 3, 5, 8]);
    assert_eq!(board.power.passed_over, []);
    let conf = Board::unpack(&captured(XAVIER_NX)).nvpmodel().conf().unwrap();
    let limit = conf.params.iter().find(|param| param.kind == ParamKind::Hwmon).unwrap();
    assert!(limit.paths[0].1.ends_with("/hwmon curr1_max"), "{limit:?}");
}

#[test]
fn a_mode_with_a_malformed_line_may_need_a_reboot() {
    let mut tree = captured(XAVIER_NX);
    let conf = Board::unpack(&tree).nvpmodel().conf().unwrap().to_string();
    let conf = conf.replace("VDDIN_OC_LIMIT WARN 3000", "VDDIN_OC_LIMIT WARN 3000 mA");
    tree.set("etc/nvpmodel.conf", conf.replacen("3000 mA", "3000", 1));
    let power = sample(tree).power;
    assert_eq!(power.passed_over.len(), 5);
    let offered = power.offered.unwrap();
    assert_eq!(offered[0].needs_reboot, Ok(false));
    assert!(matches!(offered[1].needs_reboot, Err(WhyNot::Unparsable(_))), "{offered:?}");
    assert_eq!(power.current.unwrap().id, 2);
}
