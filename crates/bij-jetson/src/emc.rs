//! The memory controller of a Tegra: its clock and load. Only root may read them.

use bij_core::{Hertz, Percent};

use crate::{Files, Reading, WhyNot};

const CLOCK: &str = "sys/kernel/debug/bpmp/debug/clk/emc";

/// Files with the activity in kHz: before JetPack 6, and since.
const ACTIVITY: [&str; 2] =
    ["sys/kernel/actmon_avg_activity/mc_all", "sys/kernel/debug/cactmon/mc_all"];

/// The external memory controller (EMC).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Emc {
    /// The current clock.
    pub clock: Reading<Hertz>,
    /// The highest possible clock.
    pub max_clock: Reading<Hertz>,
    /// The share of the clock that is used.
    pub load: Reading<Percent>,
    /// Whether the clock is held, as by `jetson_clocks`.
    pub locked: Reading<bool>,
}

impl Emc {
    /// Reads the controller of this machine.
    pub fn read(files: &dyn Files) -> Self {
        let clock = |name: &str| files.count(&format!("{CLOCK}/{name}")).map(Hertz::new);
        let now = clock("rate");
        let load = activity(files).and_then(|busy| share(busy, now.clone()?));
        let locked = files.count(&format!("{CLOCK}/mrq_rate_locked")).map(|locked| locked != 0);
        Self { clock: now, max_clock: clock("max_rate"), load, locked }
    }
}

fn activity(files: &dyn Files) -> Reading<u64> {
    let [older, newer] = ACTIVITY;
    match files.count(older) {
        Err(WhyNot::Absent) => files.count(newer),
        other => other,
    }
}

/// Returns activity in kHz as a share of a clock; rounding may exceed 100 % a little.
fn share(kilohertz: u64, clock: Hertz) -> Reading<Percent> {
    let permyriad = u128::from(kilohertz) * 10_000_000 / u128::from(clock.get().max(1));
    let permyriad = u64::try_from(permyriad).unwrap_or(u64::MAX);
    if permyriad > 2 * Percent::HUNDRED.permyriad() {
        return Err(WhyNot::Unparsable(kilohertz.to_string()));
    }
    Ok(Percent::from_permyriad(permyriad.min(Percent::HUNDRED.permyriad())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CapturedTree;

    #[test]
    fn load_is_activity_divided_by_clock() {
        let mut tree = CapturedTree::default();
        tree.set("sys/kernel/debug/bpmp/debug/clk/emc/rate", "2133000000\n");
        tree.set("sys/kernel/debug/cactmon/mc_all", "533250\n");
        assert_eq!(Emc::read(&tree).load, Ok(Percent::new(25)));
        tree.set("sys/kernel/debug/bpmp/debug/clk/emc/rate", "0\n");
        assert!(Emc::read(&tree).load.is_err(), "no clock, no share");
        assert_eq!(Emc::read(&CapturedTree::default()).load, Err(WhyNot::Absent));
    }
}
