//! A line of an experiment's log.

use bij_core::{BootId, ExperimentId, InvocationId, Timestamp};

use super::author::{Author, Trust, Writer};
use super::record::Record;

/// One line of an experiment's log: of the experiment itself, its manager or a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// When the line was written.
    pub at: Timestamp,
    /// The boot in which the line was written.
    pub boot: Option<BootId>,
    /// The experiment that the line is about.
    pub experiment: ExperimentId,
    /// The invocation id of the attempt, where journald could determine it.
    pub invocation: Option<InvocationId>,
    /// The priority of syslog(3), 0 (emergency) to 7 (debug).
    pub priority: Option<u8>,
    /// The writer, as journald identified it.
    pub writer: Writer,
    /// The text; invalid UTF-8 is replaced.
    pub text: String,
}

impl LogLine {
    /// Converts a record; `None` if it is not about an experiment, or only claims to be.
    pub(super) fn from_record(record: &Record, trust: Trust) -> Option<Self> {
        let Author { writer, experiment, invocation } = trust.author(record)?;
        Some(Self {
            at: record.at()?,
            boot: record.number("_BOOT_ID"),
            experiment,
            invocation,
            priority: record.number("PRIORITY"),
            writer,
            text: record.text("MESSAGE").unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> Option<LogLine> {
        LogLine::from_record(&Record::parse(json.as_bytes()).unwrap(), Trust::System)
    }

    #[test]
    fn the_writers_of_an_experiments_and_its_managers_line_are_distinguished() {
        let own = line(
            r#"{"__REALTIME_TIMESTAMP":"5","_SYSTEMD_UNIT":"brain-experiment@x.service",
                "_SYSTEMD_INVOCATION_ID":"07070707070707070707070707070707","_PID":"9",
                "PRIORITY":"6","MESSAGE":"hello","SYSLOG_IDENTIFIER":"brain-experiment-x","UNIT":"brain-experiment@forged.service"}"#,
        );
        let own = own.unwrap();
        assert_eq!((own.experiment.as_str(), own.writer), ("x", Writer::Experiment));
        assert_eq!((own.priority, own.text.as_str()), (Some(6), "hello"));
        assert_eq!(own.invocation, Some(InvocationId::from_bytes([7; 16])));

        let managers = line(
            r#"{"__REALTIME_TIMESTAMP":"5","_SYSTEMD_UNIT":"init.scope","_PID":"1",
                "UNIT":"brain-experiment@x.service","MESSAGE":"Started"}"#,
        );
        assert_eq!(managers.unwrap().writer, Writer::Manager);
    }

    #[test]
    fn lines_of_other_units_are_ignored() {
        assert_eq!(
            line(r#"{"__REALTIME_TIMESTAMP":"5","_SYSTEMD_UNIT":"ssh.service","MESSAGE":"x"}"#),
            None
        );
    }
}
