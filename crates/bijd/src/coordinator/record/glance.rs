//! One reading of the board, as far as it is kept.

use std::sync::Arc;

use bij_core::{Bytes, Celsius, Hottest, Milliwatts, Percent};
use bij_jetson::{FastSample, WhyNot, Zone};

/// One reading of the board, as far as it is kept: what was known, without the reasons of what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// The zones that told how hot it was, by name.
    pub zones: Box<[(Arc<str>, Celsius)]>,
    /// What the whole board drew.
    pub power: Option<Milliwatts>,
    /// How busy the GPU was at that moment.
    pub gpu_load: Option<Percent>,
    /// What memory could be had without swapping.
    pub memory_available: Option<Bytes>,
    /// Whether something was slowed down by heat.
    pub throttled: Option<bool>,
    /// How often the power supply was too weak since the boot.
    pub over_current: Option<u64>,
}

impl Glance {
    /// What is kept of a reading. Names are shared with the reading before, so that an hour of them
    /// takes the room of one.
    pub fn of(pulse: FastSample, before: Option<&Self>) -> Self {
        let known = |name: String| {
            let same =
                before.and_then(|before| before.zones.iter().find(|(known, _)| **known == *name));
            same.map_or_else(|| Arc::from(name), |(known, _)| Arc::clone(known))
        };
        let told = pulse.zones.unwrap_or_default();
        // Of just this length: a list that is collected out of the other one would keep its room.
        let mut zones = Vec::with_capacity(told.iter().filter(|zone| zone.celsius.is_ok()).count());
        let readable = told
            .into_iter()
            .filter_map(|Zone { name, celsius, .. }| Some((known(name), celsius.ok()?)));
        zones.extend(readable);
        let gpu_load = match pulse.gpu.and_then(|gpu| gpu.load) {
            Ok(load) => Some(load),
            // Without power it does nothing, and that is known.
            Err(WhyNot::Off) => Some(Percent::from_permyriad(0)),
            Err(_) => None,
        };
        Self {
            zones: zones.into_boxed_slice(),
            power: pulse.total.ok(),
            gpu_load,
            memory_available: pulse.memory_available.ok(),
            throttled: pulse.throttled.ok().map(|names| !names.is_empty()),
            over_current: pulse.over_current.ok(),
        }
    }

    /// The hottest zone.
    pub(super) fn hottest(&self) -> Option<Hottest> {
        let (zone, celsius) = self.zones.iter().max_by_key(|(_, celsius)| *celsius)?;
        Some(Hottest { zone: zone.to_string(), celsius: *celsius })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bij_jetson::{CapturedTree, Machine};

    use super::*;

    #[test]
    fn a_reading_is_kept_without_what_was_not_known() {
        let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bij-jetson/tests/trees");
        let tree = CapturedTree::load(&trees.join("agx-orin-jp6")).unwrap();
        let machine = Machine::new(Arc::new(tree));
        let first = Glance::of(machine.fast_sample(), None);
        let names: Vec<&str> = first.zones.iter().map(|(name, _)| &**name).collect();
        // The GPU and the vision units are powered off.
        assert_eq!(names, ["cpu", "soc0", "soc1", "soc2", "tboard", "tdiode", "tj"]);
        assert_eq!(first.power, Some(Milliwatts::new(8918)));
        assert_eq!((first.throttled, first.over_current), (Some(false), Some(0)));
        assert_eq!(first.hottest().unwrap().celsius, Celsius::from_millis(52_875));
        let second = Glance::of(machine.fast_sample(), Some(&first));
        assert_eq!(second, first);
        let shared = |(a, b): (&(Arc<str>, _), &(Arc<str>, _))| Arc::ptr_eq(&a.0, &b.0);
        assert!(first.zones.iter().zip(&second.zones).all(shared), "one name for all of them");
    }
}
