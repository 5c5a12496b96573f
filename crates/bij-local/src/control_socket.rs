//! The socket beside a supervised experiment, by which other processes look at it and stop it.
//!
//! One request and one answer a connection, each a line of JSON. Who asks is known from the kernel
//! (`SO_PEERCRED`, unix(7)), never from what is said. A lock file tells a living supervisor from a
//! socket that was left behind: the lock goes with its holder, however that dies.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bij_core::{ExperimentId, Layout, Order, OrderKind};
use nix::unistd::{Uid, User, geteuid};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;

use crate::jar::{Steer, Steered};
use crate::status::{State, file_in};

/// Longest request, in bytes.
const REQUEST_MAX: u64 = 4096;

/// How long somebody may take to say what he wants.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// How long guests may take for their answers when all is over.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// How long a supervisor may take for an answer that needs no work: it may be short of processor
/// time, or suspended.
const ANSWER_AT_ONCE: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub(crate) enum Request {
    Status,
    Stop,
    ResetFailed,
    Steer { steer: Steer },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub(crate) enum Answer {
    Status { state: Box<State> },
    Stopped { changed: bool },
    Reset { changed: bool },
    Steered { steered: Steered },
    Denied { uid: u32 },
    Malformed,
}

/// What a supervised experiment can be asked.
pub(crate) trait Handler: Clone + Send + Sync + 'static {
    /// Its state now.
    fn state(&self) -> State;
    /// Forgets how often it was started; whether there was something to forget.
    fn reset_failed(&self) -> bool;
    /// Holds back the attempt that is up, or no longer.
    fn steer(&self, steer: Steer) -> impl Future<Output = Steered> + Send;
    /// Has it stopped and returns when it is down; false if it was down.
    fn stop(&self, order: Order) -> impl Future<Output = bool> + Send;
}

/// An experiment's place among all supervisors: whoever holds it supervises it.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Holds the lock until it is dropped.
    _lock: File,
    local: PathBuf,
    id: ExperimentId,
}

impl Seat {
    /// Takes the place; `None` if another supervisor has it.
    pub(crate) fn take(layout: &Layout, id: &ExperimentId) -> io::Result<Option<Self>> {
        let local = layout.local();
        fs::create_dir_all(&local)?;
        let path = file_in(&local, id, "lock");
        let lock = OpenOptions::new().create(true).append(true).open(path)?;
        // Somebody may just be looking whether it is held; that takes no time.
        for patience in [20, 0] {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(Self { _lock: lock, local, id: id.clone() })),
                Err(fs::TryLockError::WouldBlock) => {
                    std::thread::sleep(Duration::from_millis(patience));
                }
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Whether a supervisor has the place.
    pub(crate) fn is_taken(layout: &Layout, id: &ExperimentId) -> bool {
        let lock = File::open(file_in(&layout.local(), id, "lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }

    /// Listens; a socket that was left behind is replaced.
    pub(crate) fn listen(&self) -> io::Result<UnixListener> {
        let path = file_in(&self.local, &self.id, "sock");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = at_short_path(&self.local, &self.id, |short| UnixListener::bind(short))?;
        // Everybody may look; who may stop is decided by uid.
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
        Ok(listener)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // One that stays is recognised as stale by the lock.
        let _ = fs::remove_file(file_in(&self.local, &self.id, "sock"));
    }
}

/// Calls with a path to an experiment's socket that fits into an address (108 bytes, unix(7)),
/// however deep the directory lies.
fn at_short_path<T>(
    local: &Path,
    id: &ExperimentId,
    call: impl FnOnce(&Path) -> io::Result<T>,
) -> io::Result<T> {
    let directory = File::open(local)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    call(&file_in(&short, id, "sock"))
}

/// Answers whoever connects, each for himself, until `over` comes; who has asked by then is still
/// answered, if he takes the answer.
pub(crate) async fn serve(
    listener: UnixListener,
    handler: impl Handler,
    mut over: oneshot::Receiver<()>,
) {
    let mut guests = tokio::task::JoinSet::new();
    loop {
        // Cancel-safe: a connection is accepted or it stays in the queue.
        let accepted = tokio::select! {
            _ = &mut over => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let handler = handler.clone();
                guests.spawn(async move {
                    // A guest who goes away before the answer is no matter.
                    let _ = answer(stream, handler).await;
                });
            }
            // Out of descriptors, for example: it may pass.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        while guests.try_join_next().is_some() {}
    }
    let answered = async { while guests.join_next().await.is_some() {} };
    // One that does not read is dropped with the set.
    let _ = tokio::time::timeout(ANSWER_WITHIN, answered).await;
}

async fn answer(mut stream: UnixStream, handler: impl Handler) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(reader.take(REQUEST_MAX));
    tokio::time::timeout(REQUEST_WITHIN, reader.read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(Request::Status) => Answer::Status { state: Box::new(handler.state()) },
        Ok(Request::Stop) if may_stop(uid) => {
            Answer::Stopped { changed: handler.stop(stop_order("bij stop", uid)).await }
        }
        Ok(Request::ResetFailed) if may_stop(uid) => {
            Answer::Reset { changed: handler.reset_failed() }
        }
        Ok(Request::Steer { steer }) if may_stop(uid) => {
            Answer::Steered { steered: handler.steer(steer).await }
        }
        Ok(Request::Stop | Request::ResetFailed | Request::Steer { .. }) => Answer::Denied { uid },
        Err(_) => Answer::Malformed,
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    writer.write_all(&text).await
}

/// The supervisor's own user, and root.
fn may_stop(uid: u32) -> bool {
    uid == 0 || Uid::from_raw(uid) == geteuid()
}

/// An order to stop, as evidence has it: `bij stop by alice (uid 1000)`.
pub(crate) fn stop_order(what: &str, uid: u32) -> Order {
    let who = match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => format!("{} (uid {uid})", user.name),
        Ok(None) | Err(_) => format!("uid {uid}"),
    };
    Order { kind: OrderKind::Stop, by: format!("{what} by {who}") }
}

/// Asks the supervisor of an experiment; `None` if there is none. Blocks until it has answered.
pub(crate) fn ask(
    layout: &Layout,
    id: &ExperimentId,
    request: &Request,
) -> io::Result<Option<Answer>> {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    match converse(layout, id, request) {
        // Nobody listens, or whoever did went away while we asked.
        Err(error)
            if matches!(
                error.kind(),
                NotFound | ConnectionRefused | ConnectionReset | BrokenPipe
            ) =>
        {
            Ok(None)
        }
        answer => answer,
    }
}

fn converse(layout: &Layout, id: &ExperimentId, request: &Request) -> io::Result<Option<Answer>> {
    let mut stream = at_short_path(&layout.local(), id, |short| StdUnixStream::connect(short))?;
    if !matches!(request, Request::Stop) {
        // A stop takes as long as the experiment's grace; anything else is answered at once.
        stream.set_read_timeout(Some(ANSWER_AT_ONCE))?;
    }
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(&line).map(Some).map_err(io::Error::from)
}
