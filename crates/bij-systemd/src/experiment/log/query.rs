//! Selects log lines, and builds journalctl's arguments for them.

use bij_core::{BootId, ExperimentId, InvocationId, TimeSpan, Timestamp};

use super::lines::JournalLine;
use crate::RuntimeScope;
use crate::experiment::EXPERIMENT_UNITS;
use crate::journal::{TrustedWriters, format_time, options};

/// Selects log lines; the default is all lines of all experiments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalQuery {
    /// Experiments to select; empty for all.
    pub experiments: Vec<ExperimentId>,
    /// Attempts to select; empty for all.
    pub attempts: Vec<AttemptSpan>,
    /// Maximum number of existing lines; the newest are shown.
    pub newest: Option<usize>,
    /// Earliest time, in the format of systemd.time(7).
    pub since: Option<String>,
    /// Latest time, in the format of systemd.time(7).
    pub until: Option<String>,
    /// Regular expression that the text must match, as of `journalctl --grep`.
    pub grep: Option<String>,
    /// Whether to wait for new lines.
    pub follow: bool,
}

/// The time span of one attempt, which selects its log lines.
///
/// journald looks up the invocation of a line while the writer is alive. The last lines of a process often lack it, so
/// they are selected by boot and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptSpan {
    /// The boot in which the attempt ran.
    pub boot: BootId,
    /// The invocation id of the attempt's unit.
    pub invocation: InvocationId,
    /// When the attempt began.
    pub started: Timestamp,
    /// When the attempt ended; `None` while it runs.
    pub ended: Option<Timestamp>,
    /// Whether all lines of the attempt lie between these times, because the time of day is known not to have been set
    /// meanwhile.
    pub is_clock_steady: bool,
}

impl AttemptSpan {
    fn contains(&self, line: &JournalLine) -> bool {
        if let Some(invocation) = line.invocation {
            return invocation == self.invocation;
        }
        let begun = line.at >= self.started;
        let not_over = self.ended.is_none_or(|ended| line.at <= ended + LATE);
        let is_its_time = if self.is_clock_steady { begun && not_over } else { begun || not_over };
        is_its_time && line.boot.is_none_or(|boot| boot == self.boot)
    }
}

/// How long after the end of an attempt its last lines may be written, if only their time distinguishes them from those
/// of the next attempt.
const LATE: TimeSpan = TimeSpan::from_secs(1);

/// How long after the end of an attempt journald may write lines with its invocation. It buffers megabytes of output,
/// and gives a line the time at which it takes it from there.
const MAX_LAG: TimeSpan = TimeSpan::from_secs(600);

/// Number of lines that journalctl shows before it follows.
const BEFORE_FOLLOWING: usize = 10;

impl JournalQuery {
    /// Returns `true` if the query selects a line; journalctl's arguments alone select too many.
    pub fn selects(&self, line: &JournalLine) -> bool {
        (self.experiments.is_empty() || self.experiments.contains(&line.experiment))
            && (self.attempts.is_empty()
                || self.attempts.iter().any(|attempt| attempt.contains(line)))
    }

    /// Returns the maximum number of existing lines.
    pub(super) fn line_limit(&self) -> Option<usize> {
        match (self.newest, self.follow, &self.since) {
            (None, true, None) => Some(BEFORE_FOLLOWING),
            (newest, ..) => newest,
        }
    }

    /// Returns the journalctl arguments for existing lines.
    pub(super) fn backlog_arguments(&self, scope: RuntimeScope) -> Vec<String> {
        let mut arguments = options();
        if self.attempts.is_empty() {
            arguments.extend(self.line_limit().map(|newest| format!("--lines={newest}")));
        }
        let (since, until) = self.times();
        arguments.extend(since.map(|since| format!("--since={since}")));
        arguments.extend(until.map(|until| format!("--until={until}")));
        arguments.extend(self.grep.iter().map(|grep| format!("--grep={grep}")));
        arguments.extend(self.units(scope));
        arguments.extend(self.boots().into_iter().map(|boot| format!("_BOOT_ID={boot}")));
        arguments
    }

