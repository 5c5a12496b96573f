//! The coordinator, as its clients have it.

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
use bij_core::queue::{GroupName, RunRef};
use futures_util::future::maybe_done;
use serde::de::DeserializeOwned;
use zbus::connection;
use zbus::proxy::CacheProperties;

use crate::dictionary::{Dictionary, List, Taken};
use crate::limits;
use crate::message::{
    Act, Admission, AdmissionRequest, BoardQuery, BoardSample, Changed, CoordinatorStatus, Edit,
    Entry, Event, EventQuery, GroupInfo, GroupSetting, Pausing, PowerSet, PowerSetting, QueueQuery,
    Submit, SubmitOptions, UnitDone, UnitRequest, UnitVerb, Why,
};
use crate::proxy::CoordinatorProxy;
use crate::queue_text::QueueText;

pub use changes::Changes;
pub use error::ClientError;

/// How long the coordinator may take for an answer. It answers within milliseconds unless its disk
/// is slow or PID 1 reloads.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How long a switch of the board may take: nvpmodel is asked, called and asked again, `jetson_clocks` is
/// called before, and each may hang for 20 s.
const SWITCHED_WITHIN: Duration = Duration::from_secs(90);

/// How long a unit may take to start or stop: longer than any definition says. A coordinator that ends
/// meanwhile closes the connection.
const UNIT_DONE_WITHIN: Duration = Duration::from_secs(86_400);

/// How often the queue is read anew if it changes between two pieces.
const READ_ANEW: usize = 3;

/// Where the system's bus listens. It is not taken from `$DBUS_SYSTEM_BUS_ADDRESS`: a program that runs as
/// root must not be led to a bus of another user's.
pub(crate) const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// Which bus a coordinator is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichBus {
    /// The system's.
    System,
    /// The user's own.
    Session,
}

/// A connection to a coordinator.
#[derive(Clone, Debug)]
pub struct Client {
    proxy: CoordinatorProxy<'static>,
    answer_within: Duration,
}

impl Client {
    /// Connects to the socket in a coordinator's runtime directory.
    ///
    /// # Errors
    /// [`ClientError::NoCoordinator`] if there is no socket, [`ClientError::NotListening`] if there
    /// is one and nobody behind it, else why it cannot be reached.
    pub async fn connect(socket: &Path) -> Result<Self, ClientError> {
        // A local socket connects as soon as there is room in the line before it.
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
    /// [`ClientError::Unreachable`] without a bus. Whether anybody has the name on it is told by the
    /// first call.
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
        let proxy = within(ANSWER_WITHIN, connect).await?;
        Ok(Self { proxy, answer_within: ANSWER_WITHIN })
    }

    /// Bounds the wait for an answer; it is 30 s without.
    #[must_use]
    pub const fn with_timeout(mut self, answer_within: Duration) -> Self {
        self.answer_within = answer_within;
        self
    }

    /// Takes runs into the queue, all or none. What is returned is on the disk.
    ///
    /// # Errors
    /// [`ClientError`]; nothing was taken in, unless the answer was lost on its way.
    pub async fn submit(
        &self,
        runs: &[Submit],
        options: SubmitOptions,
    ) -> Result<Vec<Entry>, ClientError> {
        limits::check(runs)?;
        list(self.ask(self.proxy.submit(List(runs), Dictionary::of(&options))).await?)
    }

    /// Changes a run that waits.
    ///
    /// # Errors
    /// [`ClientError`] if nothing was changed.
    pub async fn edit(&self, run: &RunRef, edit: &Edit) -> Result<Entry, ClientError> {
        read(self.ask(self.proxy.edit(&run.to_string(), Dictionary::of(edit))).await?)
    }

    /// Does something to runs, to all or none.
    ///
    /// # Errors
    /// [`ClientError`] if it was done to none.
    pub async fn act(&self, act: &Act, runs: &[RunRef]) -> Result<Vec<Changed>, ClientError> {
        let runs: Vec<String> = runs.iter().map(ToString::to_string).collect();
        list(self.ask(self.proxy.act(Dictionary::of(act), &runs)).await?)
    }

    /// Pauses or resumes admission; tells whether that changed anything.
    ///
    /// # Errors
    /// [`ClientError`] if it was not changed.
    pub async fn pause(&self, pausing: &Pausing) -> Result<bool, ClientError> {
        self.ask(self.proxy.pause(Dictionary::of(pausing))).await
    }

    /// Sets up a group or changes it; tells whether that changed anything.
    ///
    /// # Errors
    /// [`ClientError`] if it was not changed.
    pub async fn set_group(&self, group: &GroupSetting) -> Result<bool, ClientError> {
        self.ask(self.proxy.set_group(Dictionary::of(group))).await
    }

    /// Forgets a group; tells whether there was one.
    ///
    /// # Errors
    /// [`ClientError`] if it was not changed.
    pub async fn remove_group(&self, name: &GroupName) -> Result<bool, ClientError> {
        self.ask(self.proxy.remove_group(name.as_str())).await
    }

    /// Has the board switched to a power mode. It is waited for longer than other answers: a tool that
    /// hangs is given its time.
    ///
    /// # Errors
    /// [`ClientError`] if it was not switched.
    pub async fn set_power_mode(&self, setting: &PowerSetting) -> Result<PowerSet, ClientError> {
        let set = self.proxy.set_power_mode(Dictionary::of(setting));
        read(within(self.answer_within.max(SWITCHED_WITHIN), set).await?)
    }

