//! How often the power supply was too weak: each event has slowed the machine down.

use crate::hwmon::Chip;
use crate::{Files, Reading, parse};

/// One counter; it counts from the boot on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct OverCurrent {
    /// What it counts: `under-voltage`, `average-current`, `peak-current`, or `ocN`.
    pub name: String,
    /// How often that was.
    pub count: Reading<u64>,
}

impl OverCurrent {
    /// The counters of NVIDIA's `soctherm_oc`; other machines have none.
    ///
    /// # Errors
    /// [`WhyNot`](crate::WhyNot) if chips cannot be listed.
    pub fn all(files: &dyn Files) -> Reading<Vec<Self>> {
        Ok(Self::with(files, &Chip::all(files)?))
    }

    pub(crate) fn with(files: &dyn Files, chips: &[Chip]) -> Vec<Self> {
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

/// The order is that of the driver's device tree, on all Orins.
fn name(number: u32) -> String {
    match number {
        1 => "under-voltage".to_owned(),
        2 => "average-current".to_owned(),
        3 => "peak-current".to_owned(),
        number => format!("oc{number}"),
    }
}
