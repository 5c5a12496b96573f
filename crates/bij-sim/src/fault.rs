//! A program that is killed between any two of its calls.
//!
//! [`Fused`] stands between a program and one of its ports. While its [`Fuse`] is not lit it hands
//! every call through; lit, it unwinds out of the program before or after one of the calls, which
//! is all that a `kill -9` is to the world outside: what was done before it stays done, and nothing
//! of the program is heard again.

mod port;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Decides at which call a program is killed; clones are the same fuse.
#[derive(Clone, Debug, Default)]
pub struct Fuse(Arc<Wick>);

#[derive(Debug, Default)]
struct Wick {
    /// So many crossings are left; 0 is not lit.
    left: AtomicU64,
    /// So many calls were made.
    calls: AtomicU64,
    /// So many of them may have changed something.
    deeds: AtomicU64,
}

/// It was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Killed;

/// Whether a call may change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Look,
    Deed,
}

impl Fuse {
    /// Kills the program at the `crossings`th crossing of the line between it and its ports: every
    /// call crosses it twice, there and back.
    pub fn light(&self, crossings: u64) {
        self.0.left.store(crossings, Ordering::Relaxed);
    }

    /// How many crossings are left until it is killed; 0 if it is not to be.
    pub fn left(&self) -> u64 {
        self.0.left.load(Ordering::Relaxed)
    }

    /// Kills it at none.
    pub fn put_out(&self) {
        self.light(0);
    }

    /// How many calls were made.
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// How many calls were made that may have changed something.
    pub fn deeds(&self) -> u64 {
        self.0.deeds.load(Ordering::Relaxed)
    }

    /// Runs a part of the program, unless it is killed in its midst.
    ///
    /// # Errors
    /// [`Killed`] if it was; nothing of it may be used any more then.
    pub fn run<T>(&self, part: impl FnOnce() -> T) -> Result<T, Killed> {
        match catch_unwind(AssertUnwindSafe(part)) {
            Ok(done) => Ok(done),
            Err(panic) if panic.is::<Killed>() => Err(Killed),
            // A bug of its own is not hidden.
            Err(panic) => resume_unwind(panic),
        }
    }

    fn cross(&self) {
        let left = &self.0.left;
        let burnt =
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if burnt == Ok(1) {
            resume_unwind(Box::new(Killed));
        }
    }

    fn count(&self, kind: Kind) {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        if kind == Kind::Deed {
            self.0.deeds.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A port whose user can be killed at every call.
#[derive(Clone, Debug)]
pub struct Fused<T> {
    inner: T,
    fuse: Fuse,
}

impl<T> Fused<T> {
    /// The port behind this fuse.
    pub const fn new(inner: T, fuse: Fuse) -> Self {
        Self { inner, fuse }
    }

    fn look<R>(&self, call: impl FnOnce(&T) -> R) -> R {
        self.fuse.count(Kind::Look);
        self.fuse.cross();
        let answer = call(&self.inner);
        self.fuse.cross();
        answer
    }

    fn deed<R>(&mut self, call: impl FnOnce(&mut T) -> R) -> R {
        self.fuse.count(Kind::Deed);
        self.fuse.cross();
        let answer = call(&mut self.inner);
        self.fuse.cross();
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
            let fuse = Fuse::default();
            let mut port = Fused::new(ledger.clone(), fuse.clone());
            let note = Change::Note {
                kind: EventKind::CoordinatorStarted,
                run: None,
                data: std::collections::BTreeMap::new(),
            };
            fuse.light(crossings);
            let at = Timestamp::from_micros(1);
            let killed = fuse.run(|| port.change(std::slice::from_ref(&note), at));
            assert_eq!(killed.err(), Some(Killed));
            assert_eq!(ledger.events(0, 10).unwrap().len(), written);
            assert!(fuse.run(|| port.change(&[note], at)).is_ok(), "it burns only once");
            assert_eq!((fuse.calls(), fuse.deeds()), (2, 2));
        }
    }
}
