//! What is refused at submission.

use crate::policy::testing::*;
use crate::policy::{PowerModeOption, PowerModeStatus, PowerModesUnknown, admissible};

#[test]
fn a_claim_over_the_budget_is_refused_with_the_numbers() {
    let settings = World::new([]).state.settings;
    let refused = |claim| {
        let terms = waiting("a#1").memory(claim).terms;
        admissible(&terms, &settings, Some(gib(64)), &PowerModeStatus::default())
            .map_err(|error| error.to_string())
    };
    assert_eq!(refused(gib(40)), Ok(()));
    let said = refused(gib(41)).unwrap_err();
    assert_eq!(said, "claims 41.0G of memory, more than the budget of 40.0G");
}

#[test]
fn a_claim_that_leaves_no_reserve_is_refused_with_the_numbers() {
    let mut settings = World::new([]).state.settings;
    settings.total_memory = "infinity".parse().ok();
    let terms = waiting("a#1").memory(gib(64)).terms;
    let said = admissible(&terms, &settings, Some(gib(64)), &PowerModeStatus::default())
        .unwrap_err()
        .to_string();
    assert!(said.contains("reserve of 1.0G of the machine's 64.0G"), "{said}");
    assert_eq!(
        admissible(&terms, &settings, None, &PowerModeStatus::default()),
        Ok(()),
        "the modes are not known"
    );
}

#[test]
fn what_claims_nothing_or_passes_the_gates_is_taken() {
    let settings = World::new([]).state.settings;
    let bare = waiting("a#1").terms;
    assert_eq!(admissible(&bare, &settings, Some(gib(1)), &PowerModeStatus::default()), Ok(()));
    let urgent = waiting("a#1").memory(gib(100)).at_once().terms;
    assert_eq!(admissible(&urgent, &settings, Some(gib(64)), &PowerModeStatus::default()), Ok(()));
}

#[test]
fn a_power_mode_is_refused_only_if_the_board_can_never_have_it() {
    let settings = World::new([]).state.settings;
    let refused = |mode: &str, power: &PowerModeStatus| {
        let terms = waiting("a#1").mode(mode).terms;
        admissible(&terms, &settings, None, power).map_err(|error| error.to_string())
    };
    let offer = PowerModeOption { id: 2, name: "MODE_30W".to_owned(), needs_reboot: true };
    let offered = PowerModeStatus { offered: vec![offer], ..PowerModeStatus::default() };
    for mode in ["MODE_30W", "30w", "2"] {
        assert_eq!(refused(mode, &offered), Ok(()), "it comes with a boot");
    }
    let said = refused("TURBO", &offered).unwrap_err();
    assert_eq!(said, "wants power mode TURBO, and this board has MODE_30W");
    let urgent = waiting("a#1").mode("TURBO").at_once().terms;
    assert_eq!(admissible(&urgent, &settings, None, &offered), Ok(()));
    let trouble =
        |trouble| PowerModeStatus { trouble: Some(trouble), ..PowerModeStatus::default() };
    let file = || "/etc/nvpmodel.conf is odd".to_owned();
    assert_eq!(refused("MAXN", &PowerModeStatus::default()), Ok(()), "a board without modes");
    assert_eq!(refused("MAXN", &trouble(PowerModesUnknown::Unread(file()))), Ok(()), "for now");
    let said = refused("MAXN", &trouble(PowerModesUnknown::NoneUnderstood(file()))).unwrap_err();
    assert_eq!(said, "wants power mode MAXN, and /etc/nvpmodel.conf is odd");
}
