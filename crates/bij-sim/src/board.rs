//! The hardware of a machine that exists in memory only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::port::{Board, Sample, Unread, ZoneReading};
use bij_core::{Bytes, Celsius, ExperimentId, Percent};

use crate::SimUnits;

/// A machine whose memory falls with what lives on it; clones share one machine.
#[derive(Clone, Debug)]
pub struct SimBoard {
    units: SimUnits,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    total: Bytes,
    /// What others than experiments use.
    others: Bytes,
    uses: BTreeMap<ExperimentId, Bytes>,
    pressure: Option<Percent>,
    zones: BTreeMap<String, Result<Celsius, Unread>>,
    unreadable: bool,
}

impl SimBoard {
    /// A machine with so much memory, on which these units live.
    pub fn new(total: Bytes, units: SimUnits) -> Self {
        let state = State {
            total,
            others: Bytes::default(),
            uses: BTreeMap::new(),
            pressure: None,
            zones: BTreeMap::new(),
            unreadable: false,
        };
        Self { units, state: Arc::new(Mutex::new(state)) }
    }

    /// So much does an experiment use while it lives.
    pub fn set_use(&self, id: &ExperimentId, memory: Bytes) {
        self.state().uses.insert(id.clone(), memory);
    }

    /// So much do others than experiments use.
    pub fn set_others(&self, memory: Bytes) {
        self.state().others = memory;
    }

    /// For such a share of the time some task waits for memory; `None` on a kernel without PSI.
    pub fn set_pressure(&self, some: Option<Percent>) {
        self.state().pressure = some;
    }

    /// It is so hot there; `None` where the sensor gives no answer. There is no zone before the first
    /// call.
    pub fn set_zone(&self, name: &str, celsius: Option<Celsius>) {
        let celsius = celsius.ok_or_else(|| unread(name));
        self.state().zones.insert(name.to_owned(), celsius);
    }

    /// Whether nothing of it can be read.
    pub fn set_unreadable(&self, unreadable: bool) {
        self.state().unreadable = unreadable;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board for SimBoard {
    fn sample(&self) -> Sample {
        let living = self.units.living();
        let state = self.state();
        let mut sample = Sample::new(state.total, Bytes::default());
        if state.unreadable {
            sample.memory_total = Err(unread("MemTotal"));
            sample.memory_available = Err(unread("MemAvailable"));
            sample.memory_pressure = Err(unread("the memory pressure"));
            return sample;
        }
        let used = living.iter().filter_map(|id| state.uses.get(id)).map(|used| used.get());
        let used = used.fold(state.others.get(), u64::saturating_add);
        sample.memory_available = Ok(Bytes::new(state.total.get().saturating_sub(used)));
        sample.memory_pressure = Ok(state.pressure);
        sample
    }

    fn zones(&self) -> Result<Vec<ZoneReading>, Unread> {
        let state = self.state();
        if state.unreadable {
            return Err(unread("the thermal zones"));
        }
        let zones = state.zones.iter();
        let reading = |(name, celsius): (&String, &Result<Celsius, Unread>)| ZoneReading {
            name: name.clone(),
            celsius: celsius.clone(),
        };
        Ok(zones.map(reading).collect())
    }
}

fn unread(what: &str) -> Unread {
    Unread { what: what.to_owned(), why: "told to fail".to_owned() }
}

#[cfg(test)]
mod tests {
    use bij_core::port::UnitManager;

    use super::*;
    use crate::Script;
    use crate::contract::board_contract;

    #[tokio::test]
    async fn what_lives_takes_of_the_memory_and_gives_it_back() {
        let units = SimUnits::default();
        let board = SimBoard::new(Bytes::new(100), units.clone());
        let id = ExperimentId::new("x").unwrap();
        units.define(&id, Script::runs());
        board.set_use(&id, Bytes::new(30));
        board.set_others(Bytes::new(10));
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
    fn it_keeps_the_contract_well_and_ill() {
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
    fn a_machine_that_stays_as_it_was_keeps_the_contract() {
        board_contract(&Sample::new(Bytes::new(2), Bytes::new(1)));
    }

    #[test]
    #[should_panic(expected = "more is available than there is")]
    fn the_contract_finds_a_board_that_cannot_be() {
        board_contract(&Sample::new(Bytes::new(1), Bytes::new(2)));
    }

    #[test]
    #[should_panic(expected = "is not a bare name")]
    fn the_contract_finds_a_zone_that_is_named_as_the_kernel_does() {
        let board = SimBoard::new(Bytes::new(100), SimUnits::default());
        board.set_zone("CPU-therm", None);
        board_contract(&board);
    }
}
