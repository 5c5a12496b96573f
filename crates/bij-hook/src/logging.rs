//! The log of the hooks: the journal with fields, or standard error.

use std::io::Write as _;

use bij_core::{ExperimentId, printable};
use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};

/// Sends log lines to the journal if standard error is connected to it, else to standard error.
///
/// journald looks up the unit of a line while the process that wrote it is alive, which often fails for the last lines
/// of a hook. So every line is marked as being about `unit`, and `journalctl -u` finds it (journald accepts the mark
/// only from root, or from the user of the manager).
///
/// `$BIJ_LOG` sets the level (`debug`, `info`, …); the default is `info`.
pub fn start_logging(program: &'static str, unit: Option<LoggedUnit>) {
    let level = std::env::var("BIJ_LOG").ok().and_then(|word| word.parse().ok());
    log::set_max_level(level.unwrap_or(LevelFilter::Info));
    let journal = connected_to_journal().then(JournalLog::new).and_then(Result::ok);
    let installed = match journal {
        Some(journal) => {
            let journal = journal.with_syslog_identifier(program.to_owned());
            journal.with_extra_fields(unit.map(LoggedUnit::fields).into_iter().flatten()).install()
        }
        None => log::set_boxed_logger(Box::new(StderrLog { program })),
    };
    // Only a second call can fail; the first logger then stays.
    drop(installed);
}

/// The unit that a program's lines are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedUnit {
    /// The experiment of the unit.
    pub experiment: ExperimentId,
    /// Whether the unit belongs to a user's manager.
    pub user: bool,
}

impl LoggedUnit {
    /// Returns the fields of systemd.journal-fields(7), "Fields to Log on Behalf of a Different Program",
    /// and the mark of an experiment's lines.
    fn fields(self) -> [(&'static str, String); 2] {
        let object = if self.user { "OBJECT_SYSTEMD_USER_UNIT" } else { "OBJECT_SYSTEMD_UNIT" };
        [(object, self.experiment.unit_name()), ("BIJ_KIND", "experiment".to_owned())]
    }
}

struct StderrLog {
    program: &'static str,
}

impl Log for StderrLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // If standard error is closed, there is no other place to report to.
        let text = record.args().to_string();
        drop(writeln!(std::io::stderr(), "{}: {}", self.program, printable(&text)));
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_hook_carry_the_name_of_its_unit() {
        let experiment = ExperimentId::new("x").unwrap();
        let fields = |user| LoggedUnit { experiment: experiment.clone(), user }.fields();
        let unit = || "brain-experiment@x.service".to_owned();
        assert_eq!(fields(false)[0], ("OBJECT_SYSTEMD_UNIT", unit()));
        assert_eq!(fields(true)[0], ("OBJECT_SYSTEMD_USER_UNIT", unit()));
    }
}
