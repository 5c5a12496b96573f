//! A source that is looked at again and again, across a coordinator that goes and comes back.

use std::time::Duration;

use bij_api::message::{Entry, Event, QueueQuery, Why};
use bij_api::{Changes, ClientError};
use bij_core::queue::RunRef;

use super::Source;
use crate::context::Context;
use crate::coordinator;
use crate::error::{CliError, Kind};
use crate::past;

/// How often is looked where nobody says that something has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whoever can be asked at the moment. Coordinator and store tell the same, so who answers may
/// change between two questions.
pub(crate) struct Live<'a> {
    context: &'a Context,
    source: Source,
    changes: Option<Changes>,
    /// The number of the newest event that was announced.
    announced: u64,
    /// How often the source was replaced.
    replaced: u32,
}

impl<'a> Live<'a> {
    /// From now on no change is missed: whoever looks after this and then [waits](Self::wait) sees
    /// each.
    pub(crate) async fn begin(context: &'a Context) -> Result<Self, CliError> {
        let source = Source::of(context).await?;
        let mut live = Self { context, source, changes: None, announced: 0, replaced: 0 };
        live.listen().await;
        Ok(live)
    }

    async fn listen(&mut self) {
        if let Source::Coordinator(client) = &self.source {
            self.changes = client.changes().await.ok();
        }
    }

    /// Runs that are not over, in starting order.
    pub(crate) async fn queue(&mut self, query: &QueueQuery) -> Result<Vec<Entry>, CliError> {
        match self.source.queue(query).await {
            Err(error) if self.is_gone(&error) => {
                self.lose(&error).await?;
                self.source.queue(query).await
            }
            entries => entries,
        }
    }

    /// One run.
    pub(crate) async fn why(&mut self, run: &RunRef) -> Result<Why, CliError> {
        match self.source.why(run).await {
            Err(error) if self.is_gone(&error) => {
                self.lose(&error).await?;
                self.source.why(run).await
            }
            why => why,
        }
    }

    /// Events after a number, as many as come at once.
    pub(crate) async fn events(&mut self, since: u64) -> Result<Vec<Event>, CliError> {
        match self.source.events(since).await {
            Err(error) if self.is_gone(&error) => {
                self.lose(&error).await?;
                self.source.events(since).await
            }
            events => events,
        }
    }

    /// The number of the newest event; 0 if nobody can tell at once.
    pub(crate) async fn newest_event(&self) -> u64 {
        self.source.status().await.ok().flatten().map_or(0, |status| status.seq)
    }

    /// The number of the newest event that [`wait`](Self::wait) was told of.
    pub(crate) const fn announced(&self) -> u64 {
        self.announced
    }

    /// How often the source was replaced: a coordinator that went or came back, or another one.
    pub(crate) const fn replaced(&self) -> u32 {
        self.replaced
    }

    /// Whether changes are announced; otherwise they are found by looking again.
    pub(crate) const fn is_announced(&self) -> bool {
        self.changes.is_some()
    }

    /// Waits until something may have changed. Cancel-safe.
    pub(crate) async fn wait(&mut self) {
        let Some(changes) = &mut self.changes else {
            tokio::time::sleep(LOOK_EVERY).await;
            return self.come_back().await;
        };
        let newest = changes.next().await;
        self.hear(newest);
    }

    /// Takes in what has been announced until now, without waiting for more; looks for a coordinator
    /// where none announces.
    pub(crate) async fn poll(&mut self) {
        match &mut self.changes {
            Some(changes) => {
                let announced = tokio::time::timeout(Duration::ZERO, changes.next()).await;
                if let Ok(newest) = announced {
                    self.hear(newest);
                }
            }
            None => self.come_back().await,
        }
    }

    /// Takes in an announcement; `None` if the coordinator is gone.
    fn hear(&mut self, newest: Option<u64>) {
        if let Some(newest) = newest {
            self.announced = newest;
            return;
        }
        self.changes = None;
        // Where there is no other way to look, the next question waits for its return.
        if past::may_open(self.context) {
            self.go_on_from_disk(&CliError::new(Kind::Unreachable, "the coordinator went away"));
        }
    }

    fn is_gone(&self, error: &CliError) -> bool {
        error.kind == Kind::Unreachable && matches!(self.source, Source::Coordinator(_))
    }

    async fn lose(&mut self, error: &CliError) -> Result<(), CliError> {
        self.changes = None;
        if past::may_open(self.context) {
            self.go_on_from_disk(error);
            return Ok(());
        }
        // There is no other way to look than the coordinator, which is started again if it was killed.
        let client = coordinator::connect(self.context).await?;
        self.replace(Source::Coordinator(client));
        self.listen().await;
        Ok(())
    }

    fn go_on_from_disk(&mut self, error: &CliError) {
        let text = format!("{}; going on with what is on disk", error.sentence());
        self.context.terminal.warning(&text);
        self.replace(Source::of_store(self.context));
    }

    /// Asks the coordinator again as soon as there is one.
    async fn come_back(&mut self) {
        let back = async {
            let client = coordinator::try_connect(self.context).await?;
            let changes = client.changes().await?;
            Ok::<_, ClientError>((client, changes))
        };
        if let Ok((client, changes)) = back.await {
            self.replace(Source::Coordinator(client));
            self.changes = Some(changes);
        }
    }

    fn replace(&mut self, source: Source) {
        self.source = source;
        self.replaced = self.replaced.wrapping_add(1);
    }
}
