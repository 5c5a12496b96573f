//! Signals that stop or kill the experiments of a foreground session.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{CliError, Kind};

/// What a signal requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interrupt {
    /// Stop in good order. The text is the reason that the ledger records.
    Stop(&'static str),
    /// Kill the main processes at once.
    Kill,
}

/// Receives signals: the first one stops, a later SIGINT or SIGTERM kills. A later SIGHUP is ignored, because
/// both the kernel and the shell send one when a terminal closes.
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    has_stopped: bool,
}

impl Interrupts {
    /// Installs the handlers; from now on these signals do not end the process.
    pub(super) fn new() -> Result<Self, CliError> {
        let on = |kind| signal(kind).map_err(|error| CliError::from_error(Kind::Internal, &error));
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
            has_stopped: false,
        })
    }

    /// Waits for the next request. Cancel-safe, as receiving a signal is.
    pub(super) async fn next(&mut self) -> Interrupt {
        loop {
            let (reason, repeated) = tokio::select! {
                _ = self.interrupt.recv() => ("Ctrl-C", Some(Interrupt::Kill)),
                _ = self.terminate.recv() => ("SIGTERM to bij run", Some(Interrupt::Kill)),
                _ = self.hangup.recv() => ("a closed terminal", None),
            };
            if !std::mem::replace(&mut self.has_stopped, true) {
                return Interrupt::Stop(reason);
            }
            if let Some(interrupt) = repeated {
                return interrupt;
            }
        }
    }
}
