//! The contract of [`Ledger`].

use std::thread;

use bij_core::Outcome;
use bij_core::port::{AttemptQuery, Ledger};

use fixture::{end, fresh, restart};

pub mod fixture;
mod reading;
mod recording;

/// Judges a ledger. `make` returns an empty one each time.
///
/// # Panics
/// If a clause is violated.
pub fn ledger_contract<L: Ledger>(mut make: impl FnMut() -> L) {
    let clauses: [fn(&mut L); 21] = [
        recording::opening_twice_returns_the_same_result,
        recording::opening_again_returns_the_first_result,
        recording::closing_twice_counts_once_and_the_first_end_stands,
        recording::closing_an_unopened_attempt_adds_it,
        recording::opening_an_ended_attempt_changes_nothing,
        recording::a_key_belongs_to_one_experiment,
        recording::a_restart_continues_the_run,
        recording::another_boot_continues_the_run,
        recording::a_fresh_start_after_a_crash_is_a_new_run,
        recording::success_stop_and_exit_code_78_end_the_run,
        recording::a_checkpointed_exit_continues_the_run,
        recording::a_late_end_does_not_end_a_continued_run,
        reading::crashes_are_counted_by_cause_over_all_runs,
        reading::the_newest_checkpoint_is_kept,
        reading::a_clock_that_jumps_back_changes_no_order,
        reading::queries_select_and_keep_the_order,
        reading::every_experiment_has_its_own_tally,
        reading::a_clean_shutdown_is_remembered,
        reading::unclosed_attempts_of_another_boot_end_with_it,
        reading::unclosed_attempts_of_this_boot_are_found,
        reading::unclosed_attempts_of_this_boot_are_closed_as_unknown,
    ];
    for clause in clauses {
        clause(&mut make());
    }
}

const READS: &str = "the ledger can be read";
const WRITES: &str = "the ledger can be written";
const CLIENTS: u32 = 8;
const ATTEMPTS: u32 = 5;

/// Judges a ledger with several clients. Each call of `connect` returns another client of the same
/// ledger, which is empty at first.
///
/// # Panics
/// If a clause is violated.
pub fn shared_ledger_contract<L: Ledger>(connect: impl Fn() -> L + Sync) {
    ends_at_the_same_time_are_all_kept(&connect);
    the_same_end_from_many_clients_counts_once(&connect);
    many_clients_of_one_experiment_get_no_number_twice(&connect);
}

fn ends_at_the_same_time_are_all_kept<L: Ledger>(connect: &(impl Fn() -> L + Sync)) {
    let run_client = |client: u32| {
        let mut ledger = connect();
        for attempt in 0..ATTEMPTS {
            let opening = fresh(&format!("client-{client}"), 1, client * 100 + attempt);
            ledger.open(&opening).expect(WRITES);
            // All ends have the same time.
            let mut closing = end(&opening, fixture::oom_kill());
            closing.end.at = fixture::at(0);
            assert_eq!(ledger.close(&closing).expect(WRITES), Outcome::Changed);
        }
    };
    thread::scope(|scope| {
        for client in 1..=CLIENTS {
            scope.spawn(move || run_client(client));
        }
    });
    let tallies = connect().tallies().expect(READS);
    assert_eq!(tallies.len(), usize::try_from(CLIENTS).expect("it is small"));
    for tally in tallies.values() {
        assert_eq!((tally.attempts, tally.crashes), (u64::from(ATTEMPTS), u64::from(ATTEMPTS)));
    }
}

fn the_same_end_from_many_clients_counts_once<L: Ledger>(connect: &(impl Fn() -> L + Sync)) {
    let opening = fresh("shared", 2, 1);
    connect().open(&opening).expect(WRITES);
    let closing = end(&opening, fixture::segfault());
    let close = || connect().close(&closing).expect(WRITES) == Outcome::Changed;
    let changed = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(close)).collect();
        clients
            .into_iter()
            .filter_map(|client| client.join().ok())
            .filter(|changed| *changed)
            .count()
    });
    assert_eq!(changed, 1);
    assert_eq!(connect().tally(&opening.experiment).expect(READS).crashes, 1);
}

fn many_clients_of_one_experiment_get_no_number_twice<L: Ledger>(
    connect: &(impl Fn() -> L + Sync),
) {
    thread::scope(|scope| {
        for client in 1..=CLIENTS {
            scope.spawn(move || connect().open(&restart("one", 3, client)).expect(WRITES));
        }
    });
    let query = AttemptQuery { experiment: Some(fixture::experiment("one")), ..Default::default() };
    let numbers: Vec<_> =
        connect().attempts(&query).expect(READS).iter().map(|attempt| attempt.number.0).collect();
    assert_eq!(numbers, (1..=CLIENTS).collect::<Vec<_>>());
}
