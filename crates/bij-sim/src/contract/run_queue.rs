//! The contract of [`RunQueue`], kept by what is a [`Ledger`] of the same runs.

use bij_core::port::{Ledger, RunQueue};

mod changing;
pub mod fixture;
mod shared;
mod starting;
mod submitting;
mod telling;

pub use shared::shared_run_queue_contract;

/// Judges a queue and the ledger that shares its runs; `make` gives an empty one each time.
///
/// # Panics
/// Where a clause is not kept.
pub fn run_queue_contract<Q: RunQueue + Ledger>(mut make: impl FnMut() -> Q) {
    let clauses: [fn(&mut Q); 24] = [
        submitting::runs_get_their_numbers_and_places_in_order,
        submitting::a_submission_is_kept_whole,
        submitting::a_number_is_never_used_twice,
        submitting::what_only_waits_has_no_history,
        changing::every_change_may_be_asked_for_again,
        changing::what_speaks_of_a_run_that_is_over_or_of_none_changes_nothing,
        changing::what_is_submitted_later_comes_behind_what_was_moved,
        changing::several_changes_are_made_in_their_order,
        changing::groups_are_kept_whole_until_they_are_removed,
        changing::who_paused_first_stands,
        changing::a_run_is_where_it_was_said_to_be,
        changing::a_stop_is_wanted_until_the_run_is_over_or_put_back,
        changing::what_was_decided_of_a_run_that_has_moved_on_is_not_done,
        starting::a_run_that_nobody_submitted_is_in_the_queue_while_it_is_not_over,
        starting::a_start_takes_the_run_that_was_let_start_in_this_boot,
        starting::a_start_that_nobody_let_takes_the_first_that_waits,
        starting::what_was_let_start_in_another_boot_goes_on_first,
        starting::a_restart_carries_on_though_others_wait,
        starting::what_a_reboot_or_heat_interrupted_goes_before_what_waits,
        starting::what_is_put_back_and_stopped_waits_and_goes_on_with_its_next_attempt,
        starting::a_run_that_was_ended_is_not_carried_on,
        telling::every_change_is_told_once,
        telling::attempts_and_ends_are_told_by_whoever_writes_them,
        telling::a_reader_resumes_without_a_gap,
    ];
    for clause in clauses {
        clause(&mut make());
    }
}
