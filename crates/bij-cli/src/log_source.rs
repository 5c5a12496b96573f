//! Where lines come from: the journal, or the files of `bij run`.

mod files;
mod journal;
mod lines;
mod missing;

use bij_core::{Attempt, ExperimentId, Timestamp};
use bij_local::LogReader;
use bij_systemd::{Journal, RuntimeScope};

use crate::context::Context;
use crate::error::CliError;
use crate::scope::Scope;
use crate::view::{BootClock, LogRow};

pub(crate) use lines::Lines;
pub(crate) use missing::{Missing, kept_lines};

/// Which lines are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Of these experiments; of all if empty.
    pub(crate) ids: Vec<ExperimentId>,
    /// The newest so many.
    pub(crate) newest: Option<usize>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    /// Of these attempts, all of one run.
    pub(crate) attempts: Option<Vec<Attempt>>,
    /// Whose text matches.
    pub(crate) grep: Option<String>,
    /// The clock of this boot.
    pub(crate) boot: BootClock,
}

/// One of the two.
#[derive(Clone, Debug)]
pub(crate) enum LogSource {
    /// The journal of the system or of one user.
    Journal(Journal),
    /// Files below the layout's log directory.
    Files(LogReader),
}

/// What is done with each line.
pub(crate) trait Sink: FnMut(LogRow) -> Result<(), CliError> {}
impl<F: FnMut(LogRow) -> Result<(), CliError>> Sink for F {}

impl LogSource {
    /// The one that belongs to the scope.
    pub(crate) fn of(context: &Context) -> Self {
        match context.scope {
            Scope::System => Self::Journal(Journal::new(RuntimeScope::System)),
            Scope::User => Self::Journal(Journal::new(RuntimeScope::User)),
            Scope::Local => Self::Files(LogReader::new(&context.layout)),
        }
    }

    /// Hands over the lines that there are.
    pub(crate) fn read(&self, wanted: &Wanted, sink: impl Sink) -> Result<(), CliError> {
        let hues = Hues::of(wanted);
        match self {
            Self::Journal(journal) => journal::read(journal, wanted, false, hues, sink),
            Self::Files(reader) => files::read(reader, wanted, hues, sink),
        }
    }

    /// Returns why lines of an attempt are not there, if they were removed or never kept.
    pub(crate) fn missing(
        &self,
        context: &Context,
        attempt: &Attempt,
    ) -> Result<Option<Missing>, CliError> {
        let Self::Journal(journal) = self else { return Ok(None) };
        let is_persistent = context.root.join("var/log/journal").is_dir();
        let begins = journal.oldest_entry(attempt.key.boot)?;
        Ok(missing::why(attempt, missing::Kept { begins, is_persistent }))
    }

    /// Hands over the lines that there are and those that come, until the sink has had enough.
    pub(crate) fn follow(&self, wanted: &Wanted, sink: impl Sink) -> Result<(), CliError> {
        let hues = Hues::of(wanted);
        match self {
            Self::Journal(journal) => journal::read(journal, wanted, true, hues, sink),
            Self::Files(reader) => files::follow(reader, wanted, hues, sink),
        }
    }
}

/// The colour of each experiment, where several are shown.
struct Hues {
    several: bool,
    seen: Vec<ExperimentId>,
}

impl Hues {
    fn of(wanted: &Wanted) -> Self {
        Self { several: wanted.ids.len() != 1, seen: wanted.ids.clone() }
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
