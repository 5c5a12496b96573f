//! The contract of [`RunQueue`], for an implementation that is also the [`Ledger`] of the runs.

use bij_core::port::{Ledger, RunQueue};

mod changing;
mod events;
pub mod fixture;
mod shared;
mod starting;
mod submitting;

pub use shared::shared_run_queue_contract;

/// Judges a queue and the ledger that shares its runs. `make` returns an empty one each time.
///
/// # Panics
/// If a clause is violated.
pub fn run_queue_contract<Q: RunQueue + Ledger>(mut make: impl FnMut() -> Q) {
    let clauses: [fn(&mut Q); 24] = [
        submitting::runs_get_their_numbers_and_places_in_order,
        submitting::every_field_of_a_submission_is_kept,
        submitting::a_number_is_never_used_twice,
        submitting::a_run_that_only_waits_has_no_history,
        changing::every_change_may_be_repeated,
        changing::changes_of_ended_and_unknown_runs_change_nothing,
        changing::later_submissions_are_placed_behind_moved_runs,
        changing::several_changes_are_made_in_their_order,
        changing::every_field_of_a_group_is_kept_until_it_is_removed,
        changing::the_first_pause_stands,
        changing::a_run_has_the_state_and_place_that_were_set,
        changing::a_stop_request_lasts_until_the_run_ends_or_is_requeued,
        changing::a_decision_about_an_outdated_state_changes_nothing,
        starting::a_run_without_submission_is_in_the_queue_until_it_ends,
        starting::a_start_takes_the_run_admitted_in_this_boot,
        starting::a_start_without_admission_takes_the_first_waiting_run,
        starting::a_run_admitted_in_another_boot_starts_first,
        starting::a_restart_continues_its_run_although_others_wait,
        starting::an_interrupted_run_starts_before_waiting_runs,
        starting::a_requeued_and_stopped_run_waits_and_continues_with_its_next_attempt,
        starting::an_ended_run_is_not_continued,
        events::every_change_is_recorded_once,
        events::attempts_and_ends_are_recorded_with_their_write,
        events::a_reader_resumes_without_a_gap,
    ];
    for clause in clauses {
        clause(&mut make());
    }
}
