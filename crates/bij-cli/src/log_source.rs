//! Where log lines are read: from the journal, or from the files of `bij run`.

mod files;
mod journal;
mod missing;

use bij_core::{Attempt, ExperimentId, Timestamp};
use bij_local::LogReader;
use bij_systemd::{Journal, RuntimeScope};

use crate::context::Context;
use crate::error::CliError;
use crate::scope::Scope;
use crate::view::{BootClock, LogRow};
pub(crate) use journal::JournalFollower;
pub(crate) use missing::{MissingLines, kept_lines};

/// The log lines to read: those that fulfil every condition that is set.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogFilter {
    /// Lines of these experiments; of all if empty.
    pub(crate) ids: Vec<ExperimentId>,
    /// At most this many lines, the newest.
    pub(crate) newest: Option<usize>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    /// Lines of these attempts only, which are all of one run.
    pub(crate) attempts: Option<Vec<Attempt>>,
    /// A regular expression that the text must match.
    pub(crate) grep: Option<String>,
    /// The clock of this boot.
    pub(crate) boot: BootClock,
}

/// A source of log lines.
#[derive(Clone, Debug)]
pub(crate) enum LogSource {
    /// The journal of the system or of one user.
    Journal(Journal),
    /// Files below the layout's log directory.
    Files(LogReader),
}

impl LogSource {
    /// Returns the source of the context's scope.
    pub(crate) fn new(context: &Context) -> Self {
        match context.scope {
            Scope::System => Self::Journal(Journal::new(RuntimeScope::System)),
            Scope::User => Self::Journal(Journal::new(RuntimeScope::User)),
            Scope::Local => Self::Files(LogReader::new(&context.layout)),
        }
    }

    /// Calls `sink` with each line that there is.
    pub(crate) fn read(
        &self,
        filter: &LogFilter,
        sink: impl FnMut(LogRow) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let hues = Hues::new(filter);
        match self {
            Self::Journal(journal) => journal::read(journal, filter, false, hues, sink),
            Self::Files(reader) => files::read(reader, filter, hues, sink),
        }
    }

    /// Returns why lines of an attempt are missing, if journald has removed or never kept them.
    pub(crate) fn missing(
        &self,
        context: &Context,
        attempt: &Attempt,
    ) -> Result<Option<MissingLines>, CliError> {
        let Self::Journal(journal) = self else { return Ok(None) };
        let is_persistent = context.root.join("var/log/journal").is_dir();
        let begins = journal.oldest_entry(attempt.key.boot)?;
        Ok(missing::why(attempt, missing::JournalCoverage { begins, is_persistent }))
    }

    /// Calls `sink` with each line that there is and each new one, until it returns an error.
    pub(crate) fn follow(
        &self,
        filter: &LogFilter,
        sink: impl FnMut(LogRow) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let hues = Hues::new(filter);
        match self {
            Self::Journal(journal) => journal::read(journal, filter, true, hues, sink),
            Self::Files(reader) => files::follow(reader, filter, hues, sink),
        }
    }
}

/// Assigns a colour to each experiment, if several are shown.
struct Hues {
    several: bool,
    seen: Vec<ExperimentId>,
}

impl Hues {
    fn new(filter: &LogFilter) -> Self {
        Self { several: filter.ids.len() != 1, seen: filter.ids.clone() }
    }

    fn hue(&mut self, id: &ExperimentId) -> Option<usize> {
        if !self.several {
            return None;
        }
        let known = self.seen.iter().position(|seen| seen == id);
        Some(known.unwrap_or_else(|| {
            self.seen.push(id.clone());
            self.seen.len() - 1
        }))
    }
}