    /// Returns the times for `--since` and `--until`: those of the query, or else the span of the selected attempts if
    /// it is known.
    fn times(&self) -> (Option<String>, Option<String>) {
        let asked = (self.since.clone(), self.until.clone());
        let is_span_known =
            self.attempts.iter().all(|attempt| attempt.is_clock_steady) && self.boots().len() == 1;
        if asked != (None, None) || !is_span_known {
            return asked;
        }
        let first = self.attempts.iter().map(|attempt| attempt.started).min();
        let ends: Option<Vec<_>> =
            self.attempts.iter().map(|attempt| Some(attempt.ended? + MAX_LAG)).collect();
        let last = ends.and_then(|ends| ends.into_iter().max());
        (first.map(format_time), last.map(format_time))
    }

    /// Returns the boots of the selected attempts, sorted.
    fn boots(&self) -> Vec<BootId> {
        let mut boots: Vec<BootId> = self.attempts.iter().map(|attempt| attempt.boot).collect();
        boots.sort();
        boots.dedup();
        boots
    }

    /// Returns the journalctl arguments for new lines, after `cursor`, or else from `started` on.
    ///
    /// journalctl expands a unit pattern once, against the units that it knows then, and misses values that no record
    /// had before. So all records that can be about an experiment are followed, and filtered here.
    pub(super) fn follow_arguments(
        &self,
        trust: TrustedWriters,
        cursor: Option<&str>,
        started: Timestamp,
    ) -> Vec<String> {
        let mut arguments = options();
        arguments.extend(["--follow", "--no-tail"].map(ToOwned::to_owned));
        arguments.push(match cursor {
            Some(cursor) => format!("--after-cursor={cursor}"),
            None => format!("--since={}", format_time(started)),
        });
        arguments.extend(self.until.iter().map(|until| format!("--until={until}")));
        arguments.extend(self.grep.iter().map(|grep| format!("--grep={grep}")));
        arguments.extend(trust.candidate_matches());
        arguments
    }

