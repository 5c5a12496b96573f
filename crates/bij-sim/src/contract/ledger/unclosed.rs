//! Clauses: unclosed attempts are found and closed.

use bij_core::port::{AttemptQuery, Ledger};
use bij_core::{
    Cause, Outcome, Progress, RecoveredEnd, Witness, close_other_boots, unclosed_attempts,
};

use super::fixture::{self, at, boot, end, fresh, key};

const READS: &str = "the ledger can be read";
const WRITES: &str = "the ledger can be written";

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
    let last_words = |attempt: &bij_core::Attempt| RecoveredEnd {
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
