//! Explains why lines of an attempt are not in the journal.

use bij_core::Attempt;
use bij_systemd::OldestEntry;

use crate::view::LogRow;

/// What the journal has of the boot in which an attempt ran.
#[derive(Clone, Copy, Debug)]
pub(super) struct JournalCoverage {
    /// The time of its oldest entry; `None` if there is none.
    pub(super) begins: Option<OldestEntry>,
    /// Whether journald keeps journals on the disk (`Storage=`, journald.conf(5)).
    pub(super) is_persistent: bool,
}

/// Why lines are missing, and which setting keeps them in future.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MissingLines {
    pub(crate) text: String,
    pub(crate) hint: &'static str,
}

const REMOVED: &str =
    "SystemMaxUse= and MaxRetentionSec= limit what journald keeps (journald.conf(5))";
const VOLATILE: &str = "`mkdir /var/log/journal; journalctl --flush` makes journald keep journals across reboots \
     (Storage=, journald.conf(5))";

/// Returns why lines of an attempt may be missing; `None` if the journal reaches back to its start.
pub(super) fn why(attempt: &Attempt, kept: JournalCoverage) -> Option<MissingLines> {
    let Attempt { run, number, .. } = attempt;
    let hint = if kept.is_persistent { REMOVED } else { VOLATILE };
    match kept.begins {
        None => {
            let text = format!(
                "the journal of the boot in which attempt {number} of {run} ran is no longer there"
            );
            Some(MissingLines { text, hint })
        }
        Some(begins) if is_after_start(begins, attempt) => {
            let text = format!(
                "journald has removed lines of attempt {number} of {run}: the journal begins after \
                 its start"
            );
            Some(MissingLines { text, hint: REMOVED })
        }
        Some(_) => None,
    }
}

/// Returns whether an entry was written after an attempt was opened, by the clocks of the boot where both have one. The
/// clock of an attempt includes suspended time, so it is never behind.
fn is_after_start(entry: OldestEntry, attempt: &Attempt) -> bool {
    match (entry.monotonic, attempt.started_uptime) {
        (Some(written), Some(started)) => written.as_micros() > started.as_micros(),
        _ => entry.at > attempt.started,
    }
}

/// Returns the last lines that are kept with an attempt's evidence, with the time of its end.
pub(crate) fn kept_lines(attempt: &Attempt) -> Vec<LogRow> {
    let Some(end) = &attempt.end else { return Vec::new() };
    let row = |message: &String| LogRow {
        at: end.at,
        id: attempt.run.experiment.clone(),
        writer: None,
        message: message.clone(),
        hue: None,
    };
    end.evidence.last_lines.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use bij_core::{
        AttemptKey, AttemptNumber, BootId, InvocationId, MonotonicTime, Timestamp, Uptime,
    };

    use super::*;

    fn attempt() -> Attempt {
        Attempt {
            run: "x#3".parse().unwrap(),
            number: AttemptNumber(2),
            key: AttemptKey {
                boot: BootId::from_bytes([1; 16]),
                invocation: InvocationId::from_bytes([2; 16]),
            },
            started: Timestamp::from_micros(1000),
            started_uptime: None,
            ready: None,
            end: None,
            board: None,
        }
    }

    fn missing(begins: Option<i64>, is_persistent: bool) -> Option<MissingLines> {
        let begin = |at| OldestEntry { at: Timestamp::from_micros(at), monotonic: None };
        why(&attempt(), JournalCoverage { begins: begins.map(begin), is_persistent })
    }

    #[test]
    fn a_missing_journal_is_reported_with_the_setting_that_keeps_it() {
        let gone = missing(None, false).unwrap();
        assert!(gone.text.contains("attempt 2 of x#3") && gone.hint == VOLATILE, "{gone:?}");
        assert_eq!(missing(None, true).unwrap().hint, REMOVED);
        let begun_late = missing(Some(1001), false).unwrap();
        assert!(begun_late.text.contains("removed lines") && begun_late.hint == REMOVED);
        assert_eq!(missing(Some(1000), true), None, "an attempt that printed nothing");
    }

    #[test]
    fn a_clock_that_was_set_does_not_make_lines_missing() {
        let attempt = Attempt { started_uptime: Some(Uptime::from_secs(9)), ..attempt() };
        let begins = |monotonic| {
            let monotonic = Some(MonotonicTime::from_secs(monotonic));
            Some(OldestEntry { at: Timestamp::from_micros(5_000), monotonic })
        };
        let is_missing =
            |begins| why(&attempt, JournalCoverage { begins, is_persistent: true }).is_some();
        assert!(!is_missing(begins(1)) && is_missing(begins(10)));
    }
}
