//! The contracts of [`Board`] and [`GpuClock`].

use std::collections::BTreeSet;
use std::thread;

use bij_core::Celsius;
use bij_core::port::{Board, BoardReadError, GpuClock, ZoneReading};

/// Judges a board, whichever of its sensors can be read.
///
/// # Panics
/// If a clause is violated.
pub fn board_contract(board: &impl Board) {
    memory_readings_are_possible(board);
    zones_have_bare_names_and_temperatures(board);
    failed_readings_name_their_reason(board);
    concurrent_reads_agree(board);
}

/// Temperatures at which a chip still works.
const POSSIBLE: std::ops::Range<Celsius> = Celsius::new(-100)..Celsius::new(250);

fn memory_readings_are_possible(board: &impl Board) {
    let sample = board.sample();
    if let (Ok(total), Ok(available)) = (sample.memory_total, sample.memory_available) {
        assert!(available <= total, "more is available than there is: {available} of {total}");
    }
    if let Ok(Some(pressure)) = sample.memory_pressure {
        assert!(pressure.permyriad() <= 10_000, "{pressure} is more than all of the time");
    }
}

fn zones_have_bare_names_and_temperatures(board: &impl Board) {
    for ZoneReading { name, celsius } in board.zones().unwrap_or_default() {
        let is_bare = !name.is_empty()
            && name == name.to_lowercase()
            && !["-therm", "-thermal"].iter().any(|end| name.ends_with(end));
        assert!(is_bare, "{name:?} is not a bare name");
        if let Ok(celsius) = celsius {
            assert!(POSSIBLE.contains(&celsius), "{name} cannot be at {celsius}");
        }
    }
}

fn failed_readings_name_their_reason(board: &impl Board) {
    let sample = board.sample();
    let zones = board.zones();
    let mut unread: Vec<&BoardReadError> = Vec::new();
    unread.extend(sample.memory_total.as_ref().err());
    unread.extend(sample.memory_available.as_ref().err());
    unread.extend(sample.memory_pressure.as_ref().err());
    unread.extend(zones.as_ref().err());
    unread.extend(zones.iter().flatten().filter_map(|zone| zone.celsius.as_ref().err()));
    for BoardReadError { what, why } in unread {
        for words in [what, why] {
            assert!(!words.trim().is_empty(), "{what:?} has no reason: {why:?}");
            assert!(!words.contains('\n'), "{words:?} is no fragment of a sentence");
        }
    }
}

/// Concurrent readers see the same sensors, and none waits forever.
fn concurrent_reads_agree(board: &impl Board) {
    let read = || {
        let zones = board.zones().unwrap_or_default();
        let names: BTreeSet<String> = zones.into_iter().map(|zone| zone.name).collect();
        (board.sample().memory_total.is_ok(), names)
    };
    let alone = read();
    thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
        for reader in readers {
            assert_eq!(reader.join().expect("the reader does not panic"), alone);
        }
    });
}

/// Judges a GPU clock that can be limited. Restores its limit.
///
/// # Panics
/// If a clause is violated.
pub fn gpu_clock_contract(gpu: &impl GpuClock) {
    const CAN: &str = "this one can be read and bounded";
    let before = gpu.clocks().expect(CAN);
    let rates = &before.rates;
    assert!(!rates.is_empty(), "it has no rate at all");
    assert!(rates.is_sorted_by(|a, b| a < b), "not ascending, or twice the same: {rates:?}");
    assert!(rates.contains(&before.max), "it is bounded to {} of {rates:?}", before.max);
    // Down and up; the last rate twice, because setting a limit again is allowed.
    for rate in rates.iter().rev().chain(rates).chain(rates.last()) {
        gpu.set_max(*rate).expect(CAN);
        let now = gpu.clocks().expect(CAN);
        assert_eq!(now.max, *rate, "what was set is in force");
        assert_eq!(now.rates, before.rates, "a bound takes no rate away");
    }
    gpu.set_max(before.max).expect(CAN);
    assert_eq!(gpu.clocks().expect(CAN), before);
}
