//! The contract of [`GpuClock`].

use bij_core::port::GpuClock;

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
