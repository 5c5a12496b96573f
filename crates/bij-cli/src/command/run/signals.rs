//! Ctrl-C, once and twice.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{CliError, Kind};

/// What the person at the keyboard wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Stop in good order; because of what, for the ledger.
    Stop(&'static str),
    /// Kill.
    Kill,
}

/// Counts interrupts: the first one stops, every later one kills. A terminal that closes is told of
/// more than once, by the kernel and by a shell, and nobody is left there to lose patience.
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
        loop {
            let (why, again) = tokio::select! {
                _ = self.interrupt.recv() => ("Ctrl-C", Some(Wish::Kill)),
                _ = self.terminate.recv() => ("SIGTERM to bij run", Some(Wish::Kill)),
                _ = self.hangup.recv() => ("a closed terminal", None),
            };
            if !std::mem::replace(&mut self.asked, true) {
                return Wish::Stop(why);
            }
            if let Some(wish) = again {
                return wish;
            }
        }
    }
}
