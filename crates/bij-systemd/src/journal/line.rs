//! A line of an experiment's log.

use bij_core::{BootId, ExperimentId, InvocationId, Timestamp};

use super::author::{Author, Trust, Writer};
use super::record::Record;

/// One line of an experiment's log, or of what its manager wrote about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// The boot in which it was written.
    pub boot: Option<BootId>,
    /// The experiment that it is about.
    pub experiment: ExperimentId,
    /// The life of the unit that it belongs to, where journald could tell.
    pub invocation: Option<InvocationId>,
    /// The priority of syslog(3), 0 (emergency) to 7 (debug).
    pub priority: Option<u8>,
    /// Who wrote it, by what journald itself knows of the writer.
    pub writer: Writer,
    /// The text; what is not UTF-8 is replaced.
    pub text: String,
}

impl LogLine {
    /// Reads a record; `None` if it is not about an experiment, or only says so itself.
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
    fn an_experiments_line_and_its_managers_line_are_told_apart() {
        let said = line(
            r#"{"__REALTIME_TIMESTAMP":"5","_SYSTEMD_UNIT":"brain-experiment@x.service",
                "_SYSTEMD_INVOCATION_ID":"07070707070707070707070707070707","_PID":"9",
                "PRIORITY":"6","MESSAGE":"hello","SYSLOG_IDENTIFIER":"brain-experiment-x","UNIT":"brain-experiment@forged.service"}"#,
        );
        let said = said.unwrap();
        assert_eq!((said.experiment.as_str(), said.writer), ("x", Writer::Experiment));
        assert_eq!((said.priority, said.text.as_str()), (Some(6), "hello"));
        assert_eq!(said.invocation, Some(InvocationId::from_bytes([7; 16])));

        let told = line(
            r#"{"__REALTIME_TIMESTAMP":"5","_SYSTEMD_UNIT":"init.scope","_PID":"1",
                "UNIT":"brain-experiment@x.service","MESSAGE":"Started"}"#,
        );
        assert_eq!(told.unwrap().writer, Writer::Manager);
    }

    #[test]
    fn other_units_lines_are_nobodys() {
        assert_eq!(
            line(r#"{"__REALTIME_TIMESTAMP":"5","_SYSTEMD_UNIT":"ssh.service","MESSAGE":"x"}"#),
            None
        );
    }
}
