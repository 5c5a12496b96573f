//! The filter between experiments and the service manager's notification socket.
//!
//! In the system's units `$NOTIFY_SOCKET` names the filter's socket, and they cannot open the manager's own. Each message
//! of an experiment's process is reduced to the allowed assignments ([`notice`]), limited in rate per unit ([`mailbox`]),
//! and passed on in the name of the process that sent it, so that systemd applies `NotifyAccess=` as if it had come
//! directly.
//!
//! A sender that waits for `sd_notify_barrier(3)` waits until the manager has processed the messages that were passed on
//! before, because the manager ignores messages of exited processes. A message over the unit's rate is passed on later,
//! in the name of another process of the unit.
//!
//! # Invariants
//! - Memory is bounded: one [`mailbox::Mailbox`] for each unit that has sent messages recently.
//! - The kernel (`SCM_CREDENTIALS`) and the control group identify the sender, and systemd checks the same again; a
//!   mistake here could only count against another unit's rate.

mod mailbox;
mod notice;
mod senders;
mod wire;

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use thiserror::Error;
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::net::unix::pipe;
use tokio::sync::Semaphore;
use tokio::time::{timeout, timeout_at};

use crate::runtime::interrupted_runtime;
use mailbox::Mailbox;
use notice::Notice;
use senders::{Sender, Senders};
use wire::{ManagerSocket, Passed, Received};

/// How long the filter runs without messages. systemd starts it again with the next message.
const IDLE: Duration = Duration::from_secs(120);

/// How long a unit's mailbox is kept after its last message; longer than its rate limit needs.
const FORGET_AFTER: Duration = Duration::from_secs(30);

/// Number of datagrams that are read before due messages are sent.
const BATCH_LEN: usize = 256;

/// Number of senders that may wait for the manager at once; further ones are answered at once.
const MAX_BARRIERS: usize = 64;

