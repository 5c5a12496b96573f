//! The clock of a simulated GPU.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::Hertz;
use bij_core::port::{BoardReadError, GpuClock, GpuClockError, GpuClocks};

/// A GPU clock that can be limited; clones share one.
#[derive(Clone, Debug)]
pub struct SimGpuClock(Arc<Mutex<SimGpuClockState>>);

#[derive(Debug)]
struct SimGpuClockState {
    rates: Vec<Hertz>,
    max: Hertz,
    is_present: bool,
    refuses: bool,
}

impl SimGpuClock {
    /// Returns a clock with these rates, ascending, and no limit.
    ///
    /// # Panics
    /// If there are no rates.
    pub fn new(rates: impl IntoIterator<Item = Hertz>) -> Self {
        let rates: Vec<Hertz> = rates.into_iter().collect();
        let max = *rates.last().expect("a clock has a rate");
        Self(Arc::new(Mutex::new(SimGpuClockState {
            rates,
            max,
            is_present: true,
            refuses: false,
        })))
    }

    /// Sets the limit as another program does, for example a power mode.
    pub fn set_externally(&self, max: Hertz) {
        self.state().max = max;
    }

    /// Sets whether the clock is present: a driver may load late.
    pub fn set_present(&self, is_present: bool) {
        self.state().is_present = is_present;
    }

    /// Sets whether the clock refuses limits.
    pub fn set_refuses(&self, refuses: bool) {
        self.state().refuses = refuses;
    }

    fn state(&self) -> MutexGuard<'_, SimGpuClockState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GpuClock for SimGpuClock {
    fn clocks(&self) -> Result<GpuClocks, BoardReadError> {
        let state = self.state();
        if !state.is_present {
            let (what, why) = ("the GPU's clock".to_owned(), "absent".to_owned());
            return Err(BoardReadError { what, why });
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
    fn the_clock_keeps_the_contract_and_fails_with_a_fault() {
        let clock = SimGpuClock::new([300, 600, 900].map(Hertz::new));
        gpu_clock_contract(&clock);
        clock.set_refuses(true);
        assert!(clock.set_max(Hertz::new(300)).is_err());
        clock.set_externally(Hertz::new(600));
        assert_eq!(clock.clocks().unwrap().max, Hertz::new(600));
        clock.set_present(false);
        assert!(clock.clocks().is_err());
    }
}
