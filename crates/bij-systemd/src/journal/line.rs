//! A line of an experiment's log.

use bij_core::{ExperimentId, InvocationId, Timestamp};

use super::record::Record;

/// One line of an experiment's log, or of what its manager wrote about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub experiment: ExperimentId,
    /// In which life of the unit.
    pub invocation: Option<InvocationId>,
    /// The priority of syslog(3), 0 (emergency) to 7 (debug).
    pub priority: Option<u8>,
    /// Who says that it wrote it (`SYSLOG_IDENTIFIER`): the experiment's own lines carry
    /// [`ExperimentId::syslog_identifier`], those of the hooks `bij-hook`.
    pub identifier: Option<String>,
    /// The text; what is not UTF-8 is replaced.
    pub text: String,
    /// Whether the service manager wrote it.
    pub from_manager: bool,
}

impl LogLine {
    /// Reads a record; `None` if it is not about an experiment.
    pub(super) fn from_record(record: &Record) -> Option<Self> {
        let id_in = |name| ExperimentId::from_unit_name(&record.text(name)?);
        // What the manager says of a unit carries the unit's name; what a unit says is marked by
        // journald with the unit it came from, which it cannot choose.
        let told = ["UNIT", "USER_UNIT"].into_iter().find_map(id_in);
        let told = told.filter(|_| is_manager(record));
        let from_manager = told.is_some();
        let said = ["_SYSTEMD_UNIT", "_SYSTEMD_USER_UNIT"].into_iter().find_map(id_in);
        let marked = || ExperimentId::new(&record.text("BIJ_EXPERIMENT")?).ok();
        let invocations = if from_manager {
            ["INVOCATION_ID", "USER_INVOCATION_ID"]
        } else {
            ["_SYSTEMD_INVOCATION_ID", "INVOCATION_ID"]
        };
        Some(Self {
            at: record.at()?,
            experiment: told.or(said).or_else(marked)?,
            invocation: invocations.into_iter().find_map(|name| record.number(name)),
            priority: record.number("PRIORITY"),
            identifier: record.text("SYSLOG_IDENTIFIER"),
            text: record.text("MESSAGE").unwrap_or_default(),
            from_manager,
        })
    }
}

fn is_manager(record: &Record) -> bool {
    record.text("_PID").as_deref() == Some("1")
        || record.text("_COMM").as_deref() == Some("systemd")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> Option<LogLine> {
        LogLine::from_record(&Record::parse(json.as_bytes()).unwrap())
    }

    #[test]
    fn an_experiments_line_and_its_managers_line_are_told_apart() {
        let said = line(
            r#"{"__REALTIME_TIMESTAMP":"5","_SYSTEMD_UNIT":"brain-experiment@x.service",
                "_SYSTEMD_INVOCATION_ID":"07070707070707070707070707070707","_PID":"9",
                "PRIORITY":"6","MESSAGE":"hello","SYSLOG_IDENTIFIER":"brain-experiment-x","UNIT":"brain-experiment@forged.service"}"#,
        );
        let said = said.unwrap();
        assert_eq!((said.experiment.as_str(), said.from_manager), ("x", false));
        assert_eq!((said.priority, said.text.as_str()), (Some(6), "hello"));
        assert_eq!(said.identifier, Some(said.experiment.syslog_identifier()));
        assert_eq!(said.invocation, Some(InvocationId::from_bytes([7; 16])));

        let told = line(
            r#"{"__REALTIME_TIMESTAMP":"5","_SYSTEMD_UNIT":"init.scope","_PID":"1",
                "UNIT":"brain-experiment@x.service","MESSAGE":"Started"}"#,
        );
        assert!(told.unwrap().from_manager);
    }

    #[test]
    fn other_units_lines_are_nobodys() {
        assert_eq!(
            line(r#"{"__REALTIME_TIMESTAMP":"5","_SYSTEMD_UNIT":"ssh.service","MESSAGE":"x"}"#),
            None
        );
    }
}