    /// Asks whether the unit of an experiment may start now: what its `ExecCondition=` asks.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn admit(
        &self,
        experiment: &ExperimentId,
        request: &AdmissionRequest,
    ) -> Result<Admission, ClientError> {
        let request = Dictionary::of(request);
        read(self.ask(self.proxy.admit(experiment.as_str(), request)).await?)
    }

    /// Has the unit of an experiment started, stopped, restarted or reset, and waits until that is done.
    /// How long it takes is the unit's to say (`TimeoutStartSec=`, `TimeoutStopSec=`).
    ///
    /// # Errors
    /// [`ClientError`] if it was not done, or if the connection was lost meanwhile.
    pub async fn steer_unit(
        &self,
        experiment: &ExperimentId,
        verb: UnitVerb,
    ) -> Result<UnitDone, ClientError> {
        let request = Dictionary::of(&UnitRequest { verb });
        let done = self.proxy.steer_unit(experiment.as_str(), request);
        read(within(UNIT_DONE_WITHIN, done).await?)
    }

    /// Has the settings read anew.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with what is wrong where; the old ones then stay in force.
    pub async fn reload(&self) -> Result<(), ClientError> {
        self.ask(self.proxy.reload()).await
    }

    /// The runs that are not over, in starting order.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn queue(&self, query: &QueueQuery) -> Result<Vec<Entry>, ClientError> {
        for _ in 1..READ_ANEW {
            if let (entries, true) = self.queue_once(query).await? {
                return Ok(entries);
            }
        }
        // It changes faster than it can be read: each piece was true when it was read.
        Ok(self.queue_once(query).await?.0)
    }

    /// The queue in pieces, each run once, and whether the pieces fit together.
    async fn queue_once(&self, query: &QueueQuery) -> Result<(Vec<Entry>, bool), ClientError> {
        let mut entries: Vec<Entry> = Vec::new();
        let (mut read_at, mut fits, mut skip) = (None, true, query.skip);
        let mut asked = Box::pin(maybe_done(self.piece(query, skip)));
        loop {
            asked.as_mut().await;
            let answer = asked.as_mut().take_output().expect("it is done, and was not taken");
            let (piece, count, total, seq) = answer?;
            fits &= *read_at.get_or_insert(seq) == seq;
            // How much is in a piece is the coordinator's to say: it may be of another version.
            skip = skip.saturating_add(count);
            let is_last = count == 0 || skip >= total;
            if !is_last {
                // It is made while this one is read.
                asked = Box::pin(maybe_done(self.piece(query, skip)));
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

    /// So many as the server gives at a time, from one on.
    async fn piece(
        &self,
        query: &QueueQuery,
        skip: u32,
    ) -> Result<(String, u32, u32, u64), ClientError> {
        let query = QueueQuery { skip, ..query.clone() };
        self.ask(self.proxy.queue_text(Dictionary::of(&query))).await
    }

    /// One run, everything that it waits for, and who goes first.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there never was such a run, else why there is no answer.
    pub async fn why(&self, run: &RunRef) -> Result<Why, ClientError> {
        read(self.ask(self.proxy.why(&run.to_string())).await?)
    }

    /// The groups, those that nobody set up and that have runs included.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn groups(&self) -> Result<Vec<GroupInfo>, ClientError> {
        list(self.ask(self.proxy.groups()).await?)
    }

    /// The events after a number, oldest first; an empty list if there are none yet.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, ClientError> {
        list(self.ask(self.proxy.events(Dictionary::of(query))).await?)
    }

    /// All samples of the board that are remembered, oldest first.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn board(&self) -> Result<Vec<BoardSample>, ClientError> {
        let mut samples: Vec<BoardSample> = Vec::new();
        loop {
            let after_usec = samples.last().map_or(0, |sample| sample.uptime_usec);
            let query = BoardQuery { after_usec };
            let text = self.ask(self.proxy.board_text(Dictionary::of(&query))).await?;
            let piece: Vec<BoardSample> = serde_json::from_str(&text)
                .map_err(|error| ClientError::Unreadable(Box::new(error)))?;
            // One that does not go on would be asked for ever.
            if piece.last().is_none_or(|last| last.uptime_usec <= after_usec) {
                return Ok(samples);
            }
            samples.extend(piece);
        }
    }

    /// How the coordinator is.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn status(&self) -> Result<CoordinatorStatus, ClientError> {
        read(self.ask(self.proxy.status()).await?)
    }

    /// What changes from now on.
    ///
    /// # Errors
    /// [`ClientError`] if it cannot be listened to.
    pub async fn changes(&self) -> Result<Changes, ClientError> {
        Ok(Changes::new(self.ask(self.proxy.receive_changed()).await?))
    }

    async fn ask<T>(
        &self,
        answer: impl Future<Output = zbus::Result<T>>,
    ) -> Result<T, ClientError> {
        within(self.answer_within, answer).await
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

fn list<T>(answer: Taken<T>) -> Result<Vec<T>, ClientError> {
    answer.read().map_err(unreadable)
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> ClientError {
    ClientError::Unreadable(Box::new(error))
}
