//! Which log lines are wanted, and how journalctl is asked for them.

use bij_core::{BootId, ExperimentId, InvocationId, TimeSpan, Timestamp};

use super::author::Trust;
use super::line::LogLine;
use crate::RuntimeScope;

/// Which log lines; `Default` is all of every experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Of these experiments only; none means of all.
    pub experiments: Vec<ExperimentId>,
    /// Of these lives only; none means of all.
    pub lives: Vec<Life>,
    /// At most so many of those that are there, the newest.
    pub newest: Option<usize>,
    /// Not before this, in the words of systemd.time(7).
    pub since: Option<String>,
    /// Not after this, in the words of systemd.time(7).
    pub until: Option<String>,
    /// Whose text matches this expression, as `journalctl --grep`.
    pub grep: Option<String>,
    /// Go on with new ones.
    pub follow: bool,
}

/// One life of a unit, and when it was.
///
/// journald looks up what a line belongs to while its writer is alive. The last words of a process
/// often come without their invocation, so a line without one is known by its boot and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The boot that it lived in.
    pub boot: BootId,
    /// Its name.
    pub invocation: InvocationId,
    /// When it began.
    pub started: Timestamp,
    /// When it ended, if it has.
    pub ended: Option<Timestamp>,
    /// Whether all of its lines lie between these times: the time of day is known not to have been set
    /// meanwhile.
    pub in_order: bool,
}

impl Life {
    fn is_of(&self, line: &LogLine) -> bool {
        if let Some(invocation) = line.invocation {
            return invocation == self.invocation;
        }
        let begun = line.at >= self.started;
        let not_over = self.ended.is_none_or(|ended| line.at <= late(ended));
        let is_its_time = if self.in_order { begun && not_over } else { begun || not_over };
        is_its_time && line.boot.is_none_or(|boot| boot == self.boot)
    }
}

/// How long after its end a life's last lines may be written down.
const LATE: TimeSpan = TimeSpan::from_secs(1);

