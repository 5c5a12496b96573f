//! Requests to exit.

use bij_experiment::Attempt;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Tells whether this process was asked to save and exit: by the stop file of bij, by
/// SIGTERM (`systemctl stop`) or by SIGINT (Ctrl-C).
///
/// The signals are blocked and read from a signalfd(2), so they interrupt nothing: the experiment
/// finishes its step, saves, and exits by itself.
#[derive(Debug)]
pub struct Leave {
    signals: SignalFd,
    asked: bool,
}

impl Leave {
    /// Begins to listen. Call it before starting threads: each has a signal mask of its own.
    ///
    /// # Errors
    /// When the system refuses a descriptor.
    pub fn listen() -> Result<Self, Errno> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        set.thread_block()?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { signals, asked: false })
    }

    /// Returns `true` if a request has arrived.
    pub fn asked(&mut self, attempt: &Attempt) -> bool {
        let signalled = || matches!(self.signals.read_signal(), Ok(Some(_)));
        self.asked = self.asked || attempt.stop_requested() || signalled();
        self.asked
    }
}
