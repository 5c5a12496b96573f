//! Reads the queue repeatedly, also while the coordinator stops and starts again.

use std::time::Duration;

use bij_api::{Changes, ClientError};
use bij_core::queue::{Event, RunRef};
use bij_core::request::{QueueEntry, QueueQuery, Why};

use super::QueueSource;
use crate::context::Context;
use crate::coordinator;
use crate::error::{CliError, Kind};
use crate::history_source::can_open_database;

/// How often the queue is read where changes are not announced.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The source that answers at the moment. Coordinator and store have the same runs and events, so the source
/// may change between two requests.
pub(crate) struct QueueWatch<'a> {
    context: &'a Context,
    source: QueueSource,
    changes: Option<Changes>,
    /// The number of the newest event that was announced.
    announced: u64,
    /// How often the source was replaced.
    replaced: u32,
}

impl<'a> QueueWatch<'a> {
    /// Starts a watch. A caller that reads the queue after this and then [waits](Self::wait) misses no change.
    pub(crate) async fn start(context: &'a Context) -> Result<Self, CliError> {
        let source = QueueSource::choose(context).await?;
        let mut watch = Self { context, source, changes: None, announced: 0, replaced: 0 };
        watch.subscribe().await;
        Ok(watch)
    }

    async fn subscribe(&mut self) {
        if let QueueSource::Coordinator(client) = &self.source {
            self.changes = client.changes().await.ok();
        }
    }

    /// Returns the runs that are not over, in starting order.
    pub(crate) async fn queue(&mut self, query: &QueueQuery) -> Result<Vec<QueueEntry>, CliError> {
        match self.source.queue(query).await {
            Err(error) if self.is_gone(&error) => {
                self.reconnect(&error).await?;
                self.source.queue(query).await
            }
            entries => entries,
        }
    }

    /// Returns one run, its closed gates, and the runs that go first.
    pub(crate) async fn why(&mut self, run: &RunRef) -> Result<Why, CliError> {
        match self.source.why(run).await {
            Err(error) if self.is_gone(&error) => {
                self.reconnect(&error).await?;
                self.source.why(run).await
            }
            why => why,
        }
    }

    /// Returns events after a number, as many as one answer has.
    pub(crate) async fn events(&mut self, since: u64) -> Result<Vec<Event>, CliError> {
        match self.source.events(since).await {
            Err(error) if self.is_gone(&error) => {
                self.reconnect(&error).await?;
                self.source.events(since).await
            }
            events => events,
        }
    }

    /// Returns the number of the newest event; 0 if it is not known.
    pub(crate) async fn newest_event(&self) -> u64 {
        self.source.status().await.ok().flatten().map_or(0, |status| status.seq)
    }

    /// Returns the number of the newest event that was announced.
    pub(crate) const fn announced(&self) -> u64 {
        self.announced
    }

    /// Returns how often the source was replaced, because the coordinator stopped or answers again.
    pub(crate) const fn replaced(&self) -> u32 {
        self.replaced
    }

    /// Returns whether changes are announced; otherwise they are found by polling.
    pub(crate) const fn is_announced(&self) -> bool {
        self.changes.is_some()
    }

    /// Waits until something may have changed. Cancel-safe.
    pub(crate) async fn wait(&mut self) {
        let Some(changes) = &mut self.changes else {
            tokio::time::sleep(POLL_INTERVAL).await;
            return self.try_coordinator().await;
        };
        let newest = changes.next().await;
        self.note_announcement(newest);
    }

    /// Notes what has been announced until now, without waiting; tries the coordinator if none announces.
    pub(crate) async fn poll(&mut self) {
        match &mut self.changes {
            Some(changes) => {
                let announced = tokio::time::timeout(Duration::ZERO, changes.next()).await;
                if let Ok(newest) = announced {
                    self.note_announcement(newest);
                }
            }
            None => self.try_coordinator().await,
        }
    }

    /// Notes the number of the newest event; `None` if the coordinator has closed the connection.
    fn note_announcement(&mut self, newest: Option<u64>) {
        if let Some(newest) = newest {
            self.announced = newest;
            return;
        }
        self.changes = None;
        // A caller that may not open the database waits for the coordinator with the next request.
        if can_open_database(self.context) {
            let error = CliError::new(Kind::Unreachable, "the coordinator has stopped");
            self.switch_to_store(&error);
        }
    }

    fn is_gone(&self, error: &CliError) -> bool {
        error.kind == Kind::Unreachable && matches!(self.source, QueueSource::Coordinator(_))
    }

    /// Replaces a coordinator that no longer answers, by the store or by its successor.
    async fn reconnect(&mut self, error: &CliError) -> Result<(), CliError> {
        self.changes = None;
        if can_open_database(self.context) {
            self.switch_to_store(error);
            return Ok(());
        }
        // The caller can read nothing but the coordinator, which systemd restarts if it was killed.
        let client = coordinator::connect(self.context).await?;
        self.replace(QueueSource::Coordinator(client));
        self.subscribe().await;
        Ok(())
    }

    fn switch_to_store(&mut self, error: &CliError) {
        let text = format!("{}; continuing with the queue on disk", error.sentence());
        self.context.terminal.warning(&text);
        self.replace(QueueSource::from_store(self.context));
    }

    /// Switches to the coordinator if it answers.
    async fn try_coordinator(&mut self) {
        let connected = async {
            let client = coordinator::try_connect(self.context).await?;
            let changes = client.changes().await?;
            Ok::<_, ClientError>((client, changes))
        };
        if let Ok((client, changes)) = connected.await {
            self.replace(QueueSource::Coordinator(client));
            self.changes = Some(changes);
        }
    }

    fn replace(&mut self, source: QueueSource) {
        self.source = source;
        self.replaced = self.replaced.wrapping_add(1);
    }
}
