//! Where the hooks' lines go: the journal with fields, or standard error.

use std::io::Write as _;

use bij_core::{ExperimentId, printable};
use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};

/// Sends log lines to the journal if standard error is connected to it, else to standard error.
///
/// journald looks up the unit of a line while its writer is alive, and a hook's last words often
/// come too late for that. `unit` marks every line as being about that unit, so that `journalctl -u`
/// finds it all the same (it believes only root, or the user whose own manager it is).
///
/// `$BIJ_LOG` sets the level (`debug`, `info`, …); without it that is `info`.
pub fn start_logging(program: &'static str, unit: Option<AboutUnit>) {
    let level = std::env::var("BIJ_LOG").ok().and_then(|word| word.parse().ok());
    log::set_max_level(level.unwrap_or(LevelFilter::Info));
    let journal = connected_to_journal().then(JournalLog::new).and_then(Result::ok);
    let installed = match journal {
        Some(journal) => {
            let journal = journal.with_syslog_identifier(program.to_owned());
            journal.with_extra_fields(unit.map(AboutUnit::fields).into_iter().flatten()).install()
        }
        None => log::set_boxed_logger(Box::new(ToStderr { program })),
    };
    // Only a second call can fail, and then the first logger is as good.
    drop(installed);
}

/// The unit that a program's lines are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AboutUnit {
    /// Whose.
    pub experiment: ExperimentId,
    /// Whether it is a unit of a user's own manager.
    pub user: bool,
}

impl AboutUnit {
    /// The fields of systemd.journal-fields(7), "Fields to Log on Behalf of a Different Program",
    /// and what marks an experiment's own lines.
    fn fields(self) -> [(&'static str, String); 2] {
        let object = if self.user { "OBJECT_SYSTEMD_USER_UNIT" } else { "OBJECT_SYSTEMD_UNIT" };
        [(object, self.experiment.unit_name()), ("BIJ_KIND", "experiment".to_owned())]
    }
}

struct ToStderr {
    program: &'static str,
}

impl Log for ToStderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // Nobody is left to be told if standard error is closed.
        let text = record.args().to_string();
        drop(writeln!(std::io::stderr(), "{}: {}", self.program, printable(&text)));
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hooks_lines_are_found_by_the_name_of_its_unit() {
        let experiment = ExperimentId::new("x").unwrap();
        let fields = |user| AboutUnit { experiment: experiment.clone(), user }.fields();
        let unit = || "brain-experiment@x.service".to_owned();
        assert_eq!(fields(false)[0], ("OBJECT_SYSTEMD_UNIT", unit()));
        assert_eq!(fields(true)[0], ("OBJECT_SYSTEMD_USER_UNIT", unit()));
    }
}
