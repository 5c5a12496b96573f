//! Clauses: queries return the attempts that they select.

use bij_core::port::{AttemptQuery, Ledger};
use bij_core::{Attempt, RunNumber, Tally};

use super::fixture::{self, end, experiment, fresh, restart};

const READS: &str = "the ledger can be read";
const WRITES: &str = "the ledger can be written";

fn invocations(attempts: &[Attempt]) -> Vec<u32> {
    let number = |attempt: &Attempt| {
        let text = attempt.key.invocation.to_string();
        u32::from_str_radix(&text[24..], 16).expect("the contract made it from a number")
    };
    attempts.iter().map(number).collect()
}

pub(super) fn queries_select_and_keep_the_order(ledger: &mut impl Ledger) {
    let starts = [
        fresh("x", 1, 5),
        fresh("y", 1, 4),
        restart("x", 1, 3),
        fresh("x", 1, 2),
        fresh("y", 1, 1),
    ];
    for opening in &starts {
        ledger.open(opening).expect(WRITES);
    }
    for opening in &starts[..3] {
        ledger.close(&end(opening, fixture::segfault())).expect(WRITES);
    }
    let all = AttemptQuery::default;
    let x = || Some(experiment("x"));
    for (query, expected) in [
        (all(), vec![5, 4, 3, 2, 1]),
        (AttemptQuery { experiment: x(), ..all() }, vec![5, 3, 2]),
        (AttemptQuery { experiment: x(), run: Some(RunNumber(1)), ..all() }, vec![5, 3]),
        (AttemptQuery { run: Some(RunNumber(2)), ..all() }, vec![2, 1]),
        (AttemptQuery { newest: Some(2), ..all() }, vec![2, 1]),
        (AttemptQuery { experiment: x(), newest: Some(2), ..all() }, vec![3, 2]),
        (AttemptQuery { newest: Some(2), skip_newest: 1, ..all() }, vec![3, 2]),
        (AttemptQuery { skip_newest: 3, ..all() }, vec![5, 4]),
        (AttemptQuery { experiment: x(), skip_newest: 9, ..all() }, vec![]),
        (AttemptQuery { newest: Some(0), ..all() }, vec![]),
        (AttemptQuery { newest: Some(usize::MAX), ..all() }, vec![5, 4, 3, 2, 1]),
        (AttemptQuery { open: true, ..all() }, vec![2, 1]),
        (AttemptQuery { experiment: x(), open: true, newest: Some(5), ..all() }, vec![2]),
        (AttemptQuery { experiment: Some(experiment("z")), ..all() }, vec![]),
    ] {
        let found = ledger.attempts(&query).expect(READS);
        assert_eq!(invocations(&found), expected, "{query:?}");
    }
}

pub(super) fn every_experiment_has_its_own_tally(ledger: &mut impl Ledger) {
    assert_eq!(ledger.tallies().expect(READS), [].into());
    assert_eq!(ledger.tally(&experiment("x")).expect(READS), Tally::default());
    for (name, invocation, evidence) in [
        ("x", 1, fixture::oom_kill()),
        ("y", 2, fixture::success()),
        ("x", 3, fixture::with_checkpoint(1, fixture::exit(4))),
    ] {
        let opening = fresh(name, 1, invocation);
        ledger.open(&opening).expect(WRITES);
        ledger.close(&end(&opening, evidence)).expect(WRITES);
    }
    ledger.open(&fresh("open", 1, 4)).expect(WRITES);
    let tallies = ledger.tallies().expect(READS);
    let names: Vec<_> = tallies.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["open", "x", "y"]);
    for (id, tally) in &tallies {
        assert_eq!(*tally, ledger.tally(id).expect(READS), "{id}");
    }
    assert_eq!(tallies[&experiment("x")].crashes, 2);
    assert_eq!(tallies[&experiment("y")].crashes, 0);
    assert_eq!(tallies[&experiment("open")].last_cause, None);
}
