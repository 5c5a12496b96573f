//! The hardware of a simulated machine.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::port::{
    Board, BoardReadError, GpuClock, GpuClockError, GpuClocks, Sample, ZoneReading,
};
use bij_core::{Bytes, Celsius, ExperimentId, Hertz, Percent};

use crate::SimUnits;

/// A board whose available memory depends on the running experiments; clones share one board.
#[derive(Clone, Debug)]
pub struct SimBoard {
    units: SimUnits,
    state: Arc<Mutex<BoardState>>,
}

#[derive(Debug)]
struct BoardState {
    total: Bytes,
    /// Memory that other programs use.
    others: Bytes,
    usage: BTreeMap<ExperimentId, Bytes>,
    pressure: Option<Percent>,
    zones: BTreeMap<String, Result<Celsius, BoardReadError>>,
    unreadable: bool,
}

impl SimBoard {
    /// Returns a board with this memory, on which these units run.
    pub fn new(total: Bytes, units: SimUnits) -> Self {
        let state = BoardState {
            total,
            others: Bytes::default(),
            usage: BTreeMap::new(),
            pressure: None,
            zones: BTreeMap::new(),
            unreadable: false,
        };
        Self { units, state: Arc::new(Mutex::new(state)) }
    }

    /// Sets the memory that an experiment uses while it runs.
    pub fn set_usage(&self, id: &ExperimentId, memory: Bytes) {
        self.state().usage.insert(id.clone(), memory);
    }

    /// Sets the memory that other programs use.
    pub fn set_other_usage(&self, memory: Bytes) {
        self.state().others = memory;
    }

    /// Sets the share of time in which some task waits for memory; `None` on a kernel without PSI.
    pub fn set_pressure(&self, some: Option<Percent>) {
        self.state().pressure = some;
    }

    /// Sets the temperature of a zone; `None` if its sensor does not answer. The zone exists from
    /// the first call on.
    pub fn set_zone(&self, name: &str, celsius: Option<Celsius>) {
        let celsius = celsius.ok_or_else(|| unread(name));
        self.state().zones.insert(name.to_owned(), celsius);
    }

    /// Makes all readings fail, or succeed again.
    pub fn set_unreadable(&self, unreadable: bool) {
        self.state().unreadable = unreadable;
    }

    fn state(&self) -> MutexGuard<'_, BoardState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board for SimBoard {
    fn sample(&self) -> Sample {
        let with_processes = self.units.with_processes();
        let state = self.state();
        let mut sample = Sample::new(state.total, Bytes::default());
        if state.unreadable {
            sample.memory_total = Err(unread("MemTotal"));
            sample.memory_available = Err(unread("MemAvailable"));
            sample.memory_pressure = Err(unread("the memory pressure"));
            return sample;
        }
        let used =
            with_processes.iter().filter_map(|id| state.usage.get(id)).map(|used| used.get());
        let used = used.fold(state.others.get(), u64::saturating_add);
        sample.memory_available = Ok(Bytes::new(state.total.get().saturating_sub(used)));
        sample.memory_pressure = Ok(state.pressure);
        sample
    }

    fn zones(&self) -> Result<Vec<ZoneReading>, BoardReadError> {
        let state = self.state();
        if state.unreadable {
            return Err(unread("the thermal zones"));
        }
        let zones = state.zones.iter();
        let reading = |(name, celsius): (&String, &Result<Celsius, BoardReadError>)| ZoneReading {
            name: name.clone(),
            celsius: celsius.clone(),
        };
        Ok(zones.map(reading).collect())
    }
}

fn unread(what: &str) -> BoardReadError {
    BoardReadError { what: what.to_owned(), why: "injected fault".to_owned() }
}

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
    use bij_core::port::UnitManager;

    use super::*;
    use crate::Script;
    use crate::contract::{board_contract, gpu_clock_contract};

    #[tokio::test]
    async fn running_experiments_use_memory_and_release_it() {
        let units = SimUnits::default();
        let board = SimBoard::new(Bytes::new(100), units.clone());
        let id = ExperimentId::new("x").unwrap();
        units.define(&id, Script::runs());
        board.set_usage(&id, Bytes::new(30));
        board.set_other_usage(Bytes::new(10));
        let available = || board.sample().memory_available.unwrap();
        assert_eq!(available(), Bytes::new(90));
        units.start(&id).await.unwrap();
        assert_eq!(available(), Bytes::new(60));
        units.stop(&id).await.unwrap();
        assert_eq!(available(), Bytes::new(90));
        board.set_unreadable(true);
        assert!(board.sample().memory_available.is_err());
    }

    #[test]
    fn the_board_keeps_the_contract_with_and_without_readings() {
        let board = SimBoard::new(Bytes::new(100), SimUnits::default());
        board_contract(&board);
        board.set_pressure(Some(Percent::from_permyriad(1234)));
        board.set_zone("tj", Some(Celsius::new(55)));
        board.set_zone("cv0", None);
        board_contract(&board);
        let zones = board.zones().unwrap();
        assert!(zones[0].celsius.is_err() && zones[1].celsius == Ok(Celsius::new(55)));
        board.set_unreadable(true);
        board_contract(&board);
        assert!(board.zones().is_err());
    }

    #[test]
    fn a_fixed_sample_keeps_the_contract() {
        board_contract(&Sample::new(Bytes::new(2), Bytes::new(1)));
    }

    #[test]
    #[should_panic(expected = "more is available than there is")]
    fn the_contract_rejects_an_impossible_board() {
        board_contract(&Sample::new(Bytes::new(1), Bytes::new(2)));
    }

    #[test]
    #[should_panic(expected = "is not a bare name")]
    fn the_contract_rejects_a_zone_with_the_kernels_name() {
        let board = SimBoard::new(Bytes::new(100), SimUnits::default());
        board.set_zone("CPU-therm", None);
        board_contract(&board);
    }

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
