//! The power of a board's rails, measured by power monitors of hwmon or of the industrial I/O subsystem.

use bij_core::Milliwatts;

use crate::hwmon::Chip;
use crate::{Files, Reading, WhyNot};

/// One rail of the power supply.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Rail {
    /// The board's label: `VDD_GPU_SOC`. A rail without a label has the name of its chip: `ina219`.
    pub name: String,
    /// The momentary power; negative if the rail feeds back.
    pub milliwatts: Reading<Milliwatts>,
}

/// Rails that feed a whole module or board. If one of them is measured, all other rails are parts of it; otherwise the
/// total is the sum of all rails.
const INPUTS: [&str; 3] = ["VDD_IN", "VIN", "POM_5V_IN"];

impl Rail {
    /// Reads all rails, sorted by name.
    ///
    /// # Errors
    /// [`WhyNot::Absent`] if no chip measures them, [`WhyNot::Forbidden`] if the caller may not read their names: with
    /// JetPack 5 only root may.
    pub(crate) fn all(files: &dyn Files) -> Reading<Vec<Self>> {
        Self::from_chips(files, &Chip::all(files)?)
    }

    pub(crate) fn from_chips(files: &dyn Files, chips: &[Chip]) -> Reading<Vec<Self>> {
        let mut rails = match (hwmon_rails(files, chips), iio_rails(files)) {
            (Ok(mut rails), Ok(more)) => {
                rails.extend(more);
                rails
            }
            (found, Err(WhyNot::Absent)) | (Err(WhyNot::Absent), found) => found?,
            (Err(why), _) | (_, Err(why)) => return Err(why),
        };
        rails.sort();
        Ok(rails)
    }

    /// Creates the rail with this label; `None` if nothing is connected. If the label cannot be read, the rail gets the
    /// `fallback_name`.
    ///
    /// # Errors
    /// [`WhyNot::Forbidden`] if only root may read labels.
    fn from_label(
        label: Reading<String>,
        fallback_name: impl FnOnce() -> String,
        milliwatts: impl FnOnce() -> Reading<Milliwatts>,
    ) -> Reading<Option<Self>> {
        match label {
            Ok(label) if label == "NC" || label.is_empty() => Ok(None),
            Ok(name) => Ok(Some(Self { name, milliwatts: milliwatts() })),
            Err(WhyNot::Absent) => Ok(None),
            Err(why @ WhyNot::Forbidden) => Err(why),
            // A label that cannot be read must not hide the other rails.
            Err(why) => Ok(Some(Self { name: fallback_name(), milliwatts: Err(why) })),
        }
    }

    /// Returns the power of the whole board.
    ///
    /// # Errors
    /// [`WhyNot`] of the first rail that is needed and cannot be read, because a partial sum would be wrong.
    /// [`WhyNot::Unmeasured`] if a rail has no label, because it may be the input or a part of another rail.
    pub fn total(rails: &[Self]) -> Reading<Milliwatts> {
        if let Some(input) = INPUTS.iter().find_map(|name| rails.iter().find(|r| r.name == *name)) {
            return input.milliwatts.clone();
        }
        if rails.is_empty() {
            return Err(WhyNot::Absent);
        }
        if let Some(rail) = rails.iter().find(|rail| is_monitor(&rail.name)) {
            let why = format!("{} has no label that tells what it measures", rail.name);
            return Err(WhyNot::Unmeasured(why));
        }
        rails.iter().try_fold(Milliwatts::default(), |sum, rail| {
            let milliwatts = rail.milliwatts.clone()?;
            sum.checked_add(milliwatts).ok_or_else(|| out_of_range(milliwatts.get()))
        })
    }
}

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
fn is_monitor(name: &str) -> bool {
    MONITORS.contains(&name)
}

/// Reads the rails of the power monitors of hwmon, in no order.
///
/// The attributes are described in the kernel's Documentation/hwmon/ina3221.rst, ina238.rst and ina2xx.rst, the labels
/// in sysfs-interface.rst. Only labelled channels of an INA3221 are read: `in4` to `in7` are shunt voltages and their
/// sum.
///
/// # Errors
/// [`WhyNot::Absent`] if none of them measures power; see [`Rail::all`].
fn hwmon_rails(files: &dyn Files, chips: &[Chip]) -> Reading<Vec<Rail>> {
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
            rails.extend(read_ina3221_channel(files, chip, channel)?);
        }
    }
    let unnamed = |rail: &&mut Rail| rail.name == INPUT;
    if let [input] = rails.iter_mut().filter(unnamed).collect::<Vec<_>>().as_mut_slice() {
        "VIN".clone_into(&mut input.name);
    }
    Ok(rails)
}

