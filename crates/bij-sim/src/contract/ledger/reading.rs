//! Clauses: counters cover all attempts of an experiment, queries return the attempts that they select, and unclosed
//! attempts are found and closed.

use std::collections::BTreeMap;

use bij_core::port::{AttemptQuery, Ledger};
use bij_core::{
    Attempt, Cause, Outcome, Progress, RecoveredEnd, RunNumber, Tally, TimeSpan, Timestamp,
    Witness, close_other_boots, close_this_boot, unclosed_attempts,
};

use super::fixture::{self, at, boot, end, experiment, fresh, key, restart};

const READS: &str = "the ledger can be read";
const WRITES: &str = "the ledger can be written";

pub(super) fn crashes_are_counted_by_cause_over_all_runs(ledger: &mut impl Ledger) {
    let id = experiment("x");
    let mut expected = BTreeMap::<Cause, u64>::new();
    let mut attempts = 0;
    let twice = fixture::ways_to_end().into_iter().chain(fixture::ways_to_end());
    for (number, (cause, evidence)) in (1..).zip(twice) {
        let opening = fresh("x", 1, number);
        let before = ledger.tally(&id).expect(READS);
        ledger.open(&opening).expect(WRITES);
        let closing = end(&opening, evidence);
        ledger.close(&closing).expect(WRITES);
        if closing.end.is_crash() {
            *expected.entry(cause).or_default() += 1;
        }
        attempts += 1;
        let after = ledger.tally(&id).expect(READS);
        assert_eq!(after.attempts, attempts);
        assert_eq!(after.crashes_by_cause, expected, "after {cause}");
        assert_eq!(after.crashes, expected.values().sum::<u64>());
        assert!(after.crashes >= before.crashes);
        assert_eq!(after.last_cause, Some(cause));
    }
}

pub(super) fn the_newest_checkpoint_is_kept(ledger: &mut impl Ledger) {
    let id = experiment("x");
    let ends = [
        fixture::oom_kill(),
        fixture::with_checkpoint(3, fixture::oom_kill()),
        fixture::with_checkpoint(5, fixture::exit(1)),
        fixture::segfault(),
    ];
    let mut steps = Vec::new();
    for (number, evidence) in (1..).zip(ends) {
        let opening = restart("x", 1, number);
        ledger.open(&opening).expect(WRITES);
        ledger.close(&end(&opening, evidence)).expect(WRITES);
        let saved = ledger.tally(&id).expect(READS).last_checkpoint;
        steps.push(saved.and_then(|progress| progress.step));
    }
    assert_eq!(steps, [None, Some(3), Some(5), Some(5)]);
    // The late end of an older attempt does not replace the data of a newer one.
    let (older, newer) = (restart("x", 1, 8), restart("x", 1, 9));
    ledger.open(&older).expect(WRITES);
    ledger.open(&newer).expect(WRITES);
    let saved = |step| fixture::with_checkpoint(step, fixture::oom_kill());
    ledger.close(&end(&newer, saved(9))).expect(WRITES);
    ledger.close(&end(&older, fixture::with_checkpoint(8, fixture::exit(1)))).expect(WRITES);
    let tally = ledger.tally(&id).expect(READS);
    assert_eq!(tally.last_checkpoint.and_then(|progress| progress.step), Some(9));
    assert_eq!(tally.last_cause, Some(Cause::OomKill));
    assert_eq!(tally.crashes, 6);
}

pub(super) fn a_clock_that_jumps_back_changes_no_order(ledger: &mut impl Ledger) {
    const HOUR: TimeSpan = TimeSpan::from_secs(3600);
    let back = |time: Timestamp| time - HOUR;
    let one = fresh("x", 1, 1);
    ledger.open(&one).expect(WRITES);
    let mut closing = end(&one, fixture::oom_kill());
    closing.end.at = back(closing.end.at);
    ledger.close(&closing).expect(WRITES);
    let mut two = restart("x", 1, 2);
    two.at = back(two.at);
    let opened = ledger.open(&two).expect(WRITES);
    assert_eq!((opened.run.number.0, opened.attempt.0), (1, 2));
    assert_eq!(opened.before.last_cause, Some(Cause::OomKill));
    ledger.close(&end(&two, fixture::success())).expect(WRITES);
    let attempts = ledger.attempts(&AttemptQuery::default()).expect(READS);
    let keys: Vec<_> = attempts.iter().map(|attempt| attempt.key).collect();
    assert_eq!(keys, [one.key, two.key]);
    assert!(attempts[0].end.as_ref().is_some_and(|end| end.at < attempts[0].started));
    let tally = ledger.tally(&one.experiment).expect(READS);
    assert_eq!((tally.attempts, tally.crashes), (2, 1));
    assert_eq!(tally.last.map(|attempt| attempt.key), Some(two.key));
    assert_eq!(tally.last_cause, Some(Cause::Success));
}

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

pub(super) fn a_clean_shutdown_is_remembered(ledger: &mut impl Ledger) {
    assert!(!ledger.ended_cleanly(boot(1)).expect(READS));
    assert_eq!(ledger.mark_clean_shutdown(boot(1), at(1)).expect(WRITES), Outcome::Changed);
    assert_eq!(ledger.mark_clean_shutdown(boot(1), at(2)).expect(WRITES), Outcome::Unchanged);
    assert!(ledger.ended_cleanly(boot(1)).expect(READS));
    assert!(!ledger.ended_cleanly(boot(2)).expect(READS));
}

