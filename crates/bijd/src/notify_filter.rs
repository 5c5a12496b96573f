//! The filter between experiments and the service manager's notification socket.
//!
//! In the system's units `$NOTIFY_SOCKET` names the filter's socket, and the manager's own is closed to
//! them. Each message of an experiment's process is reduced to what the protocol promises
//! ([`notice`]), bounded in rate by unit ([`mailbox`]), and passed on in the name of the process that sent
//! it, so that systemd applies `NotifyAccess=` as if it had come directly.
//!
//! A sender that waits for `sd_notify_barrier(3)` is kept waiting until the manager has dealt with what was
//! passed on before: the manager ignores words of a process that has gone. What the unit's rate does not
//! allow for yet is passed on later, in the name of another process of the unit.
//!
//! # Invariants
//! - What is kept is bounded: one [`mailbox::Mailbox`] for each unit that has spoken recently.
//! - Whose message it is says the kernel (`SCM_CREDENTIALS`) and the control group, and in the end systemd
//!   itself by the same two; a wrong guess here could only count against another unit's rate.

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
use wire::{Outlet, Passed, Received};

/// How long the filter stays without work. systemd starts it again with the next message.
const IDLE: Duration = Duration::from_secs(120);

/// How long a unit's mailbox is kept after its last message. Longer than its rate remembers.
const FORGET: Duration = Duration::from_secs(30);

/// How many datagrams are read before what is due is sent.
const ROUND: usize = 256;

/// How many senders may wait for the manager at once; one too many is answered without it.
const BARRIERS: usize = 64;

/// A manager that takes longer is not waited for; senders themselves wait five seconds by default.
const BARRIER_WITHIN: Duration = Duration::from_secs(2);

/// Why the filter cannot work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FilterError {
    /// It was not started by its socket unit.
    #[error("standard input is not the socket of brain-experiment-notify.socket")]
    Socket(#[source] Errno),
    /// The manager's socket cannot be used.
    #[error("cannot send to the service manager at {}", path.display())]
    Outlet {
        /// Address of the manager's socket.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: Errno,
    },
    /// The kernel does not say when messages come.
    #[error("cannot wait for messages")]
    Wait(#[source] io::Error),
}

/// Passes messages that arrive at `socket` on to the service manager that listens at `manager`, until there
/// have been none for two minutes. Processes are looked up below `root`.
///
/// # Errors
/// [`FilterError`] if one of the two sockets cannot be used.
pub fn filter_notifications(
    socket: impl AsFd,
    manager: &Path,
    root: &Path,
) -> Result<(), FilterError> {
    wire::tell_senders(&socket).map_err(FilterError::Socket)?;
    let outlet = Outlet::to(manager)
        .map_err(|source| FilterError::Outlet { path: manager.to_owned(), source })?;
    let mut filter = Filter::new(outlet, root);
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

/// What one unit has said, and who said it last.
#[derive(Debug)]
struct Correspondent {
    mailbox: Mailbox,
    /// Process that has sent last.
    pid: i32,
    last: Instant,
    /// Whether its trouble has been logged.
    logged: bool,
}

#[derive(Debug)]
struct Filter {
    outlet: Outlet,
    senders: Senders,
    boxes: HashMap<Sender, Correspondent>,
    /// Room for senders that wait for the manager.
    barriers: Arc<Semaphore>,
    /// When the last datagram came.
    active: Instant,
}

impl Filter {
    fn new(outlet: Outlet, root: &Path) -> Self {
        let now = Instant::now();
        Self {
            outlet,
            senders: Senders::new(root, now),
            boxes: HashMap::new(),
            barriers: Arc::new(Semaphore::new(BARRIERS)),
            active: now,
        }
    }

    /// As [`Self::read`], and lets the runtime know when there are no more.
    fn read_ready(&mut self, socket: &UnixDatagram) -> Result<(), FilterError> {
        let mut read = Ok(true);
        let _ = socket.try_io(Interest::READABLE, || {
            read = self.read(socket);
            if let Ok(true) = read { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        read.map(drop)
    }

    /// Reads up to a round of datagrams; says whether there are no more for now.
    fn read(&mut self, socket: &impl AsFd) -> Result<bool, FilterError> {
        for _ in 0..ROUND {
            match wire::receive(socket).map_err(FilterError::Socket)? {
                Received::Message(datagram, pid) => self.take(&datagram, pid),
                Received::Barrier(passed, pid) => self.hold(passed, pid),
                Received::Other => {}
                Received::Empty => return Ok(true),
            }
            self.active = Instant::now();
        }
        Ok(false)
    }

    /// Keeps a sender waiting until the manager has dealt with what has been passed on.
    fn hold(&mut self, passed: Passed, pid: i32) {
        if self.senders.find(pid, Instant::now()).is_none() {
            return;
        }
        let Ok(room) = Arc::clone(&self.barriers).try_acquire_owned() else { return };
        let answer = self.outlet.barrier().map_err(io::Error::from);
        let Ok(answer) = answer.and_then(pipe::Receiver::from_owned_fd) else { return };
        tokio::spawn(async move {
            // Nothing is ever written to it: it becomes readable when the manager closes its end.
            let _ = timeout(BARRIER_WITHIN, answer.readable()).await;
            drop((passed, room));
        });
    }

    /// Takes a message in, and passes it on if the rate of its unit allows.
    fn take(&mut self, datagram: &[u8], pid: i32) {
        let now = Instant::now();
        let notice = Notice::parse(datagram);
        let Some(sender) = self.senders.find(pid, now).filter(|_| !notice.is_empty()) else {
            return;
        };
        let new = || Correspondent { mailbox: Mailbox::new(now), pid, last: now, logged: false };
        let unit = self.boxes.entry(sender.clone()).or_insert_with(new);
        (unit.pid, unit.last) = (pid, now);
        unit.mailbox.put(notice);
        send(&self.outlet, &self.senders, &sender, unit, now);
    }

    fn send_due(&mut self, now: Instant) {
        for (sender, unit) in &mut self.boxes {
            send(&self.outlet, &self.senders, sender, unit, now);
        }
    }

    /// When something can be sent next.
    fn due(&self, now: Instant) -> Option<Instant> {
        self.boxes.values().filter_map(|unit| unit.mailbox.due(now)).min()
    }

    fn forget(&mut self, now: Instant) {
        self.boxes.retain(|_, unit| {
            unit.mailbox.due(now).is_some() || now.saturating_duration_since(unit.last) < FORGET
        });
    }
}

/// Sends what a unit's rate allows now, in the name of the process that spoke last or, if that has gone, of
/// another one of the unit.
fn send(
    outlet: &Outlet,
    senders: &Senders,
    sender: &Sender,
    unit: &mut Correspondent,
    now: Instant,
) {
    let notice = unit.mailbox.take(now);
    if notice.is_empty() {
        return;
    }
    let message = notice.to_datagram();
    let mut sent = outlet.send(&message, unit.pid);
    if sent == Err(Errno::ESRCH)
        && let Some(pid) = senders.process_of(sender)
    {
        sent = outlet.send(&message, pid);
    }
    match sent {
        // A unit without a process has nobody left to speak for.
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(Errno::EAGAIN) => unit.mailbox.put_back(notice, now),
        Err(error) if !unit.logged => {
            unit.logged = true;
            let id = &sender.id;
            log::warn!(
                BIJ_EXPERIMENT:% = id;
                "what {id} says does not reach the service manager: {error}"
            );
        }
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests;
