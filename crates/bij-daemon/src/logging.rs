//! Where the hooks' lines go: the journal with fields, or standard error.

use std::io::Write as _;

use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};

/// Sends log lines to the journal if standard error is connected to it, else to standard error.
///
/// `$BIJ_LOG` sets the level (`debug`, `info`, …); without it that is `info`.
pub fn start_logging(program: &'static str) {
    let level = std::env::var("BIJ_LOG").ok().and_then(|word| word.parse().ok());
    log::set_max_level(level.unwrap_or(LevelFilter::Info));
    let journal = connected_to_journal().then(JournalLog::new).and_then(Result::ok);
    let installed = match journal {
        Some(journal) => journal.with_syslog_identifier(program.to_owned()).install(),
        None => log::set_boxed_logger(Box::new(ToStderr { program })),
    };
    // Only a second call can fail, and then the first logger is as good.
    drop(installed);
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
        drop(writeln!(std::io::stderr(), "{}: {}", self.program, record.args()));
    }

    fn flush(&self) {}
}
