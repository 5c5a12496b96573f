//! Follows the journal from asynchronous code.

use std::time::{Duration, SystemTime};

use bij_core::ExperimentId;
use bij_systemd::{Journal, JournalQuery, JournalStopper};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Hues, LogFilter, journal};
use crate::error::{CliError, Kind};
use crate::view::LogRow;

/// The most lines in the channel; further lines wait in the journal.
const CHANNEL_SIZE: usize = 1024;

/// After this time without a line, experiments that have ended will log no more: journald passes lines on within
/// milliseconds, on a loaded board within tenths of a second.
const SILENCE: Duration = Duration::from_millis(400);

/// The lines of some experiments from now on. Dropping it ends the reading thread.
pub(crate) struct JournalFollower {
    queue: mpsc::Receiver<Result<LogRow, CliError>>,
    stopper: JournalStopper,
}

impl JournalFollower {
    /// Follows the journal on a thread of its own, because reading it blocks.
    pub(crate) fn start(journal: &Journal, ids: &[ExperimentId]) -> Result<Self, CliError> {
        let query = JournalQuery {
            experiments: ids.to_vec(),
            newest: Some(0),
            follow: true,
            ..JournalQuery::default()
        };
        let lines = journal.lines(&query, SystemTime::now().into())?;
        let stopper = lines.stopper();
        let mut hues = Hues::new(&LogFilter { ids: ids.to_vec(), ..LogFilter::default() });
        let (sender, queue) = mpsc::channel(CHANNEL_SIZE);
        let relay = move || {
            for line in lines {
                let line = line.map_err(CliError::from).map(|line| journal::row(line, &mut hues));
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(relay);
        thread.map_err(|error| CliError::from_error(Kind::Internal, &error))?;
        Ok(Self { queue, stopper })
    }

    /// Returns the next line; never returns once the journal has ended. Cancel-safe: it receives from a channel.
    pub(crate) async fn next(&mut self) -> Result<LogRow, CliError> {
        match self.queue.recv().await {
            Some(line) => line,
            None => std::future::pending().await,
        }
    }

    /// Returns the lines that were written but not yet received.
    pub(crate) async fn rest(&mut self) -> Result<Vec<LogRow>, CliError> {
        let mut rest = Vec::new();
        while let Ok(Some(line)) = timeout(SILENCE, self.queue.recv()).await {
            rest.push(line?);
        }
        Ok(rest)
    }
}

impl Drop for JournalFollower {
    fn drop(&mut self) {
        self.stopper.stop();
    }
}
