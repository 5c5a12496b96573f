//! The client of a coordinator.

mod changes;
mod error;
mod history;

use std::collections::HashSet;
use std::future::poll_fn;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::task::Poll;
use std::time::Duration;

use bij_core::ExperimentId;
use bij_core::queue::{Event, GroupName, RunRef};
use bij_core::request::{
    Act, Admission, AdmissionRequest, BoardQuery, CoordinatorStatus, Edit, EventQuery,
    GroupSetting, GroupStatus, PauseRequest, PowerModeRequest, PowerSet, QueueEntry, QueueQuery,
    RecordedSample, RunOutcome, Submit, SubmitOptions, UnitDone, UnitRequest, UnitVerb, Why,
};
use futures_util::future::maybe_done;
use serde::de::DeserializeOwned;
use zbus::connection;
use zbus::proxy::CacheProperties;

use crate::dictionary::{Dictionary, ReceivedList, SentList};
use crate::limits;
use crate::proxy::CoordinatorProxy;
use crate::queue_text::QueueText;

pub use changes::Changes;
pub use error::ClientError;

/// Time-out of an answer. The coordinator answers within milliseconds unless its disk is slow or PID 1 reloads.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Time-out of a switch of the power mode, which calls nvpmodel three times and `jetson_clocks` once; each may hang for
/// 20 s.
const POWER_TIMEOUT: Duration = Duration::from_secs(90);

/// Time-out of starting or stopping a unit, longer than any definition allows. A coordinator that ends meanwhile closes
/// the connection.
const UNIT_TIMEOUT: Duration = Duration::from_secs(86_400);

/// How often the queue is read again if it changes between two pages.
const MAX_READS: usize = 3;

/// The address of the system's bus. `$DBUS_SYSTEM_BUS_ADDRESS` is ignored, because a program that runs as root must not
/// connect to the bus of another user.
pub(crate) const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// The bus that a coordinator is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichBus {
    /// The system bus.
    System,
    /// The session bus of the user.
    Session,
}

/// A connection to a coordinator.
#[derive(Clone, Debug)]
pub struct Client {
    proxy: CoordinatorProxy<'static>,
    answer_timeout: Duration,
}

