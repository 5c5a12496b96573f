//! Which log lines are wanted, and how journalctl is asked for them.

use bij_core::{ExperimentId, InvocationId, Timestamp};

use super::line::LogLine;
use crate::RuntimeScope;

/// Which log lines; `Default` is all of every experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Of these experiments only; none means of all.
    pub experiments: Vec<ExperimentId>,
    /// Of these lives only; none means of all.
    pub invocations: Vec<InvocationId>,
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

/// How many lines journalctl shows before it follows.
const BEFORE_FOLLOWING: usize = 10;

impl LogQuery {
    /// Whether a line is one of those that are wanted; journalctl cannot tell all by itself.
    pub fn wants(&self, line: &LogLine) -> bool {
        let of_life = |invocation| self.invocations.contains(&invocation);
        (self.experiments.is_empty() || self.experiments.contains(&line.experiment))
            && (self.invocations.is_empty() || line.invocation.is_some_and(of_life))
    }

    /// Arguments for the lines that are there already.
    pub(super) fn backlog_arguments(&self, scope: RuntimeScope) -> Vec<String> {
        let mut arguments = options(scope);
        let newest = match (self.newest, self.follow, &self.since) {
            (None, true, None) => Some(BEFORE_FOLLOWING),
            (newest, ..) => newest,
        };
        arguments.extend(newest.map(|newest| format!("--lines={newest}")));
        arguments.extend(self.since.iter().map(|since| format!("--since={since}")));
        arguments.extend(self.until.iter().map(|until| format!("--until={until}")));
        arguments.extend(self.grep.iter().map(|grep| format!("--grep={grep}")));
        if self.invocations.is_empty() {
            arguments.extend(self.units(scope));
        } else {
            arguments.extend(self.lives(scope));
        }
        arguments
    }

    /// Arguments for the lines to come, after `cursor` or else from `started` on.
    ///
    /// journalctl expands a pattern of units once, against those it knows by then, and does not
    /// see values that no record had before. So everything that could be about an experiment is
    /// followed, and sorted out here.
    pub(super) fn follow_arguments(
        &self,
        scope: RuntimeScope,
        cursor: Option<&str>,
        started: Timestamp,
    ) -> Vec<String> {
        let mut arguments = options(scope);
        arguments.extend(["--follow", "--no-tail"].map(ToOwned::to_owned));
        arguments.push(match cursor {
            Some(cursor) => format!("--after-cursor={cursor}"),
            None => format!("--since=@{}", started.as_micros().max(0) / 1_000_000),
        });
        arguments.extend(self.until.iter().map(|until| format!("--until={until}")));
        arguments.extend(self.grep.iter().map(|grep| format!("--grep={grep}")));
        let manager = match scope {
            RuntimeScope::System => "_PID=1",
            RuntimeScope::User => "_COMM=systemd",
        };
        arguments.extend(["BIJ_KIND=experiment", "+", manager].map(ToOwned::to_owned));
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

    fn lives(&self, scope: RuntimeScope) -> Vec<String> {
        let told = match scope {
            RuntimeScope::System => "INVOCATION_ID",
            RuntimeScope::User => "USER_INVOCATION_ID",
        };
        let matches = self.invocations.iter().flat_map(|invocation| {
            [format!("_SYSTEMD_INVOCATION_ID={invocation}"), format!("{told}={invocation}")]
        });
        let mut words: Vec<String> = matches.flat_map(|word| [word, "+".to_owned()]).collect();
        words.pop();
        words
    }
}

/// For the system no `--system`: what a unit with `User=` writes lies in that user's journal.
fn options(scope: RuntimeScope) -> Vec<String> {
    let mut options =
        ["-o", "json", "--all", "--quiet", "--no-pager"].map(ToOwned::to_owned).to_vec();
    if scope == RuntimeScope::User {
        options.push(scope.option().to_owned());
    }
    options
}

#[cfg(test)]
mod tests {
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
        let follow = query.follow_arguments(RuntimeScope::System, None, started);
        assert_eq!(
            follow[5..],
            ["--follow", "--no-tail", "--since=@5", "BIJ_KIND=experiment", "+", "_PID=1"]
        );
        let follow = query.follow_arguments(RuntimeScope::User, Some("s=1;i=2"), started);
        assert!(follow.contains(&"--after-cursor=s=1;i=2".to_owned()));
        assert!(follow.contains(&"_COMM=systemd".to_owned()));
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
                "--user",
                "--lines=3",
                "--since=-1h",
                "--grep=loss=nan",
                "--user-unit=brain-experiment@a.service",
                "--user-unit=brain-experiment@b.service",
            ]
        );
    }

    #[test]
    fn lives_are_a_disjunction() {
        let invocations =
            vec![InvocationId::from_bytes([1; 16]), InvocationId::from_bytes([2; 16])];
        let query = LogQuery { invocations, ..LogQuery::default() };
        let arguments = query.backlog_arguments(RuntimeScope::System);
        assert_eq!(arguments[5..].iter().filter(|word| *word == "+").count(), 3);
        assert_eq!(arguments[5], format!("_SYSTEMD_INVOCATION_ID={}", "01".repeat(16)));
        assert_eq!(arguments.last(), Some(&format!("INVOCATION_ID={}", "02".repeat(16))));
    }
}