fn late(ended: Timestamp) -> Timestamp {
    let late = i64::try_from(LATE.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(ended.as_micros().saturating_add(late))
}

/// A time as systemd.time(7) knows it: seconds since the epoch, with a fraction.
fn words(at: Timestamp) -> String {
    let micros = at.as_micros().max(0);
    format!("@{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// How many lines journalctl shows before it follows.
const BEFORE_FOLLOWING: usize = 10;

impl LogQuery {
    /// Whether a line is one of those that are wanted; journalctl cannot tell all by itself.
    pub fn wants(&self, line: &LogLine) -> bool {
        (self.experiments.is_empty() || self.experiments.contains(&line.experiment))
            && (self.lives.is_empty() || self.lives.iter().any(|life| life.is_of(line)))
    }

    /// How many of the lines that are there are to be shown.
    pub(super) fn shown(&self) -> Option<usize> {
        match (self.newest, self.follow, &self.since) {
            (None, true, None) => Some(BEFORE_FOLLOWING),
            (newest, ..) => newest,
        }
    }

    /// Arguments for the lines that are there already.
    pub(super) fn backlog_arguments(&self, scope: RuntimeScope) -> Vec<String> {
        let mut arguments = options();
        if self.lives.is_empty() {
            arguments.extend(self.shown().map(|newest| format!("--lines={newest}")));
        }
        let (since, until) = self.times();
        arguments.extend(since.map(|since| format!("--since={since}")));
        arguments.extend(until.map(|until| format!("--until={until}")));
        arguments.extend(self.grep.iter().map(|grep| format!("--grep={grep}")));
        arguments.extend(self.units(scope));
        arguments.extend(self.boots().into_iter().map(|boot| format!("_BOOT_ID={boot}")));
        arguments
    }

    /// The times between which journalctl looks: those that are asked for, or else those of the lives that
    /// are wanted, as far as these say where their lines are.
    fn times(&self) -> (Option<String>, Option<String>) {
        let asked = (self.since.clone(), self.until.clone());
        let tell = self.lives.iter().all(|life| life.in_order) && self.boots().len() == 1;
        if asked != (None, None) || !tell {
            return asked;
        }
        let first = self.lives.iter().map(|life| life.started).min();
        let ends: Option<Vec<_>> = self.lives.iter().map(|life| life.ended.map(late)).collect();
        let last = ends.and_then(|ends| ends.into_iter().max());
        (first.map(words), last.map(words))
    }

    /// The boots of the lives that are wanted, whatever the clock said in them.
    fn boots(&self) -> Vec<BootId> {
        let mut boots: Vec<BootId> = self.lives.iter().map(|life| life.boot).collect();
        boots.sort();
        boots.dedup();
        boots
    }

    /// Arguments for the lines to come, after `cursor` or else from `started` on.
    ///
    /// journalctl expands a pattern of units once, against those it knows by then, and does not
    /// see values that no record had before. So everything that could be about an experiment is
    /// followed, and sorted out here.
    pub(super) fn follow_arguments(
        &self,
        trust: Trust,
        cursor: Option<&str>,
        started: Timestamp,
    ) -> Vec<String> {
        let mut arguments = options();
        arguments.extend(["--follow", "--no-tail"].map(ToOwned::to_owned));
        arguments.push(match cursor {
            Some(cursor) => format!("--after-cursor={cursor}"),
            None => format!("--since={}", words(started)),
        });
        arguments.extend(self.until.iter().map(|until| format!("--until={until}")));
        arguments.extend(self.grep.iter().map(|grep| format!("--grep={grep}")));
        arguments.extend(trust.candidates());
        arguments
    }

    /// journalctl's own selection of units brings what their manager says of them as well.
    fn units(&self, scope: RuntimeScope) -> Vec<String> {
        let option = match scope {
            RuntimeScope::System => "--unit",
            RuntimeScope::User => "--user-unit",
        };
        if self.experiments.is_empty() {
            return vec![format!("{option}=brain-experiment@*.service")];
        }
        self.experiments.iter().map(|id| format!("{option}={}", id.unit_name())).collect()
    }
}

/// Neither `--system` nor `--user`: what a unit with `User=` writes lies in that user's journal,
/// and what the user manager of root writes in the system's.
pub(super) fn options() -> Vec<String> {
    ["-o", "json", "--all", "--quiet", "--no-pager"].map(ToOwned::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::super::author::Writer;
    use super::*;

    fn id(text: &str) -> ExperimentId {
        ExperimentId::new(text).unwrap()
    }

    #[test]
    fn all_experiments_are_asked_for_by_a_pattern_and_followed_without_one() {
        let query = LogQuery { follow: true, ..LogQuery::default() };
        let backlog = query.backlog_arguments(RuntimeScope::System);
        assert_eq!(backlog[5..], ["--lines=10", "--unit=brain-experiment@*.service"]);
        let started = Timestamp::from_micros(5_900_000);
        let follow = query.follow_arguments(Trust::System, None, started);
        assert_eq!(
            follow[5..],
            ["--follow", "--no-tail", "--since=@5.900000", "BIJ_KIND=experiment", "+", "_PID=1"]
        );
        let user = Trust::User { uid: nix::unistd::Uid::from_raw(1000) };
        let follow = query.follow_arguments(user, Some("s=1;i=2"), started);
        assert_eq!(follow[7..], ["--after-cursor=s=1;i=2", "_UID=1000"]);
    }

    #[test]
    fn a_query_says_all_it_wants() {
        let query = LogQuery {
            experiments: vec![id("a"), id("b")],
            newest: Some(3),
            since: Some("-1h".to_owned()),
            grep: Some("loss=nan".to_owned()),
            ..LogQuery::default()
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

    fn line(at: i64, invocation: Option<u8>) -> LogLine {
        LogLine {
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
    fn last_words_without_an_invocation_are_known_by_their_time() {
        let (started, ended) = (Timestamp::from_micros(100), Timestamp::from_micros(200));
        let invocation = InvocationId::from_bytes([1; 16]);
        let life = Life { boot: boot(1), invocation, started, ended: Some(ended), in_order: true };
        let query = LogQuery { lives: vec![life], newest: Some(3), ..LogQuery::default() };
        assert!(query.wants(&line(150, Some(1))) && query.wants(&line(150, None)));
        assert!(query.wants(&line(300, None)), "written down late");
        assert!(!query.wants(&line(150, Some(2))) && !query.wants(&line(99, None)));
        assert!(!query.wants(&line(2_000_000, None)));
        // journalctl cannot count what it cannot tell apart.
        assert_eq!(
            query.backlog_arguments(RuntimeScope::System)[5..],
            [
                "--since=@0.000100",
                "--until=@1.000200",
                "--unit=brain-experiment@*.service",
                "_BOOT_ID=01010101010101010101010101010101",
            ]
        );
        let other = LogLine { boot: Some(boot(2)), ..line(150, None) };
        assert!(!query.wants(&other), "of another boot");
        let open = LogQuery { lives: vec![Life { ended: None, ..life }], ..query };
        assert!(open.wants(&line(2_000_000, None)));
        let arguments = open.backlog_arguments(RuntimeScope::System);
        assert!(!arguments.iter().any(|word| word.starts_with("--until")));
    }

    #[test]
    fn a_clock_that_was_set_hides_no_line_of_a_life() {
        let invocation = InvocationId::from_bytes([1; 16]);
        // Set back while it lived.
        let (started, ended) = (Timestamp::from_micros(900_000_000), Timestamp::from_micros(5));
        let life = Life { boot: boot(1), invocation, started, ended: Some(ended), in_order: false };
        let query =
            LogQuery { experiments: vec![id("a")], lives: vec![life], ..LogQuery::default() };
        let arguments = query.backlog_arguments(RuntimeScope::System);
        assert_eq!(
            arguments[5..],
            ["--unit=brain-experiment@a.service", "_BOOT_ID=01010101010101010101010101010101"]
        );
        for at in [3, 900_000_001] {
            assert!(query.wants(&line(at, Some(1))) && query.wants(&line(at, None)), "{at}");
        }
        assert!(!query.wants(&line(400_000_000, None)), "neither before nor after it was set");
        assert!(!query.wants(&line(3, Some(2))));
    }

    #[test]
    fn lives_of_several_boots_are_looked_for_in_all_of_these_at_any_time() {
        let invocation = InvocationId::from_bytes([1; 16]);
        let at = Timestamp::from_micros;
        let first =
            Life { boot: boot(1), invocation, started: at(7), ended: Some(at(9)), in_order: true };
        let second = Life { boot: boot(2), started: at(1), ended: Some(at(2)), ..first };
        let query = LogQuery { lives: vec![first, second, first], ..LogQuery::default() };
        assert_eq!(
            query.backlog_arguments(RuntimeScope::System)[6..],
            [
                "_BOOT_ID=01010101010101010101010101010101",
                "_BOOT_ID=02020202020202020202020202020202"
            ]
        );
    }

    #[test]
    fn times_that_are_asked_for_are_not_mixed_with_those_of_a_life() {
        let invocation = InvocationId::from_bytes([1; 16]);
        let at = Timestamp::from_micros;
        let life =
            Life { boot: boot(1), invocation, started: at(7), ended: Some(at(9)), in_order: true };
        let since = Some("@5000000.000000".to_owned());
        let query = LogQuery { lives: vec![life], since, ..LogQuery::default() };
        let arguments = query.backlog_arguments(RuntimeScope::System);
        assert!(!arguments.iter().any(|word| word.starts_with("--until")), "{arguments:?}");
    }
}