/// How long to wait for the manager; senders themselves wait five seconds by default.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the filter cannot work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The program was not started by its socket unit.
    #[error("standard input is not the socket of brain-experiment-notify.socket")]
    Socket(#[source] Errno),
    /// The manager's socket cannot be used.
    #[error("cannot send to the service manager at {}", path.display())]
    ManagerSocket {
        /// Address of the manager's socket.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: Errno,
    },
    /// The runtime cannot wait for messages.
    #[error("cannot wait for messages")]
    Wait(#[source] io::Error),
}

/// Passes messages that arrive at `socket` on to the service manager at `manager`, until none has arrived for two
/// minutes. Processes are looked up below `root`.
///
/// # Errors
/// [`FilterError`] if one of the two sockets cannot be used.
pub fn filter_notifications(
    socket: impl AsFd,
    manager: &Path,
    root: &Path,
) -> Result<(), FilterError> {
    wire::enable_credentials(&socket).map_err(FilterError::Socket)?;
    let manager_socket = ManagerSocket::new(manager)
        .map_err(|source| FilterError::ManagerSocket { path: manager.to_owned(), source })?;
    let mut filter = Filter::new(manager_socket, root);
    interrupted_runtime().map_err(FilterError::Wait)?.block_on(async {
        let socket = listen(&socket).map_err(FilterError::Wait)?;
        loop {
            let now = Instant::now();
            filter.forget(now);
            let due = filter.due(now);
            if due.is_none() && now.saturating_duration_since(filter.active) >= IDLE {
                return Ok(());
            }
            let until = due.unwrap_or(now + IDLE);
            if let Ok(readable) = timeout_at(until.into(), socket.readable()).await {
                readable.map_err(FilterError::Wait)?;
                filter.read_ready(&socket)?;
            }
            filter.send_due(Instant::now());
        }
    })
}

fn listen(socket: &impl AsFd) -> io::Result<UnixDatagram> {
    let socket = std::os::unix::net::UnixDatagram::from(socket.as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)
}

/// Pending messages of one unit, and the process that sent the last one.
#[derive(Debug)]
struct UnitState {
    mailbox: Mailbox,
    /// The process that sent the last message.
    pid: i32,
    last: Instant,
    /// Whether an error for this unit has been logged.
    logged: bool,
}

#[derive(Debug)]
struct Filter {
    manager_socket: ManagerSocket,
    senders: Senders,
    units: HashMap<Sender, UnitState>,
    /// Permits for senders that wait for the manager.
    barriers: Arc<Semaphore>,
    /// When the last datagram came.
    active: Instant,
}

impl Filter {
    fn new(manager_socket: ManagerSocket, root: &Path) -> Self {
        let now = Instant::now();
        Self {
            manager_socket,
            senders: Senders::new(root, now),
            units: HashMap::new(),
            barriers: Arc::new(Semaphore::new(MAX_BARRIERS)),
            active: now,
        }
    }

    /// As [`Self::read`]; clears the readiness of the socket when it is empty.
    fn read_ready(&mut self, socket: &UnixDatagram) -> Result<(), FilterError> {
        let mut read = Ok(true);
        let _ = socket.try_io(Interest::READABLE, || {
            read = self.read(socket);
            if let Ok(true) = read { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        read.map(drop)
    }

    /// Reads up to [`BATCH_LEN`] datagrams; returns whether the socket is empty.
    fn read(&mut self, socket: &impl AsFd) -> Result<bool, FilterError> {
        for _ in 0..BATCH_LEN {
            match wire::receive(socket).map_err(FilterError::Socket)? {
                Received::Message(datagram, pid) => self.take(&datagram, pid),
                Received::Barrier(passed, pid) => self.hold_barrier(passed, pid),
                Received::Other => {}
                Received::Empty => return Ok(true),
            }
            self.active = Instant::now();
        }
        Ok(false)
    }

    /// Keeps a sender waiting until the manager has processed all messages that were passed on.
    fn hold_barrier(&mut self, passed: Passed, pid: i32) {
        if self.senders.find(pid, Instant::now()).is_none() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.barriers).try_acquire_owned() else { return };
        let answer = self.manager_socket.barrier().map_err(io::Error::from);
        let Ok(answer) = answer.and_then(pipe::Receiver::from_owned_fd) else { return };
        tokio::spawn(async move {
            // The pipe becomes readable when the manager closes its end.
            let _ = timeout(BARRIER_TIMEOUT, answer.readable()).await;
            drop((passed, permit));
        });
    }

    /// Accepts a message, and passes it on if the rate of its unit allows it.
    fn take(&mut self, datagram: &[u8], pid: i32) {
        let now = Instant::now();
        let notice = Notice::parse(datagram);
        let Some(sender) = self.senders.find(pid, now).filter(|_| !notice.is_empty()) else {
            return;
        };
        let new = || UnitState { mailbox: Mailbox::new(now), pid, last: now, logged: false };
        let unit = self.units.entry(sender.clone()).or_insert_with(new);
        (unit.pid, unit.last) = (pid, now);
        unit.mailbox.put(notice);
        send(&self.manager_socket, &self.senders, &sender, unit, now);
    }

    fn send_due(&mut self, now: Instant) {
        for (sender, unit) in &mut self.units {
            send(&self.manager_socket, &self.senders, sender, unit, now);
        }
    }

    /// Returns when a message can be sent next.
    fn due(&self, now: Instant) -> Option<Instant> {
        self.units.values().filter_map(|unit| unit.mailbox.due(now)).min()
    }

    fn forget(&mut self, now: Instant) {
        self.units.retain(|_, unit| {
            unit.mailbox.due(now).is_some()
                || now.saturating_duration_since(unit.last) < FORGET_AFTER
        });
    }
}

/// Sends what a unit's rate allows now, in the name of the process that sent the last message or, if that has exited, of
/// another process of the unit.
fn send(
    manager_socket: &ManagerSocket,
    senders: &Senders,
    sender: &Sender,
    unit: &mut UnitState,
    now: Instant,
) {
    let notice = unit.mailbox.take(now);
    if notice.is_empty() {
        return;
    }
    let message = notice.to_datagram();
    let mut sent = manager_socket.send(&message, unit.pid);
    if sent == Err(Errno::ESRCH)
        && let Some(pid) = senders.find_process(sender)
    {
        sent = manager_socket.send(&message, pid);
    }
    match sent {
        // Without a process the unit has ended, and its messages are obsolete.
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(Errno::EAGAIN) => unit.mailbox.put_back(notice, now),
        Err(error) if !unit.logged => {
            unit.logged = true;
            let id = &sender.id;
            log::warn!(
                BIJ_EXPERIMENT:% = id;
                "cannot pass on messages of {id} to the service manager: {error}"
            );
        }
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests;
