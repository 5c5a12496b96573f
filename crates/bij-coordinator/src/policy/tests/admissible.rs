//! What is refused at submission.

use crate::policy::admissible;
use crate::policy::testing::*;

#[test]
fn a_claim_over_the_budget_is_refused_with_the_numbers() {
    let settings = World::of([]).state.settings;
    let refused = |claim| {
        let terms = waiting("a#1").memory(claim).terms;
        admissible(&terms, &settings, Some(gib(64))).map_err(|error| error.to_string())
    };
    assert_eq!(refused(gib(40)), Ok(()));
    let said = refused(gib(41)).unwrap_err();
    assert_eq!(said, "claims 41.0G of memory, more than the budget of 40.0G");
}

#[test]
fn a_claim_that_leaves_no_reserve_is_refused_with_the_numbers() {
    let mut settings = World::of([]).state.settings;
    settings.total_memory = "infinity".parse().ok();
    let terms = waiting("a#1").memory(gib(64)).terms;
    let said = admissible(&terms, &settings, Some(gib(64))).unwrap_err().to_string();
    assert!(said.contains("reserve of 1.0G of the machine's 64.0G"), "{said}");
    assert_eq!(admissible(&terms, &settings, None), Ok(()), "nobody knows");
}

#[test]
fn what_claims_nothing_or_passes_the_gates_is_taken() {
    let settings = World::of([]).state.settings;
    let bare = waiting("a#1").terms;
    assert_eq!(admissible(&bare, &settings, Some(gib(1))), Ok(()));
    let urgent = waiting("a#1").memory(gib(100)).at_once().terms;
    assert_eq!(admissible(&urgent, &settings, Some(gib(64))), Ok(()));
}
