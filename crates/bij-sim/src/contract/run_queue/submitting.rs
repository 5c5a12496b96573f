//! Clauses: submissions become runs.

use bij_core::port::{Ledger, RunQueue};
use bij_core::queue::{
    Claim, Delay, Dependencies, GpuClaim, NotBefore, Origin, QueuePosition, QueueState, RunRef,
    Submission, Terms,
};
use bij_core::spec::Clocks;
use bij_core::{BootId, Bytes, RunNumber, RunState, TimeSpan, Uptime};

use super::fixture::{self, READS, WRITES, cancel, change, run, submission, submit};
use crate::contract::ledger_fixture::{at, experiment};

pub(super) fn runs_get_their_numbers_and_positions_in_order(queue: &mut (impl RunQueue + Ledger)) {
    assert_eq!(queue.load().expect(READS).runs, []);
    assert_eq!(queue.submit(&[], at(0)).expect(WRITES), []);
    let all = ["x", "y", "x"].map(submission);
    let mut taken = queue.submit(&all, at(0)).expect(WRITES);
    taken.push(submit(queue, "y"));
    let numbers: Vec<_> = taken.iter().map(|queued| queued.run.to_string()).collect();
    assert_eq!(numbers, ["x#1", "y#1", "x#2", "y#2"]);
    assert!(taken.is_sorted_by(|a, b| a.position < b.position), "each behind all that were there");
    assert_eq!(fixture::in_order(queue), taken);
}

/// Returns a submission in which no field has its default value.
fn special() -> Submission {
    let dependency = |text: &str| text.parse().expect("it is written as dependencies are");
    Submission {
        experiment: experiment("x"),
        terms: Terms {
            priority: -7,
            group: "night".parse().expect("it is a name"),
            claim: Claim { memory: Some(Bytes::new(8 << 30)), gpu: GpuClaim::Exclusive },
            not_before: Some(NotBefore::Delay(Delay::new(
                TimeSpan::from_secs(3600),
                BootId::from_bytes([7; 16]),
                at(0),
                Uptime::from_secs(42),
            ))),
            after: Dependencies::Any(vec![dependency("calibrate#3"), dependency("end:y")]),
            now: true,
            power: Some("MODE_30W".into()),
            clocks: Clocks::Max,
        },
        held: Some("bob".to_owned()),
        extras: "[limits]\nmemory = \"1G\"\n".to_owned(),
        by: "alice ö'\"".to_owned(),
        origin: Origin::Start,
    }
}

pub(super) fn every_field_of_a_submission_is_kept(queue: &mut (impl RunQueue + Ledger)) {
    let plain = submission("x");
    let special = special();
    let taken = queue.submit(&[plain.clone(), special.clone()], at(5)).expect(WRITES);
    for (queued, submission) in taken.iter().zip([plain, special]) {
        let state = match submission.held {
            Some(by) => QueueState::Held { by },
            None => QueueState::Waiting,
        };
        assert_eq!(queued.state, state);
        assert_eq!(queued.terms, submission.terms);
        assert_eq!(queued.extras, submission.extras);
        assert_eq!(queued.by, submission.by);
        assert_eq!(queued.origin, submission.origin);
        assert_eq!((queued.submitted, queued.bypassed), (at(5), 0));
    }
    let mut read = queue.load().expect(READS).runs;
    read.sort_by_key(|queued| queued.position);
    assert_eq!(read, taken);
}

pub(super) fn a_number_is_never_used_twice(queue: &mut (impl RunQueue + Ledger)) {
    let mut last = QueuePosition(i64::MIN);
    for number in 1..=3 {
        let queued = submit(queue, "x");
        assert_eq!(queued.run.number, RunNumber(number));
        assert!(queued.position > last);
        last = queued.position;
        change(queue, cancel(&queued.run.to_string()));
    }
    assert_eq!(fixture::run_names(queue), [""; 0]);
}

pub(super) fn a_run_that_only_waits_has_no_history(queue: &mut (impl RunQueue + Ledger)) {
    submit(queue, "x");
    assert_eq!(queue.tallies().expect(READS), [].into());
    assert_eq!(queue.tally(&experiment("x")).expect(READS), bij_core::Tally::default());
    let newest = RunRef::Newest(experiment("x"));
    assert_eq!(queue.run_state(&newest).expect(READS), Some(RunState::Open));
    assert_eq!(queue.run_state(&RunRef::Run(run("x#2"))).expect(READS), None);
}