    /// Selects units with journalctl's own option, which includes the manager's records about them.
    fn units(&self, scope: RuntimeScope) -> Vec<String> {
        let option = match scope {
            RuntimeScope::System => "--unit",
            RuntimeScope::User => "--user-unit",
        };
        if self.experiments.is_empty() {
            return vec![format!("{option}={EXPERIMENT_UNITS}")];
        }
        self.experiments.iter().map(|id| format!("{option}={}", id.unit_name())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::author::Writer;
    use super::*;

    fn id(text: &str) -> ExperimentId {
        ExperimentId::new(text).unwrap()
    }

    #[test]
    fn all_experiments_are_selected_by_a_pattern_and_followed_without_one() {
        let query = JournalQuery { follow: true, ..JournalQuery::default() };
        let backlog = query.backlog_arguments(RuntimeScope::System);
        assert_eq!(backlog[5..], ["--lines=10", "--unit=brain-experiment@*.service"]);
        let started = Timestamp::from_micros(5_900_000);
        let follow = query.follow_arguments(TrustedWriters::System, None, started);
        assert_eq!(
            follow[5..],
            ["--follow", "--no-tail", "--since=@5.900000", "BIJ_KIND=experiment", "+", "_PID=1"]
        );
        let user = TrustedWriters::User { uid: nix::unistd::Uid::from_raw(1000) };
        let follow = query.follow_arguments(user, Some("s=1;i=2"), started);
        assert_eq!(follow[7..], ["--after-cursor=s=1;i=2", "_UID=1000"]);
    }

    #[test]
    fn a_query_becomes_arguments_of_journalctl() {
        let query = JournalQuery {
            experiments: vec![id("a"), id("b")],
            newest: Some(3),
            since: Some("-1h".to_owned()),
            grep: Some("loss=nan".to_owned()),
            ..JournalQuery::default()
        };
        assert_eq!(
            query.backlog_arguments(RuntimeScope::User)[5..],
            [
                "--lines=3",
                "--since=-1h",
                "--grep=loss=nan",
                "--user-unit=brain-experiment@a.service",
                "--user-unit=brain-experiment@b.service",
            ]
        );
    }

    fn boot(number: u8) -> BootId {
        BootId::from_bytes([number; 16])
    }

    fn line(at: i64, invocation: Option<u8>) -> JournalLine {
        JournalLine {
            at: Timestamp::from_micros(at),
            boot: Some(boot(1)),
            experiment: id("a"),
            invocation: invocation.map(|byte| InvocationId::from_bytes([byte; 16])),
            priority: None,
            writer: Writer::Experiment,
            text: String::new(),
        }
    }

    #[test]
    fn lines_without_an_invocation_are_selected_by_their_time() {
        let (started, ended) = (Timestamp::from_micros(100), Timestamp::from_micros(200));
        let invocation = InvocationId::from_bytes([1; 16]);
        let attempt = AttemptSpan {
            boot: boot(1),
            invocation,
            started,
            ended: Some(ended),
            is_clock_steady: true,
        };
        let query =
            JournalQuery { attempts: vec![attempt], newest: Some(3), ..JournalQuery::default() };
        assert!(query.selects(&line(150, Some(1))) && query.selects(&line(150, None)));
        assert!(query.selects(&line(300, None)), "written late");
        assert!(!query.selects(&line(150, Some(2))) && !query.selects(&line(99, None)));
        assert!(!query.selects(&line(2_000_000, None)));
        assert!(query.selects(&line(2_000_000, Some(1))), "journald was slow");
        // journalctl cannot limit lines that it cannot distinguish.
        assert_eq!(
            query.backlog_arguments(RuntimeScope::System)[5..],
            [
                "--since=@0.000100",
                "--until=@600.000200",
                "--unit=brain-experiment@*.service",
                "_BOOT_ID=01010101010101010101010101010101",
            ]
        );
        let other = JournalLine { boot: Some(boot(2)), ..line(150, None) };
        assert!(!query.selects(&other), "another boot");
        let open = JournalQuery { attempts: vec![AttemptSpan { ended: None, ..attempt }], ..query };
        assert!(open.selects(&line(2_000_000, None)));
        let arguments = open.backlog_arguments(RuntimeScope::System);
        assert!(!arguments.iter().any(|word| word.starts_with("--until")));
    }

    #[test]
    fn setting_the_clock_hides_no_line_of_an_attempt() {
        let invocation = InvocationId::from_bytes([1; 16]);
        // The clock was set back during the attempt.
        let (started, ended) = (Timestamp::from_micros(900_000_000), Timestamp::from_micros(5));
        let attempt = AttemptSpan {
            boot: boot(1),
            invocation,
            started,
            ended: Some(ended),
            is_clock_steady: false,
        };
        let query = JournalQuery {
            experiments: vec![id("a")],
            attempts: vec![attempt],
            ..JournalQuery::default()
        };
        let arguments = query.backlog_arguments(RuntimeScope::System);
        assert_eq!(
            arguments[5..],
            ["--unit=brain-experiment@a.service", "_BOOT_ID=01010101010101010101010101010101"]
        );
        for at in [3, 900_000_001] {
            assert!(query.selects(&line(at, Some(1))) && query.selects(&line(at, None)), "{at}");
        }
        assert!(!query.selects(&line(400_000_000, None)), "neither before nor after it was set");
        assert!(!query.selects(&line(3, Some(2))));
    }

    #[test]
    fn attempts_of_several_boots_are_searched_in_all_of_these_at_any_time() {
        let invocation = InvocationId::from_bytes([1; 16]);
        let at = Timestamp::from_micros;
        let first = AttemptSpan {
            boot: boot(1),
            invocation,
            started: at(7),
            ended: Some(at(9)),
            is_clock_steady: true,
        };
        let second = AttemptSpan { boot: boot(2), started: at(1), ended: Some(at(2)), ..first };
        let query =
            JournalQuery { attempts: vec![first, second, first], ..JournalQuery::default() };
        assert_eq!(
            query.backlog_arguments(RuntimeScope::System)[6..],
            [
                "_BOOT_ID=01010101010101010101010101010101",
                "_BOOT_ID=02020202020202020202020202020202"
            ]
        );
    }

    #[test]
    fn times_of_the_query_are_not_mixed_with_those_of_an_attempt() {
        let invocation = InvocationId::from_bytes([1; 16]);
        let at = Timestamp::from_micros;
        let attempt = AttemptSpan {
            boot: boot(1),
            invocation,
            started: at(7),
            ended: Some(at(9)),
            is_clock_steady: true,
        };
        let since = Some("@5000000.000000".to_owned());
        let query = JournalQuery { attempts: vec![attempt], since, ..JournalQuery::default() };
        let arguments = query.backlog_arguments(RuntimeScope::System);
        assert!(!arguments.iter().any(|word| word.starts_with("--until")), "{arguments:?}");
    }
}