impl Client {
    /// Connects to the socket in a coordinator's runtime directory.
    ///
    /// # Errors
    /// [`ClientError::NoCoordinator`] if there is no socket, [`ClientError::NotListening`] if no process listens on it,
    /// else [`ClientError::Unreachable`].
    pub async fn connect(socket: &Path) -> Result<Self, ClientError> {
        // A local socket connects as soon as its backlog has room.
        let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ClientError::NoCoordinator,
            io::ErrorKind::ConnectionRefused => ClientError::NotListening,
            _ => ClientError::Unreachable(Box::new(error)),
        })?;
        Self::over(connection::Builder::unix_stream(stream).p2p()).await
    }

    /// Connects to the coordinator on a bus.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] without a bus. If no coordinator is on the bus, only the first call fails.
    pub async fn connect_bus(bus: WhichBus) -> Result<Self, ClientError> {
        Self::over(match bus {
            WhichBus::System => connection::Builder::address(SYSTEM_BUS),
            WhichBus::Session => connection::Builder::session(),
        })
        .await
    }

    pub(crate) async fn over(builder: connection::Builder<'_>) -> Result<Self, ClientError> {
        let connect = async {
            let connection = builder.build().await?;
            CoordinatorProxy::builder(&connection)
                .cache_properties(CacheProperties::No)
                .build()
                .await
        };
        let proxy = within(ANSWER_TIMEOUT, connect).await?;
        Ok(Self { proxy, answer_timeout: ANSWER_TIMEOUT })
    }

    /// Sets the time-out of an answer, by default 30 s.
    #[must_use]
    pub const fn with_timeout(mut self, answer_timeout: Duration) -> Self {
        self.answer_timeout = answer_timeout;
        self
    }

    /// Submits runs to the queue, all or none. Returned runs are on disk.
    ///
    /// # Errors
    /// [`ClientError`]; no run was submitted, unless only the answer was lost.
    pub async fn submit(
        &self,
        runs: &[Submit],
        options: SubmitOptions,
    ) -> Result<Vec<QueueEntry>, ClientError> {
        limits::check(runs)?;
        list(self.ask(self.proxy.submit(SentList(runs), Dictionary::from_message(&options))).await?)
    }

    /// Changes a waiting run.
    ///
    /// # Errors
    /// [`ClientError`] if nothing was changed.
    pub async fn edit(&self, run: &RunRef, edit: &Edit) -> Result<QueueEntry, ClientError> {
        read(self.ask(self.proxy.edit(&run.to_string(), Dictionary::from_message(edit))).await?)
    }

    /// Applies an action to runs, to all or none.
    ///
    /// # Errors
    /// [`ClientError`] if no run was changed.
    pub async fn act(&self, act: &Act, runs: &[RunRef]) -> Result<Vec<RunOutcome>, ClientError> {
        let runs: Vec<String> = runs.iter().map(ToString::to_string).collect();
        list(self.ask(self.proxy.act(Dictionary::from_message(act), &runs)).await?)
    }

    /// Pauses or resumes admission; returns whether that changed anything.
    ///
    /// # Errors
    /// [`ClientError`] if it was not changed.
    pub async fn pause(&self, request: &PauseRequest) -> Result<bool, ClientError> {
        self.ask(self.proxy.pause(Dictionary::from_message(request))).await
    }

    /// Creates or changes a group; returns whether that changed anything.
    ///
    /// # Errors
    /// [`ClientError`] if it was not changed.
    pub async fn set_group(&self, group: &GroupSetting) -> Result<bool, ClientError> {
        self.ask(self.proxy.set_group(Dictionary::from_message(group))).await
    }

    /// Removes a group; returns whether it existed.
    ///
    /// # Errors
    /// [`ClientError`] if it was not changed.
    pub async fn remove_group(&self, name: &GroupName) -> Result<bool, ClientError> {
        self.ask(self.proxy.remove_group(name.as_str())).await
    }

    /// Switches the board to a power mode. Its time-out is longer than that of other calls, because a tool may hang.
    ///
    /// # Errors
    /// [`ClientError`] if it was not switched.
    pub async fn set_power_mode(
        &self,
        setting: &PowerModeRequest,
    ) -> Result<PowerSet, ClientError> {
        let set = self.proxy.set_power_mode(Dictionary::from_message(setting));
        read(within(self.answer_timeout.max(POWER_TIMEOUT), set).await?)
    }

    /// Asks whether the unit of an experiment may start now; the unit's `ExecCondition=` uses it.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn admit(
        &self,
        experiment: &ExperimentId,
        request: &AdmissionRequest,
    ) -> Result<Admission, ClientError> {
        let request = Dictionary::from_message(request);
        read(self.ask(self.proxy.admit(experiment.as_str(), request)).await?)
    }

    /// Starts, stops, restarts or resets the unit of an experiment, and waits until that is done. The unit's own
    /// time-outs apply (`TimeoutStartSec=`, `TimeoutStopSec=`).
    ///
    /// # Errors
    /// [`ClientError`] if the request was refused, or if the connection was lost meanwhile.
    pub async fn steer_unit(
        &self,
        experiment: &ExperimentId,
        verb: UnitVerb,
    ) -> Result<UnitDone, ClientError> {
        let request = Dictionary::from_message(&UnitRequest { verb });
        let done = self.proxy.steer_unit(experiment.as_str(), request);
        read(within(UNIT_TIMEOUT, done).await?)
    }

    /// Reloads the settings.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the first error in the settings; the old ones then stay in force.
    pub async fn reload(&self) -> Result<(), ClientError> {
        self.ask(self.proxy.reload()).await
    }

    /// Returns the runs that have not ended, in starting order.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn queue(&self, query: &QueueQuery) -> Result<Vec<QueueEntry>, ClientError> {
        for _ in 1..MAX_READS {
            if let (entries, true) = self.queue_once(query).await? {
                return Ok(entries);
            }
        }
        // The queue changes faster than it can be read. Each page was correct when it was read.
        Ok(self.queue_once(query).await?.0)
    }

    /// Reads the queue page by page, each run once; returns whether all pages are of the same state.
    async fn queue_once(&self, query: &QueueQuery) -> Result<(Vec<QueueEntry>, bool), ClientError> {
        let mut entries: Vec<QueueEntry> = Vec::new();
        let (mut read_at, mut fits, mut skip) = (None, true, query.skip);
        let mut asked = Box::pin(maybe_done(self.queue_page(query, skip)));
        loop {
            asked.as_mut().await;
            let answer = asked.as_mut().take_output().expect("it is done, and was not taken");
            let (piece, count, total, seq) = answer?;
            fits &= *read_at.get_or_insert(seq) == seq;
            // The coordinator decides the length of a page, which may differ between versions.
            skip = skip.saturating_add(count);
            let is_last = count == 0 || skip >= total;
            if !is_last {
                // The coordinator prepares the next page while this one is parsed.
                asked = Box::pin(maybe_done(self.queue_page(query, skip)));
                poll_fn(|context| Poll::Ready(asked.as_mut().poll(context).is_ready())).await;
            }
            let piece: QueueText = serde_json::from_str(&piece).map_err(unreadable)?;
            entries.extend(piece.entries().map_err(unreadable)?);
            if is_last {
                if !fits {
                    let mut seen = HashSet::new();
                    entries.retain(|entry| seen.insert(entry.id()));
                }
                return Ok((entries, fits));
            }
        }
    }

    /// Returns one page of the queue as JSON, with its length, the total length, and the number of the newest event.
    async fn queue_page(
        &self,
        query: &QueueQuery,
        skip: u32,
    ) -> Result<(String, u32, u32, u64), ClientError> {
        let query = QueueQuery { skip, ..query.clone() };
        self.ask(self.proxy.queue_text(Dictionary::from_message(&query))).await
    }

    /// Returns a run, its closed gates, and the runs that go before it.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there never was such a run, else [`ClientError`] if there is no answer.
    pub async fn why(&self, run: &RunRef) -> Result<Why, ClientError> {
        read(self.ask(self.proxy.why(&run.to_string())).await?)
    }

    /// Returns all groups, including those that exist only because they have runs.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn groups(&self) -> Result<Vec<GroupStatus>, ClientError> {
        list(self.ask(self.proxy.groups()).await?)
    }

    /// Returns the events after a number, oldest first; an empty list if there are none yet.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, ClientError> {
        list(self.ask(self.proxy.events(Dictionary::from_message(query))).await?)
    }

    /// Returns all stored samples of the board, oldest first.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn board(&self) -> Result<Vec<RecordedSample>, ClientError> {
        let mut samples: Vec<RecordedSample> = Vec::new();
        loop {
            let after_usec = samples.last().map_or(0, |sample| sample.uptime_usec);
            let query = BoardQuery { after_usec };
            let text = self.ask(self.proxy.board_text(Dictionary::from_message(&query))).await?;
            let piece: Vec<RecordedSample> = serde_json::from_str(&text)
                .map_err(|error| ClientError::Unreadable(Box::new(error)))?;
            // A coordinator that repeats a page would cause an endless loop.
            if piece.last().is_none_or(|last| last.uptime_usec <= after_usec) {
                return Ok(samples);
            }
            samples.extend(piece);
        }
    }

    /// Returns the status of the coordinator.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn status(&self) -> Result<CoordinatorStatus, ClientError> {
        read(self.ask(self.proxy.status()).await?)
    }

    /// Subscribes to changes from now on.
    ///
    /// # Errors
    /// [`ClientError`] if the subscription fails.
    pub async fn changes(&self) -> Result<Changes, ClientError> {
        Ok(Changes::new(self.ask(self.proxy.receive_changed()).await?))
    }

    async fn ask<T>(
        &self,
        answer: impl Future<Output = zbus::Result<T>>,
    ) -> Result<T, ClientError> {
        within(self.answer_timeout, answer).await
    }
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, ClientError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(ClientError::from),
        Err(_) => Err(ClientError::Late { after: limit }),
    }
}

fn read<T: DeserializeOwned>(answer: Dictionary) -> Result<T, ClientError> {
    answer.read().map_err(unreadable)
}

fn list<T>(answer: ReceivedList<T>) -> Result<Vec<T>, ClientError> {
    answer.read().map_err(unreadable)
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> ClientError {
    ClientError::Unreadable(Box::new(error))
}