pub(super) fn unclosed_attempts_of_another_boot_end_with_it(ledger: &mut impl Ledger) {
    let clean = fresh("x", 1, 1);
    let cut = fresh("y", 2, 2);
    let here = fresh("z", 3, 3);
    for opening in [&clean, &cut, &here] {
        ledger.open(opening).expect(WRITES);
    }
    let done = fresh("done", 2, 4);
    ledger.open(&done).expect(WRITES);
    ledger.close(&end(&done, fixture::success())).expect(WRITES);
    ledger.mark_clean_shutdown(boot(1), at(50)).expect(WRITES);
    let progress =
        Progress { step: Some(7), checkpoint: Some("7.ckpt".to_owned()), ..Progress::default() };
    let last_words = |attempt: &Attempt| RecoveredEnd {
        ended: (attempt.key == clean.key).then(|| at(49)),
        progress: Some(progress.clone()),
        notes: Vec::new(),
    };
    let closed = close_other_boots(ledger, boot(3), at(60), last_words).expect(WRITES);
    let recorded: Vec<_> = closed
        .iter()
        .map(|attempt| {
            let end = attempt.end.as_ref().expect("it was just ended");
            (attempt.key, end.cause, end.at, end.evidence.notes.len())
        })
        .collect();
    assert_eq!(
        recorded,
        [(clean.key, Cause::Reboot, at(49), 0), (cut.key, Cause::PowerLoss, at(60), 1)]
    );
    for attempt in &closed {
        let end = attempt.end.as_ref().expect("it was just ended");
        assert_eq!(end.evidence.prove(), end.cause, "the verdict can be given again");
        assert_eq!(end.evidence.witness, Some(Witness::NextBoot));
        assert_eq!(end.evidence.progress.as_ref(), Some(&progress));
    }
    let open = ledger.attempts(&AttemptQuery { open: true, ..AttemptQuery::default() });
    let open: Vec<_> = open.expect(READS).iter().map(|attempt| attempt.key).collect();
    assert_eq!(open, [here.key]);
    let again = close_other_boots(ledger, boot(3), at(70), |_| RecoveredEnd::default());
    assert_eq!(again.expect(WRITES), []);
    // The run continues where the power cut interrupted it.
    let resumed = ledger.open(&fresh("y", 3, 5)).expect(WRITES);
    assert_eq!((resumed.run.number.0, resumed.attempt.0), (1, 2));
    assert_eq!(resumed.before.last_checkpoint, Some(progress));
    assert_eq!(resumed.before.crashes, 1);
}

pub(super) fn unclosed_attempts_of_this_boot_are_found(ledger: &mut impl Ledger) {
    ledger.open(&fresh("x", 1, 1)).expect(WRITES);
    ledger.open(&fresh("y", 1, 2)).expect(WRITES);
    ledger.open(&fresh("z", 2, 3)).expect(WRITES);
    let lost = unclosed_attempts(ledger, boot(1), |attempt| attempt.key == key(1, 2)).expect(READS);
    let lost: Vec<_> = lost.iter().map(|attempt| attempt.key).collect();
    assert_eq!(lost, [key(1, 1)]);
}

pub(super) fn unclosed_attempts_of_this_boot_are_closed_as_unknown(ledger: &mut impl Ledger) {
    for opening in [fresh("x", 1, 1), restart("x", 1, 2), fresh("y", 1, 3), fresh("z", 2, 4)] {
        ledger.open(&opening).expect(WRITES);
    }
    let is_running = |attempt: &Attempt| attempt.key == key(1, 3);
    let recover = |_: &Attempt| RecoveredEnd { ended: Some(at(49)), ..RecoveredEnd::default() };
    let close = |ledger: &mut _| close_this_boot(ledger, boot(1), at(60), is_running, recover);
    let closed = close(ledger).expect(WRITES);
    let ends = closed.iter().map(|attempt| {
        let end = attempt.end.as_ref().expect("it was just ended");
        assert_eq!((end.cause, end.evidence.prove()), (Cause::Unknown, Cause::Unknown));
        assert_eq!(end.evidence.witness, Some(Witness::NextStart));
        (attempt.key, end.at, end.evidence.notes.len())
    });
    let ends: Vec<_> = ends.collect();
    assert_eq!(ends, [(key(1, 1), at(60), 1), (key(1, 2), at(49), 0)]);
    assert_eq!(close(ledger).expect(WRITES), []);
    let open = ledger.attempts(&AttemptQuery { open: true, ..AttemptQuery::default() });
    let open: Vec<_> = open.expect(READS).iter().map(|attempt| attempt.key).collect();
    assert_eq!(open, [key(1, 3), key(2, 4)]);
    // An unknown end is a crash, and the run goes on.
    let next = ledger.open(&restart("x", 1, 5)).expect(WRITES);
    assert_eq!((next.run.number.0, next.attempt.0, next.before.crashes), (1, 3, 2));
}
