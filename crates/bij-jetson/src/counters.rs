//! Counters: the energy of a PC (RAPL; see the kernel's Documentation/power/powercap/powercap.rst), and over-current
//! events, each of which has slowed the machine down.

use std::time::Duration;

use bij_core::Milliwatts;

use crate::hwmon::Chip;
use crate::{Files, Rail, Reading, WhyNot, parse};

const CLASS: &str = "sys/class/powercap";

/// An energy counter. Its value means nothing by itself; the difference of two readings gives a power.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct EnergyCounter {
    /// The domain that it measures: `package-0`.
    pub name: String,
    /// Energy in microjoules; only root may read it.
    pub microjoules: Reading<u64>,
    /// The value after which it wraps to 0.
    pub wraps_at: Reading<u64>,
}

impl EnergyCounter {
    /// Reads the counters of whole packages, sorted by name. Counters of parts of a package are skipped.
    ///
    /// # Errors
    /// [`WhyNot`] if they cannot be listed.
    pub(crate) fn all(files: &dyn Files) -> Reading<Vec<Self>> {
        let names = files.names(CLASS)?;
        // `intel-rapl:0` is a package (of AMD too), `intel-rapl:0:1` a part of it; `intel-rapl-mmio:0` is the same
        // package through another interface.
        let packages = names.iter().filter(|name| {
            name.strip_prefix("intel-rapl:").is_some_and(|number| !number.contains(':'))
        });
        let mut counters: Vec<Self> = packages
            .filter_map(|package| {
                let at = |what: &str| format!("{CLASS}/{package}/{what}");
                Some(Self {
                    name: files.text(&at("name")).ok()?,
                    microjoules: files.count(&at("energy_uj")),
                    wraps_at: files.count(&at("max_energy_range_uj")),
                })
            })
            .collect();
        counters.sort();
        Ok(counters)
    }

    /// Returns the mean power since an earlier reading of the same counter.
    ///
    /// # Errors
    /// [`WhyNot`] if one of the two has no value, or no time has passed.
    pub fn power_since(&self, earlier: &Self, elapsed: Duration) -> Reading<Milliwatts> {
        let (now, before) = (self.microjoules.clone()?, earlier.microjoules.clone()?);
        let spent = match now.checked_sub(before) {
            Some(spent) => spent,
            None => self.wraps_at.clone()?.saturating_sub(before).saturating_add(now),
        };
        // Microjoules per microsecond are watts.
        let milliwatts = (u128::from(spent) * 1000).checked_div(elapsed.as_micros());
        let milliwatts = milliwatts.and_then(|power| i64::try_from(power).ok());
        milliwatts.map(Milliwatts::new).ok_or(WhyNot::Off)
    }

    /// Returns the mean power of each counter between two readings. These rails are an unknown part of the machine's
    /// power.
    pub fn rails(earlier: &[Self], later: &[Self], elapsed: Duration) -> Vec<Rail> {
        let rail = |now: &Self| {
            let before = earlier.iter().find(|before| before.name == now.name);
            let milliwatts =
                before.ok_or(WhyNot::Absent).and_then(|before| now.power_since(before, elapsed));
            Rail { name: now.name.clone(), milliwatts }
        };
        later.iter().map(rail).collect()
    }
}

/// One counter of over-current events since the boot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct OverCurrent {
    /// The kind of event: `under-voltage`, `average-current`, `peak-current`, or `ocN`.
    pub name: String,
    /// Number of events since the boot.
    pub count: Reading<u64>,
}

impl OverCurrent {
    /// Reads the counters of NVIDIA's `soctherm_oc`; other machines have none.
    ///
    /// # Errors
    /// [`WhyNot`] if chips cannot be listed.
    pub(crate) fn all(files: &dyn Files) -> Reading<Vec<Self>> {
        Ok(Self::from_chips(files, &Chip::all(files)?))
    }

    pub(crate) fn from_chips(files: &dyn Files, chips: &[Chip]) -> Vec<Self> {
        let mut counters = Vec::new();
        for chip in chips.iter().filter(|chip| chip.name == "soctherm_oc") {
            for attribute in chip.attributes(files) {
                if let Some(number) = parse::numbered(attribute, "oc", "_event_cnt") {
                    let count = files.count(&chip.at(attribute));
                    counters.push((number, Self { name: name(number), count }));
                }
            }
        }
        counters.sort();
        counters.into_iter().map(|(_, counter)| counter).collect()
    }
}

/// Returns the name of a counter. The order is that of the driver's device tree on all Orins.
fn name(number: u32) -> String {
    match number {
        1 => "under-voltage".to_owned(),
        2 => "average-current".to_owned(),
        3 => "peak-current".to_owned(),
        number => format!("oc{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CapturedTree;

    fn counter(microjoules: &str) -> EnergyCounter {
        let mut tree = CapturedTree::default();
        let at = |what: &str| format!("{CLASS}/{what}");
        for part in ["intel-rapl:0", "intel-rapl:0:0", "intel-rapl-mmio:0"] {
            tree.set(&at(&format!("{part}/name")), "package-0\n");
            tree.set(&at(&format!("{part}/energy_uj")), format!("{microjoules}\n"));
            tree.set(&at(&format!("{part}/max_energy_range_uj")), "262143328850\n");
        }
        let mut all = EnergyCounter::all(&tree).unwrap();
        assert_eq!(all.len(), 1, "each package once");
        all.remove(0)
    }

    #[test]
    fn the_difference_of_two_readings_gives_a_power_even_across_a_wrap() {
        let second = Duration::from_secs(1);
        let power = counter("45000000").power_since(&counter("30000000"), second);
        assert_eq!(power, Ok(Milliwatts::new(15_000)));
        let wrapped = counter("671150").power_since(&counter("262143000000"), second);
        assert_eq!(wrapped, Ok(Milliwatts::new(1000)));
        assert!(counter("2").power_since(&counter("1"), Duration::ZERO).is_err());
    }

    #[test]
    fn a_counter_becomes_a_rail_with_a_power_or_a_reason() {
        let rails = |before: &str, now: &str| {
            EnergyCounter::rails(&[counter(before)], &[counter(now)], Duration::from_secs(1))
        };
        let rail = &rails("30000000", "45000000")[0];
        assert_eq!(
            (rail.name.as_str(), &rail.milliwatts),
            ("package-0", &Ok(Milliwatts::new(15_000)))
        );
        assert_eq!(rails("", "45000000")[0].milliwatts, Err(WhyNot::Off));
        let new = EnergyCounter::rails(&[], &[counter("1")], Duration::from_secs(1));
        assert_eq!(new[0].milliwatts, Err(WhyNot::Absent));
    }
}
