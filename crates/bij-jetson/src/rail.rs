//! Power of the rails of a Jetson, by its INA3221 chips, and on Thor of its input, by an INA238.
//!
//! The kernel's Documentation/hwmon/ina3221.rst and ina238.rst have the attributes. A channel of an
//! INA3221 counts if it has a label: what stands in `in4` to `in7` are voltages over shunts and their sum.

use bij_core::Milliwatts;

use crate::hwmon::Chip;
use crate::{Files, Reading, WhyNot};

/// One rail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Rail {
    /// As its board labels it: `VDD_GPU_SOC`.
    pub name: String,
    /// What it carries now; it may feed back.
    pub milliwatts: Reading<Milliwatts>,
}

/// Rails through which a whole module or board is fed. Where one of them is measured, the others are
/// parts of it; where none is, the total is the sum of all.
const INPUTS: [&str; 3] = ["VDD_IN", "VIN", "POM_5V_IN"];

impl Rail {
    /// All rails, sorted by their names.
    ///
    /// # Errors
    /// [`WhyNot::Absent`] where no chip measures them, [`WhyNot::Forbidden`] where not even their names
    /// can be had: before JetPack 6 only root may read them.
    pub fn all(files: &dyn Files) -> Reading<Vec<Self>> {
        Self::with(files, &Chip::all(files)?)
    }

    pub(crate) fn with(files: &dyn Files, chips: &[Chip]) -> Reading<Vec<Self>> {
        let mut measures = false;
        let mut rails = Vec::new();
        for chip in chips {
            match chip.name.as_str() {
                "ina3221" => {
                    for channel in 1..=3 {
                        rails.extend(Self::of(files, chip, channel)?);
                    }
                }
                "ina238" => rails.push(Self::input(files, chip)),
                _ => continue,
            }
            measures = true;
        }
        if !measures {
            return Err(WhyNot::Absent);
        }
        rails.sort();
        Ok(rails)
    }

    /// The rail at a channel of a chip, if something is connected there.
    fn of(files: &dyn Files, chip: &Chip, channel: u32) -> Reading<Option<Self>> {
        let name = match files.text(&chip.at(&format!("in{channel}_label"))) {
            Ok(label) if label == "NC" || label.is_empty() => return Ok(None),
            Ok(label) => label,
            Err(WhyNot::Absent) => return Ok(None),
            Err(why @ WhyNot::Forbidden) => return Err(why),
            // One label that cannot be read takes no other rail away.
            Err(why) => {
                let name = format!("{} channel {channel}", chip.name);
                return Ok(Some(Self { name, milliwatts: Err(why) }));
            }
        };
        let millivolts = || files.number(&chip.at(&format!("in{channel}_input")));
        let milliamperes = || files.number(&chip.at(&format!("curr{channel}_input")));
        let milliwatts = millivolts().and_then(|volts| product(volts, milliamperes()?));
        Ok(Some(Self { name, milliwatts }))
    }

    /// What feeds the whole board. The chip has one channel and no label; it calculates by itself, in
    /// microwatts.
    fn input(files: &dyn Files, chip: &Chip) -> Self {
        let microwatts = files.number(&chip.at("power1_input"));
        let milliwatts = microwatts.map(|microwatts| Milliwatts::new(microwatts / 1000));
        Self { name: "VIN".to_owned(), milliwatts }
    }

    /// What the whole board draws.
    ///
    /// # Errors
    /// [`WhyNot`] of the first rail that is needed and cannot be read: a sum of some would be wrong.
    pub fn total(rails: &[Self]) -> Reading<Milliwatts> {
        if let Some(input) = INPUTS.iter().find_map(|name| rails.iter().find(|r| r.name == *name)) {
            return input.milliwatts.clone();
        }
        if rails.is_empty() {
            return Err(WhyNot::Absent);
        }
        rails.iter().try_fold(Milliwatts::default(), |sum, rail| {
            let milliwatts = rail.milliwatts.clone()?;
            sum.checked_add(milliwatts).ok_or_else(|| impossible(milliwatts.get()))
        })
    }
}

/// Whole milliwatts, as tegrastats calculates them.
fn product(millivolts: i64, milliamperes: i64) -> Reading<Milliwatts> {
    let microwatts = millivolts.checked_mul(milliamperes);
    let microwatts = microwatts.ok_or_else(|| impossible(milliamperes))?;
    Ok(Milliwatts::new(microwatts / 1000))
}

fn impossible(number: i64) -> WhyNot {
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
    fn an_agx_is_the_sum_and_a_nano_its_input() {
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
    fn a_thor_is_its_input() {
        let mut tree = board(&[("VDD_GPU", "20000", "100"), ("VIN_SYS_5V0", "5000", "500")]);
        tree.set("sys/class/hwmon/hwmon1/name", "ina238\n");
        tree.set("sys/class/hwmon/hwmon1/power1_input", "35012000\n");
        let rails = Rail::all(&tree).unwrap();
        assert_eq!((rails.len(), Rail::total(&rails)), (3, Ok(Milliwatts::new(35_012))));
    }

    #[test]
    fn a_rail_that_feeds_back_is_below_nothing() {
        let rails = [("VDD_GPU_SOC", "5000", "1000"), ("VDD_CPU_CV", "4975", "-80")];
        let all = Rail::all(&board(&rails)).unwrap();
        assert_eq!(all[0].milliwatts, Ok(Milliwatts::new(-398)));
        assert_eq!(total(&rails), Ok(Milliwatts::new(4602)));
    }

    #[test]
    fn a_sum_without_one_of_its_parts_is_none() {
        let rails = [("VDD_GPU_SOC", "5000", "1000"), ("VDD_CPU_CV", "", "50")];
        assert_eq!(total(&rails), Err(WhyNot::Off));
        assert_eq!(total(&[]), Err(WhyNot::Absent));
        let absurd = [("A", "9223372036854775807", "2")];
        assert!(matches!(total(&absurd), Err(WhyNot::Unparsable(_))));
    }

    #[test]
    fn who_may_not_read_labels_gets_no_rails_at_all() {
        let mut tree = board(&[("VDD_GPU_SOC", "5000", "1000")]);
        tree.fail("sys/class/hwmon/hwmon5/in1_label", nix::errno::Errno::EACCES as i32);
        assert_eq!(Rail::all(&tree), Err(WhyNot::Forbidden));
    }

    #[test]
    fn a_label_that_cannot_be_read_takes_no_other_rail_away() {
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
