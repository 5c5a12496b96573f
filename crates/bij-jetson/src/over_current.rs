//! Counters of over-current events, each of which has slowed the machine down.

use crate::hwmon::Chip;
use crate::{Files, Reading, parse};

/// One counter of over-current events since the boot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// [`WhyNot`](crate::WhyNot) if chips cannot be listed.
    pub fn all(files: &dyn Files) -> Reading<Vec<Self>> {
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
