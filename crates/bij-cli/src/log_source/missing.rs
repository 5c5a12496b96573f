//! Why lines that an attempt wrote are not in the journal.

use bij_core::Attempt;
use bij_systemd::OldestEntry;

use crate::view::LogRow;

/// What is known of the journal of the boot in which an attempt ran.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    /// When its oldest entry was written; `None` if it has none.
    pub(super) begins: Option<OldestEntry>,
    /// Whether journald keeps journals on the disk (`Storage=`, journald.conf(5)).
    pub(super) is_persistent: bool,
}

/// Why lines are missing, and how to keep them the next time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) text: String,
    pub(crate) hint: &'static str,
}

const REMOVED: &str =
    "SystemMaxUse= and MaxRetentionSec= say how much journald keeps (journald.conf(5))";
const VOLATILE: &str = "`mkdir /var/log/journal; journalctl --flush` has journald keep journals across reboots \
     (Storage=, journald.conf(5))";

/// Returns why lines of an attempt are missing, if they can be.
pub(super) fn why(attempt: &Attempt, kept: Kept) -> Option<Missing> {
    let Attempt { run, number, .. } = attempt;
    let hint = if kept.is_persistent { REMOVED } else { VOLATILE };
    match kept.begins {
        None => {
            let text = format!(
                "the journal of the boot in which attempt {number} of {run} ran is no longer there"
            );
            Some(Missing { text, hint })
        }
        Some(begins) if is_after_start(begins, attempt) => {
            let text = format!(
                "journald has removed lines of attempt {number} of {run}: the journal begins after \
                 its start"
            );
            Some(Missing { text, hint: REMOVED })
        }
        Some(_) => None,
    }
}

/// Returns whether an entry was written after an attempt had been opened, if it can be told by a clock that is
/// not set. The clock of an attempt counts suspended time as well, so it is never behind.
fn is_after_start(entry: OldestEntry, attempt: &Attempt) -> bool {
    match (entry.since_boot, attempt.started_uptime) {
        (Some(written), Some(started)) => written > started,
        _ => entry.at > attempt.started,
    }
}

/// The last lines of an attempt that were kept with its evidence, at the time of its end.
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
    use bij_core::{AttemptKey, AttemptNumber, BootId, InvocationId, TimeSpan, Timestamp};

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

    fn told(begins: Option<i64>, is_persistent: bool) -> Option<Missing> {
        let begin = |at| OldestEntry { at: Timestamp::from_micros(at), since_boot: None };
        why(&attempt(), Kept { begins: begins.map(begin), is_persistent })
    }

    #[test]
    fn a_journal_that_has_gone_is_told_with_the_setting_that_keeps_it() {
        let gone = told(None, false).unwrap();
        assert!(gone.text.contains("attempt 2 of x#3") && gone.hint == VOLATILE, "{gone:?}");
        assert_eq!(told(None, true).unwrap().hint, REMOVED);
        let begun_late = told(Some(1001), false).unwrap();
        assert!(begun_late.text.contains("removed lines") && begun_late.hint == REMOVED);
        assert_eq!(told(Some(1000), true), None, "an attempt that printed nothing");
    }

    #[test]
    fn a_clock_that_was_set_does_not_make_lines_missing() {
        let attempt = Attempt { started_uptime: Some(TimeSpan::from_secs(9)), ..attempt() };
        let begins = |since_boot| {
            let since_boot = Some(TimeSpan::from_secs(since_boot));
            Some(OldestEntry { at: Timestamp::from_micros(5_000), since_boot })
        };
        let is_missing = |begins| why(&attempt, Kept { begins, is_persistent: true }).is_some();
        assert!(!is_missing(begins(1)) && is_missing(begins(10)));
    }
}
