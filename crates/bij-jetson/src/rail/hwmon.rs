//! Power monitors of hwmon.
//!
//! The attributes are described in the kernel's Documentation/hwmon/ina3221.rst, ina238.rst and ina2xx.rst, the labels
//! in sysfs-interface.rst. Only labelled channels of an INA3221 are read: `in4` to `in7` are shunt voltages and their
//! sum.

use bij_core::Milliwatts;

use super::{Rail, power};
use crate::hwmon::Chip;
use crate::{Files, Reading, WhyNot};

/// Chips with one channel that calculate the power themselves: those of the drivers `ina2xx` and `ina238`.
const MONITORS: [&str; 11] = [
    "ina219", "ina220", "ina226", "ina228", "ina230", "ina231", "ina237", "ina238", "ina260",
    "ina780", "sq52206",
];

/// The chip that measures the input of a Thor; its device tree has no label for it.
const INPUT: &str = "ina238";

/// Attributes that may contain the label of a chip with one channel.
const LABELS: [&str; 4] = ["label", "power1_label", "in1_label", "curr1_label"];

/// Returns `true` if this is the name of a chip with one channel.
pub(super) fn is_monitor(name: &str) -> bool {
    MONITORS.contains(&name)
}

/// Reads the rails of these chips, in no order.
///
/// # Errors
/// [`WhyNot::Absent`] if none of them measures power; see [`Rail::all`].
pub(super) fn rails(files: &dyn Files, chips: &[Chip]) -> Reading<Vec<Rail>> {
    let measures = |chip: &&Chip| chip.name == "ina3221" || is_monitor(&chip.name);
    let chips: Vec<&Chip> = chips.iter().filter(measures).collect();
    if chips.is_empty() {
        return Err(WhyNot::Absent);
    }
    let mut rails = Vec::new();
    for chip in &chips {
        if is_monitor(&chip.name) {
            rails.push(read_monitor(files, chip));
            continue;
        }
        for channel in 1..=3 {
            rails.extend(read_channel(files, chip, channel)?);
        }
    }
    let unnamed = |rail: &&mut Rail| rail.name == INPUT;
    if let [input] = rails.iter_mut().filter(unnamed).collect::<Vec<_>>().as_mut_slice() {
        "VIN".clone_into(&mut input.name);
    }
    Ok(rails)
}

/// Reads the rail at a channel of an INA3221; `None` if nothing is connected.
fn read_channel(files: &dyn Files, chip: &Chip, channel: u32) -> Reading<Option<Rail>> {
    let number = |attribute: String| files.number(&chip.at(&attribute));
    Rail::from_label(
        files.text(&chip.at(&format!("in{channel}_label"))),
        || format!("{} channel {channel}", chip.name),
        || power(number(format!("in{channel}_input")), number(format!("curr{channel}_input"))),
    )
}

/// Reads the rail of a chip with one channel, which gives microwatts.
fn read_monitor(files: &dyn Files, chip: &Chip) -> Rail {
    let labels = LABELS.iter().filter_map(|label| files.text(&chip.at(label)).ok());
    let label = labels.into_iter().find(|label| !label.is_empty());
    let microwatts = files.number(&chip.at("power1_input"));
    let milliwatts = microwatts.map(|microwatts| Milliwatts::new(microwatts / 1000));
    Rail { name: label.unwrap_or_else(|| chip.name.clone()), milliwatts }
}
