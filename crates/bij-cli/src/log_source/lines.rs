//! The journal's lines as they come, for somebody who waits for other things as well.

use std::time::{Duration, SystemTime};

use bij_core::ExperimentId;
use bij_systemd::{Journal, LogQuery, LogStopper};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Hues, Wanted, journal};
use crate::error::{CliError, Kind};
use crate::view::LogRow;

/// Lines under way; who prints faster than the terminal takes it waits in the journal.
const QUEUE: usize = 1024;

/// Silence after which nothing more is to be expected of experiments that have ended: journald
/// hands lines on within milliseconds, on a loaded board within tenths of a second.
const SILENCE: Duration = Duration::from_millis(400);

/// The lines of some experiments from now on. They end with this.
pub(crate) struct Lines {
    queue: mpsc::Receiver<Result<LogRow, CliError>>,
    stopper: LogStopper,
}

impl Lines {
    /// Follows the journal on a thread of its own, for reading it blocks.
    pub(crate) fn follow(journal: &Journal, ids: &[ExperimentId]) -> Result<Self, CliError> {
        let query = LogQuery {
            experiments: ids.to_vec(),
            newest: Some(0),
            follow: true,
            ..LogQuery::default()
        };
        let lines = journal.lines(&query, SystemTime::now().into())?;
        let stopper = lines.stopper();
        let mut hues = Hues::of(&Wanted { ids: ids.to_vec(), ..Wanted::default() });
        let (sender, queue) = mpsc::channel(QUEUE);
        let relay = move || {
            for line in lines {
                let line = line.map_err(CliError::from).map(|line| journal::row(line, &mut hues));
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(relay);
        thread.map_err(|error| CliError::of(Kind::Internal, &error))?;
        Ok(Self { queue, stopper })
    }

    /// The next line; waits for ever once the journal has ended. Cancel-safe: a queue is read.
    pub(crate) async fn next(&mut self) -> Result<LogRow, CliError> {
        match self.queue.recv().await {
            Some(line) => line,
            None => std::future::pending().await,
        }
    }

    /// What has been written but not yet been handed over.
    pub(crate) async fn rest(&mut self) -> Result<Vec<LogRow>, CliError> {
        let mut rest = Vec::new();
        while let Ok(Some(line)) = timeout(SILENCE, self.queue.recv()).await {
            rest.push(line?);
        }
        Ok(rest)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.stopper.stop();
    }
}
