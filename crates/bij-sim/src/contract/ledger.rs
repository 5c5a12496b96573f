//! The contract of [`Ledger`].

use bij_core::port::Ledger;

mod counting;
pub mod fixture;
mod leftovers;
mod numbering;
mod queries;
mod repeating;
mod shared;

pub use shared::shared_ledger_contract;

/// Judges a ledger; `make` gives an empty one each time.
///
/// # Panics
/// Where a clause is not kept.
pub fn ledger_contract<L: Ledger>(mut make: impl FnMut() -> L) {
    let clauses: [fn(&mut L); 20] = [
        repeating::opening_twice_tells_the_same_story,
        repeating::opening_again_tells_what_was_told,
        repeating::closing_twice_counts_once_and_the_first_word_stands,
        repeating::closing_what_nobody_opened_adds_it,
        repeating::opening_what_has_ended_changes_nothing,
        repeating::a_key_belongs_to_one_experiment,
        numbering::a_restart_carries_on_the_run,
        numbering::another_boot_carries_on_the_run,
        numbering::a_fresh_start_after_a_crash_is_a_new_run,
        numbering::success_stop_and_never_end_the_run,
        numbering::a_checkpointed_exit_is_carried_on,
        numbering::a_late_end_does_not_end_a_run_that_went_on,
        counting::crashes_are_counted_by_cause_over_all_runs,
        counting::the_newest_checkpoint_is_kept,
        counting::a_clock_that_jumps_back_changes_no_order,
        queries::queries_choose_and_keep_the_order,
        queries::every_experiment_is_added_up_on_its_own,
        leftovers::a_clean_shutdown_is_remembered,
        leftovers::what_another_boot_left_open_ends_with_it,
        leftovers::what_this_boot_left_open_is_found,
    ];
    for clause in clauses {
        clause(&mut make());
    }
}
