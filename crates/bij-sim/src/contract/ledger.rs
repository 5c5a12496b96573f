//! The contract of [`Ledger`].

use bij_core::port::Ledger;

mod counting;
pub mod fixture;
mod numbering;
mod queries;
mod repeating;
mod shared;
mod unclosed;

pub use shared::shared_ledger_contract;

/// Judges a ledger. `make` returns an empty one each time.
///
/// # Panics
/// If a clause is violated.
pub fn ledger_contract<L: Ledger>(mut make: impl FnMut() -> L) {
    let clauses: [fn(&mut L); 20] = [
        repeating::opening_twice_returns_the_same_result,
        repeating::opening_again_returns_the_first_result,
        repeating::closing_twice_counts_once_and_the_first_end_stands,
        repeating::closing_an_unopened_attempt_adds_it,
        repeating::opening_an_ended_attempt_changes_nothing,
        repeating::a_key_belongs_to_one_experiment,
        numbering::a_restart_continues_the_run,
        numbering::another_boot_continues_the_run,
        numbering::a_fresh_start_after_a_crash_is_a_new_run,
        numbering::success_stop_and_exit_code_78_end_the_run,
        numbering::a_checkpointed_exit_continues_the_run,
        numbering::a_late_end_does_not_end_a_continued_run,
        counting::crashes_are_counted_by_cause_over_all_runs,
        counting::the_newest_checkpoint_is_kept,
        counting::a_clock_that_jumps_back_changes_no_order,
        queries::queries_select_and_keep_the_order,
        queries::every_experiment_has_its_own_tally,
        unclosed::a_clean_shutdown_is_remembered,
        unclosed::unclosed_attempts_of_another_boot_end_with_it,
        unclosed::unclosed_attempts_of_this_boot_are_found,
    ];
    for clause in clauses {
        clause(&mut make());
    }
}
