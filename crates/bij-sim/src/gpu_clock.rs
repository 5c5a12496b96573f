//! The clock of a GPU that exists in memory only.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::Hertz;
use bij_core::port::{GpuClock, GpuClockError, GpuClocks, Unread};

/// A clock that can be bounded; clones share one.
#[derive(Clone, Debug)]
pub struct SimGpuClock(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rates: Vec<Hertz>,
    max: Hertz,
    is_there: bool,
    refuses: bool,
}

impl SimGpuClock {
    /// A clock with these rates, ascending, that nothing bounds.
    ///
    /// # Panics
    /// If there are none.
    pub fn new(rates: impl IntoIterator<Item = Hertz>) -> Self {
        let rates: Vec<Hertz> = rates.into_iter().collect();
        let max = *rates.last().expect("a clock has a rate");
        Self(Arc::new(Mutex::new(State { rates, max, is_there: true, refuses: false })))
    }

    /// Somebody else bounds it, as a power mode does.
    pub fn set_by_somebody(&self, max: Hertz) {
        self.state().max = max;
    }

    /// Whether it is there: a driver may come late.
    pub fn set_there(&self, is_there: bool) {
        self.state().is_there = is_there;
    }

    /// Whether it refuses to be bounded.
    pub fn set_refuses(&self, refuses: bool) {
        self.state().refuses = refuses;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GpuClock for SimGpuClock {
    fn clocks(&self) -> Result<GpuClocks, Unread> {
        let state = self.state();
        if !state.is_there {
            let (what, why) = ("the GPU's clock".to_owned(), "absent".to_owned());
            return Err(Unread { what, why });
        }
        Ok(GpuClocks { rates: state.rates.clone(), max: state.max })
    }

    fn set_max(&self, max: Hertz) -> Result<(), GpuClockError> {
        self.clocks()?;
        let mut state = self.state();
        if state.refuses {
            let source = io::Error::from(io::ErrorKind::PermissionDenied).into();
            return Err(GpuClockError::Refused { what: "the GPU's clock".to_owned(), source });
        }
        state.max = max;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::gpu_clock_contract;

    #[test]
    fn it_keeps_the_contract_and_fails_when_told_to() {
        let clock = SimGpuClock::new([300, 600, 900].map(Hertz::new));
        gpu_clock_contract(&clock);
        clock.set_refuses(true);
        assert!(clock.set_max(Hertz::new(300)).is_err());
        clock.set_by_somebody(Hertz::new(600));
        assert_eq!(clock.clocks().unwrap().max, Hertz::new(600));
        clock.set_there(false);
        assert!(clock.clocks().is_err());
    }
}
