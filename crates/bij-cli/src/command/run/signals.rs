//! Ctrl-C, once and twice.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{CliError, Kind};

/// What the person at the keyboard wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Stop in good order.
    Stop,
    /// Kill.
    Kill,
}

/// Counts interrupts: the first one stops, every later one kills.
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    asked: bool,
}

impl Interrupts {
    /// From now on these signals no longer end the process.
    pub(super) fn new() -> Result<Self, CliError> {
        let on = |kind| signal(kind).map_err(|error| CliError::of(Kind::Internal, &error));
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
            asked: false,
        })
    }

    /// The next one. Cancel-safe, as receiving a signal is.
    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
        if std::mem::replace(&mut self.asked, true) { Wish::Kill } else { Wish::Stop }
    }
}
