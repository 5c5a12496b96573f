//! The control socket of a supervised experiment, for status, stop and restraints by other processes.
//!
//! A connection carries one request and one answer, each a line of JSON. The kernel identifies the
//! client (`SO_PEERCRED`, unix(7)). A lock file distinguishes a living supervisor from a stale
//! socket: the kernel releases the lock however its holder dies.

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

use crate::control::Control;
use crate::resource_guard::{RestraintOutcome, RestraintRequest};
use crate::status::{SupervisedState, file_in};

/// Longest request, in bytes.
const REQUEST_MAX: u64 = 4096;

/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long clients may take to read their answers when supervision has ended.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a client waits for an answer other than that of a stop: the supervisor may be short of
/// processor time, or suspended.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub(crate) enum Request {
    Status,
    Stop,
    ResetFailed,
    #[serde(rename = "steer")]
    Restrain {
        #[serde(rename = "steer")]
        request: RestraintRequest,
    },
}

/// The answer of a supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub(crate) enum Answer {
    Status {
        state: Box<SupervisedState>,
    },
    Stopped {
        changed: bool,
    },
    Reset {
        changed: bool,
    },
    #[serde(rename = "steered")]
    Restrained {
        #[serde(rename = "steered")]
        outcome: RestraintOutcome,
    },
    Denied {
        uid: u32,
    },
    Malformed,
}

/// Lock file of an experiment, held by the one supervisor that runs it.
#[derive(Debug)]
pub(crate) struct ExperimentLock {
    /// Holds the lock while it is open.
    _lock: File,
    local: PathBuf,
    id: ExperimentId,
}

impl ExperimentLock {
    /// Takes the lock. Returns `None` if another supervisor holds it.
    pub(crate) fn take(layout: &Layout, id: &ExperimentId) -> io::Result<Option<Self>> {
        let local = layout.local();
        fs::create_dir_all(&local)?;
        let path = file_in(&local, id, "lock");
        let lock = OpenOptions::new().create(true).append(true).open(path)?;
        // Another process may hold it for a moment in `is_taken`: try twice.
        for wait in [20, 0] {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(Self { _lock: lock, local, id: id.clone() })),
                Err(fs::TryLockError::WouldBlock) => {
                    std::thread::sleep(Duration::from_millis(wait));
                }
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Returns whether a supervisor holds the lock.
    pub(crate) fn is_taken(layout: &Layout, id: &ExperimentId) -> bool {
        let lock = File::open(file_in(&layout.local(), id, "lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }

    /// Listens on the control socket; replaces a stale one.
    pub(crate) fn listen(&self) -> io::Result<UnixListener> {
        let path = file_in(&self.local, &self.id, "sock");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = with_short_path(&self.local, &self.id, |short| UnixListener::bind(short))?;
        // Every user may read the status; the uid decides who may stop the experiment.
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
        Ok(listener)
    }
}

impl Drop for ExperimentLock {
    fn drop(&mut self) {
        // A socket that stays is recognised as stale by the lock.
        let _ = fs::remove_file(file_in(&self.local, &self.id, "sock"));
    }
}

/// Calls with a path to an experiment's socket that fits into a socket address (108 bytes, unix(7)),
/// however deep the directory is.
fn with_short_path<T>(
    local: &Path,
    id: &ExperimentId,
    call: impl FnOnce(&Path) -> io::Result<T>,
) -> io::Result<T> {
    let directory = File::open(local)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    call(&file_in(&short, id, "sock"))
}

/// Answers clients concurrently until `over` resolves. Clients that are connected by then still get
/// their answers, if they read them.
pub(crate) async fn serve(
    listener: UnixListener,
    control: Control,
    mut over: oneshot::Receiver<()>,
) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        // Cancel-safe: a connection is accepted or it stays in the queue.
        let accepted = tokio::select! {
            _ = &mut over => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let control = control.clone();
                connections.spawn(async move {
                    // The client may disconnect before the answer.
                    let _ = answer(stream, control).await;
                });
            }
            // Out of descriptors, for example; retry.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        while connections.try_join_next().is_some() {}
    }
    let answered = async { while connections.join_next().await.is_some() {} };
    // After the time-out, dropping the set closes the connections of clients that do not read.
    let _ = tokio::time::timeout(LAST_ANSWERS_TIMEOUT, answered).await;
}

async fn answer(mut stream: UnixStream, control: Control) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(reader.take(REQUEST_MAX));
    tokio::time::timeout(REQUEST_TIMEOUT, reader.read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(Request::Status) => Answer::Status { state: Box::new(control.state()) },
        Ok(Request::Stop) if may_stop(uid) => {
            Answer::Stopped { changed: control.stop(stop_order("bij stop", uid)).await }
        }
        Ok(Request::ResetFailed) if may_stop(uid) => {
            Answer::Reset { changed: control.reset_failed() }
        }
        Ok(Request::Restrain { request }) if may_stop(uid) => {
            Answer::Restrained { outcome: control.restrain(request).await }
        }
        Ok(Request::Stop | Request::ResetFailed | Request::Restrain { .. }) => {
            Answer::Denied { uid }
        }
        Err(_) => Answer::Malformed,
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    writer.write_all(&text).await
}

/// Returns whether this user may stop the experiment: root, and the supervisor's own user.
fn may_stop(uid: u32) -> bool {
    uid == 0 || Uid::from_raw(uid) == geteuid()
}

/// Returns a stop order for the evidence: `bij stop by alice (uid 1000)`.
pub(crate) fn stop_order(what: &str, uid: u32) -> Order {
    let user = match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => format!("{} (uid {uid})", user.name),
        Ok(None) | Err(_) => format!("uid {uid}"),
    };
    Order { kind: OrderKind::Stop, by: format!("{what} by {user}") }
}

/// Sends a request to the supervisor of an experiment and blocks until it has answered. Returns
/// `None` if there is no supervisor.
pub(crate) fn request(
    layout: &Layout,
    id: &ExperimentId,
    request: &Request,
) -> io::Result<Option<Answer>> {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    match exchange(layout, id, request) {
        // No supervisor listens, or it ended during the request.
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

fn exchange(layout: &Layout, id: &ExperimentId, request: &Request) -> io::Result<Option<Answer>> {
    let mut stream = with_short_path(&layout.local(), id, |short| StdUnixStream::connect(short))?;
    if !matches!(request, Request::Stop) {
        // A stop takes as long as the experiment's grace time; other requests are answered at once.
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
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
