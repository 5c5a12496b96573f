//! The contract of [`RunQueue`], for an implementation that is also the [`Ledger`] of the runs.

use std::collections::BTreeSet;
use std::thread;

use crate::contract::ledger_fixture::{at, end, fresh, success};
use bij_core::port::{Ledger, RunQueue};
use bij_core::queue::EventKind;
use fixture::{READS, WRITES, events, run_names, submission, submit};

mod changing;
mod events;
pub mod fixture;
mod starting;
mod submitting;

/// Judges a queue and the ledger that shares its runs. `make` returns an empty one each time.
///
/// # Panics
/// If a clause is violated.
pub fn run_queue_contract<Q: RunQueue + Ledger>(mut make: impl FnMut() -> Q) {
    let clauses: [fn(&mut Q); 24] = [
        submitting::runs_get_their_numbers_and_positions_in_order,
        submitting::every_field_of_a_submission_is_kept,
        submitting::a_number_is_never_used_twice,
        submitting::a_run_that_only_waits_has_no_history,
        changing::every_change_may_be_repeated,
        changing::changes_of_ended_and_unknown_runs_change_nothing,
        changing::later_submissions_are_placed_behind_moved_runs,
        changing::several_changes_are_made_in_their_order,
        changing::every_field_of_a_group_is_kept_until_it_is_removed,
        changing::the_first_pause_stands,
        changing::a_run_has_the_state_and_position_that_were_set,
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

const CLIENTS: u32 = 4;
const ROUNDS: u32 = 5;

/// Judges a queue with several clients. Each call of `connect` returns another client of the same
/// queue, which is empty at first.
///
/// # Panics
/// If a clause is violated.
pub fn shared_run_queue_contract<Q: RunQueue + Ledger>(connect: impl Fn() -> Q + Sync) {
    let client = |client: u32| {
        let mut queue = connect();
        let mut taken = Vec::new();
        for round in 0..ROUNDS {
            let both = [submission("x"), submission(&format!("client-{client}"))];
            taken.extend(queue.submit(&both, at(0)).expect(WRITES));
            // Meanwhile units are started and end.
            let opening = fresh(&format!("unit-{client}"), 1, client * 100 + round);
            queue.open(&opening).expect(WRITES);
            queue.close(&end(&opening, success())).expect(WRITES);
        }
        taken
    };
    let client = &client;
    let taken: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> =
            (1..=CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().expect("the client does not panic"))
            .collect()
    });
    let mut queue = connect();
    let runs: BTreeSet<_> = taken.iter().map(|queued| queued.run.to_string()).collect();
    let positions: BTreeSet<_> = taken.iter().map(|queued| queued.position).collect();
    assert_eq!((runs.len(), positions.len()), (taken.len(), taken.len()), "none is given twice");
    assert_eq!(run_names(&queue).into_iter().collect::<BTreeSet<_>>(), runs);
    assert_eq!(submit(&mut queue, "x").run.number.0, CLIENTS * ROUNDS + 1);
    let recorded = events(&queue);
    assert!(recorded.iter().map(|event| event.seq).eq(1..=u64::from(CLIENTS * ROUNDS * 5 + 1)));
    let of_a_kind = |kind| recorded.iter().filter(|event| event.kind == kind).count();
    assert_eq!(of_a_kind(EventKind::Submitted), taken.len() + 1, "{READS}");
}
