//! A program that is killed between any two of its calls.
//!
//! [`KillablePort`] stands between a program and one of its ports. While its [`KillSwitch`] is disarmed it
//! passes every call on. Armed, it unwinds out of the program before or after a call, which has the
//! effect of `kill -9`: completed calls stay done, and the program does nothing more.

mod port;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Decides at which call a program is killed; clones share one switch.
#[derive(Clone, Debug, Default)]
pub struct KillSwitch(Arc<SwitchState>);

#[derive(Debug, Default)]
struct SwitchState {
    /// Crossings left until the kill; 0 is disarmed.
    left: AtomicU64,
    /// Number of calls so far.
    calls: AtomicU64,
    /// Number of calls so far that may have changed something.
    writes: AtomicU64,
}

/// The program was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Killed;

/// Whether a call may change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallKind {
    Read,
    Write,
}

impl KillSwitch {
    /// Kills the program at the `crossings`th crossing between it and its ports. Every call crosses
    /// twice, there and back.
    pub fn arm(&self, crossings: u64) {
        self.0.left.store(crossings, Ordering::Relaxed);
    }

    /// Returns how many crossings are left until the kill; 0 if the switch is disarmed.
    pub fn left(&self) -> u64 {
        self.0.left.load(Ordering::Relaxed)
    }

    /// Disarms the switch.
    pub fn disarm(&self) {
        self.arm(0);
    }

    /// Returns the number of calls so far.
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// Returns the number of calls so far that may have changed something.
    pub fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::Relaxed)
    }

    /// Runs a part of the program, which may be killed.
    ///
    /// # Errors
    /// [`Killed`] if it was killed; no value of the program may be used then.
    pub fn run<T>(&self, part: impl FnOnce() -> T) -> Result<T, Killed> {
        match catch_unwind(AssertUnwindSafe(part)) {
            Ok(done) => Ok(done),
            Err(panic) if panic.is::<Killed>() => Err(Killed),
            // A real panic of the program is passed on.
            Err(panic) => resume_unwind(panic),
        }
    }

    fn cross(&self) {
        let left = &self.0.left;
        let before =
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if before == Ok(1) {
            resume_unwind(Box::new(Killed));
        }
    }

    fn count(&self, kind: CallKind) {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        if kind == CallKind::Write {
            self.0.writes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A port whose user can be killed at every call.
#[derive(Clone, Debug)]
pub struct KillablePort<T> {
    inner: T,
    kill_switch: KillSwitch,
}

impl<T> KillablePort<T> {
    /// Puts a port behind a kill switch.
    pub const fn new(inner: T, kill_switch: KillSwitch) -> Self {
        Self { inner, kill_switch }
    }

    fn read<R>(&self, call: impl FnOnce(&T) -> R) -> R {
        self.kill_switch.count(CallKind::Read);
        self.kill_switch.cross();
        let answer = call(&self.inner);
        self.kill_switch.cross();
        answer
    }

    fn write<R>(&mut self, call: impl FnOnce(&mut T) -> R) -> R {
        self.kill_switch.count(CallKind::Write);
        self.kill_switch.cross();
        let answer = call(&mut self.inner);
        self.kill_switch.cross();
        answer
    }
}

#[cfg(test)]
mod tests {
    use bij_core::Timestamp;
    use bij_core::port::{Change, RunQueue};
    use bij_core::queue::EventKind;

    use super::*;
    use crate::MemoryLedger;

    #[test]
    fn a_program_is_killed_before_or_after_its_call() {
        for (crossings, written) in [(1, 0), (2, 1)] {
            let ledger = MemoryLedger::default();
            let kill_switch = KillSwitch::default();
            let mut port = KillablePort::new(ledger.clone(), kill_switch.clone());
            let note = Change::Note {
                kind: EventKind::CoordinatorStarted,
                run: None,
                data: std::collections::BTreeMap::new(),
            };
            kill_switch.arm(crossings);
            let at = Timestamp::from_micros(1);
            let killed = kill_switch.run(|| port.change(std::slice::from_ref(&note), at));
            assert_eq!(killed.err(), Some(Killed));
            assert_eq!(ledger.events(0, 10).unwrap().len(), written);
            assert!(kill_switch.run(|| port.change(&[note], at)).is_ok(), "it kills only once");
            assert_eq!((kill_switch.calls(), kill_switch.writes()), (2, 2));
        }
    }
}