/// Reads the rail at a channel of an INA3221; `None` if nothing is connected.
fn read_ina3221_channel(files: &dyn Files, chip: &Chip, channel: u32) -> Reading<Option<Rail>> {
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

const DRIVER: &str = "sys/bus/i2c/drivers/ina3221x";

/// Reads the rails of the power monitors of the industrial I/O subsystem, in no order: up to L4T 32, NVIDIA's kernel has
/// a separate driver for the INA3221 of a Nano, a TX2 or a Xavier.
///
/// A chip is a directory such as `6-0040/iio:device0`. Its channel N has the files `rail_name_N`, `in_powerN_input` in
/// milliwatts, `in_voltageN_input` in millivolts and `in_currentN_input` in milliamperes
/// (`drivers/iio/meter/ina3221.c` of NVIDIA's kernel 4.9). Before L4T 32 the directory is called `iio_device`.
///
/// # Errors
/// [`WhyNot::Absent`] if there is no such chip; see [`Rail::all`].
fn iio_rails(files: &dyn Files) -> Reading<Vec<Rail>> {
    let mut found = None;
    for address in files.names(DRIVER)?.into_iter().filter(|name| is_address(name)) {
        let chip = format!("{DRIVER}/{address}");
        let is_device = |name: &String| name.starts_with("iio:device") || name == "iio_device";
        let Some(device) = files.names(&chip)?.into_iter().find(is_device) else { continue };
        let rails = found.get_or_insert_with(Vec::new);
        for channel in 0..3 {
            rails.extend(read_iio_channel(files, &format!("{chip}/{device}"), channel)?);
        }
    }
    found.ok_or(WhyNot::Absent)
}

/// Returns `true` for a bus and an address on it, such as `6-0040`; the driver's other files are `bind`, `uevent`.
fn is_address(name: &str) -> bool {
    name.split_once('-').is_some_and(|(bus, address)| {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        digits(bus) && digits(address)
    })
}

/// Reads the rail at a channel; `None` if nothing is connected.
fn read_iio_channel(files: &dyn Files, device: &str, channel: u32) -> Reading<Option<Rail>> {
    let number = |what: &str| files.number(&format!("{device}/in_{what}{channel}_input"));
    Rail::from_label(
        files.text(&format!("{device}/rail_name_{channel}")),
        || format!("ina3221x channel {channel}"),
        || match number("power") {
            Err(WhyNot::Absent) => power(number("voltage"), number("current")),
            milliwatts => milliwatts.map(Milliwatts::new),
        },
    )
}

/// Multiplies millivolts and milliamperes and truncates to milliwatts, as tegrastats does.
fn power(millivolts: Reading<i64>, milliamperes: Reading<i64>) -> Reading<Milliwatts> {
    let (millivolts, milliamperes) = (millivolts?, milliamperes?);
    let microwatts = millivolts.checked_mul(milliamperes);
    let microwatts = microwatts.ok_or_else(|| out_of_range(milliamperes))?;
    Ok(Milliwatts::new(microwatts / 1000))
}

fn out_of_range(number: i64) -> WhyNot {
    WhyNot::Unparsable(number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CapturedTree;

    fn board(rails: &[(&str, &str, &str)]) -> CapturedTree {
        let mut tree = CapturedTree::default();
        for (at, (label, volts, amperes)) in rails.iter().enumerate() {
            let (chip, channel) = (at / 3 + 5, at % 3 + 1);
            let at = |what: &str| format!("sys/class/hwmon/hwmon{chip}/{what}");
            tree.set(&at("name"), "ina3221\n");
            tree.set(&at(&format!("in{channel}_label")), format!("{label}\n"));
            tree.set(&at(&format!("in{channel}_input")), format!("{volts}\n"));
            tree.set(&at(&format!("curr{channel}_input")), format!("{amperes}\n"));
        }
        tree
    }

    fn total(rails: &[(&str, &str, &str)]) -> Reading<Milliwatts> {
        Rail::all(&board(rails)).and_then(|rails| Rail::total(&rails))
    }

    #[test]
    fn the_total_is_the_sum_on_an_agx_and_the_input_on_a_nano() {
        let agx =
            [("VDD_GPU_SOC", "20000", "100"), ("VDD_CPU_CV", "20000", "50"), ("NC", "9", "9")];
        assert_eq!(total(&agx), Ok(Milliwatts::new(3000)));
        let nano = [
            ("VDD_IN", "5000", "1520"),
            ("VDD_CPU_GPU_CV", "5000", "1760"),
            ("VDD_SOC", "5000", "200"),
        ];
        assert_eq!(total(&nano), Ok(Milliwatts::new(7600)), "even if a part was read as more");
    }

    #[test]
    fn the_total_of_a_thor_is_its_input() {
        let mut tree = board(&[("VDD_GPU", "20000", "100"), ("VIN_SYS_5V0", "5000", "500")]);
        tree.set("sys/class/hwmon/hwmon1/name", "ina238\n");
        tree.set("sys/class/hwmon/hwmon1/power1_input", "35012000\n");
        let rails = Rail::all(&tree).unwrap();
        assert_eq!((rails.len(), Rail::total(&rails)), (3, Ok(Milliwatts::new(35_012))));
    }

    #[test]
    fn a_chip_without_a_label_leaves_the_total_unknown_unless_the_input_is_measured() {
        let mut tree = board(&[("VDD_GPU", "20000", "100")]);
        let at = |what: &str| format!("sys/class/hwmon/hwmon1/{what}");
        tree.set(&at("name"), "ina219\n");
        tree.set(&at("power1_input"), "45000000\n");
        let rails = Rail::all(&tree).unwrap();
        assert_eq!(rails[1].name, "ina219");
        assert_eq!(rails[1].milliwatts, Ok(Milliwatts::new(45_000)));
        assert!(matches!(Rail::total(&rails), Err(WhyNot::Unmeasured(_))), "{rails:?}");
        tree.set(&at("label"), "VIN\n");
        let rails = Rail::all(&tree).unwrap();
        assert_eq!(Rail::total(&rails), Ok(Milliwatts::new(45_000)));
    }

    #[test]
    fn two_chips_without_labels_leave_the_total_unknown() {
        let mut tree = CapturedTree::default();
        for (chip, microwatts) in [("hwmon1", "35012000\n"), ("hwmon2", "1000000\n")] {
            tree.set(&format!("sys/class/hwmon/{chip}/name"), "ina238\n");
            tree.set(&format!("sys/class/hwmon/{chip}/power1_input"), microwatts);
        }
        let rails = Rail::all(&tree).unwrap();
        assert_eq!((rails[0].name.as_str(), rails[1].name.as_str()), ("ina238", "ina238"));
        assert!(matches!(Rail::total(&rails), Err(WhyNot::Unmeasured(_))), "{rails:?}");
    }

    #[test]
    fn a_chip_of_iio_gives_a_power_or_a_voltage_and_a_current() {
        let mut tree = CapturedTree::default();
        let at = |what: &str| format!("sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/{what}");
        tree.set("sys/bus/i2c/drivers/ina3221x/uevent", "");
        tree.set(&at("rail_name_0"), "POM_5V_IN\n");
        tree.set(&at("in_power0_input"), "1750\n");
        tree.set(&at("rail_name_1"), "POM_5V_GPU\n");
        tree.set(&at("in_voltage1_input"), "5000\n");
        tree.set(&at("in_current1_input"), "24\n");
        tree.set(&at("rail_name_2"), "NC\n");
        tree.set(&at("in_power2_input"), "9\n");
        let rails = Rail::all(&tree).unwrap();
        let named: Vec<_> = rails.iter().map(|r| (r.name.as_str(), r.milliwatts.clone())).collect();
        let watts = |milliwatts| Ok(Milliwatts::new(milliwatts));
        assert_eq!(named, [("POM_5V_GPU", watts(120)), ("POM_5V_IN", watts(1750))]);
        assert_eq!(Rail::total(&rails), watts(1750));
        tree.fail(&at("in_power0_input"), nix::errno::Errno::EACCES as i32);
        assert_eq!(Rail::total(&Rail::all(&tree).unwrap()), Err(WhyNot::Forbidden));
    }

    #[test]
    fn a_rail_that_feeds_back_has_a_negative_power() {
        let rails = [("VDD_GPU_SOC", "5000", "1000"), ("VDD_CPU_CV", "4975", "-80")];
        let all = Rail::all(&board(&rails)).unwrap();
        assert_eq!(all[0].milliwatts, Ok(Milliwatts::new(-398)));
        assert_eq!(total(&rails), Ok(Milliwatts::new(4602)));
    }

    #[test]
    fn a_sum_with_a_missing_part_has_no_value() {
        let rails = [("VDD_GPU_SOC", "5000", "1000"), ("VDD_CPU_CV", "", "50")];
        assert_eq!(total(&rails), Err(WhyNot::Off));
        assert_eq!(total(&[]), Err(WhyNot::Absent));
        let absurd = [("A", "9223372036854775807", "2")];
        assert!(matches!(total(&absurd), Err(WhyNot::Unparsable(_))));
    }

    #[test]
    fn a_user_who_may_not_read_labels_gets_no_rails() {
        let mut tree = board(&[("VDD_GPU_SOC", "5000", "1000")]);
        tree.fail("sys/class/hwmon/hwmon5/in1_label", nix::errno::Errno::EACCES as i32);
        assert_eq!(Rail::all(&tree), Err(WhyNot::Forbidden));
    }

    #[test]
    fn a_label_that_cannot_be_read_hides_no_other_rail() {
        let mut tree = CapturedTree::default();
        let at = |what: &str| format!("sys/class/hwmon/hwmon3/{what}");
        tree.set(&at("name"), "ina3221\n");
        tree.set(&at("in1_label"), "VDD_IN\n");
        tree.set(&at("in1_input"), "5000\n");
        tree.set(&at("curr1_input"), "1000\n");
        tree.fail(&at("in2_label"), nix::errno::Errno::EIO as i32);
        let rails = Rail::all(&tree).unwrap();
        assert_eq!(rails[0].milliwatts, Ok(Milliwatts::new(5000)));
        assert!(matches!(rails[1].milliwatts, Err(WhyNot::Failed(_))), "{rails:?}");
        assert_eq!(Rail::total(&rails), Ok(Milliwatts::new(5000)));
    }
}
