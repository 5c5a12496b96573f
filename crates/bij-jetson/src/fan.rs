//! The fan. It is only looked at: NVIDIA's daemon takes back within two seconds what others write.

mod platform;

use bij_core::Percent;

use crate::hwmon::Chip;
use crate::{Files, Reading, WhyNot, parse};

/// The fan of the machine; of several, the first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fan {
    /// How hard it is driven.
    pub drive: Reading<Percent>,
    /// How fast it turns; many have nothing that counts.
    pub rpm: Reading<u64>,
}

/// All of a pwm: Documentation/hwmon/sysfs-interface.rst.
const FULL: u64 = 255;

impl Fan {
    /// The fan of this machine.
    pub fn read(files: &dyn Files) -> Self {
        match Chip::all(files) {
            Ok(chips) => Self::with(files, &chips),
            Err(why) => Self::unknown(&why),
        }
    }

    pub(crate) fn unknown(why: &WhyNot) -> Self {
        Self { drive: Err(why.clone()), rpm: Err(why.clone()) }
    }

    pub(crate) fn with(files: &dyn Files, chips: &[Chip]) -> Self {
        // A Jetson's own fan and its tachometer are chips of their own; a PC has both in one.
        let own = chips.iter().find(|chip| chip.name == "pwmfan");
        if let (None, Some(fan)) = (own, platform::fan(files, chips)) {
            return fan;
        }
        let driven =
            own.or_else(|| chips.iter().find(|chip| first(files, chip, "pwm", "").is_some()));
        let drive = driven.ok_or(WhyNot::Absent).and_then(|chip| drive(files, chip));
        let rpm = chips
            .iter()
            .find(|chip| chip.name.contains("tach"))
            .map(|chip| files.count(&chip.at("rpm")))
            .filter(|rpm| *rpm != Err(WhyNot::Absent));
        Self { drive, rpm: rpm.unwrap_or_else(|| counted(files, driven, chips)) }
    }
}

fn drive(files: &dyn Files, chip: &Chip) -> Reading<Percent> {
    let pwm = first(files, chip, "pwm", "").ok_or(WhyNot::Absent)?;
    share(files.count(&chip.at(&pwm))?)
}

/// A pwm as a share of the fastest.
fn share(pwm: u64) -> Reading<Percent> {
    match pwm {
        0..=FULL => Ok(Percent::from_permyriad(pwm * 10_000 / FULL)),
        wrong => Err(WhyNot::Unparsable(wrong.to_string())),
    }
}

/// `fanN_input` of the chip that drives the fan, or else of the first that counts one.
fn counted(files: &dyn Files, driven: Option<&Chip>, chips: &[Chip]) -> Reading<u64> {
    let mut candidates = driven.into_iter().chain(chips);
    let found = candidates.find_map(|chip| Some((chip, first(files, chip, "fan", "_input")?)));
    let (chip, attribute) = found.ok_or(WhyNot::Absent)?;
    files.count(&chip.at(&attribute))
}

/// The attribute of this form with the lowest number.
fn first(files: &dyn Files, chip: &Chip, prefix: &str, suffix: &str) -> Option<String> {
    let attributes = chip.attributes(files).iter();
    let numbered =
        attributes.filter_map(|name| Some((parse::numbered(name, prefix, suffix)?, name)));
    numbered.min().map(|(_, name)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CapturedTree;

    fn machine(files: &[(&str, &str)]) -> Fan {
        let mut tree = CapturedTree::default();
        for (path, text) in files {
            tree.set(&format!("sys/class/hwmon/{path}"), format!("{text}\n"));
        }
        Fan::read(&tree)
    }

    #[test]
    fn a_fan_without_a_tachometer_has_no_speed() {
        let fan = machine(&[("hwmon4/name", "pwmfan"), ("hwmon4/pwm1", "255")]);
        assert_eq!((fan.drive, fan.rpm), (Ok(Percent::HUNDRED), Err(WhyNot::Absent)));
    }

    #[test]
    fn a_tachometer_of_either_kind_is_read() {
        let jetson = [("hwmon0/name", "pwm_tach"), ("hwmon0/rpm", "750")];
        assert_eq!(machine(&jetson).rpm, Ok(750));
        let newer = [("hwmon0/name", "pwm_tach"), ("hwmon0/fan1_input", "751")];
        assert_eq!(machine(&newer).rpm, Ok(751));
        let pc = [("hwmon0/name", "nct6798"), ("hwmon0/pwm2", "51"), ("hwmon0/fan2_input", "812")];
        let fan = machine(&pc);
        assert_eq!((fan.drive, fan.rpm), (Ok(Percent::new(20)), Ok(812)));
    }

    /// A Nano's, with these files in the directory of its platform device.
    fn platform(files: &[(&str, &str)]) -> Fan {
        let mut tree = CapturedTree::default();
        for (name, text) in files {
            tree.set(&format!("sys/devices/pwm-fan/{name}"), format!("{text}\n"));
        }
        // A card in a slot, which is not the board's fan.
        tree.set("sys/class/hwmon/hwmon0/name", "nouveau\n");
        tree.set("sys/class/hwmon/hwmon0/pwm1", "255\n");
        Fan::read(&tree)
    }

    #[test]
    fn a_fan_that_is_a_platform_device_tells_what_it_is_driven_with_now() {
        let fan = platform(&[("target_pwm", "255"), ("cur_pwm", "51"), ("rpm_measured", "812")]);
        assert_eq!((fan.drive, fan.rpm), (Ok(Percent::new(20)), Ok(812)));
        let fan = platform(&[("target_pwm", "102")]);
        assert_eq!((fan.drive, fan.rpm), (Ok(Percent::new(40)), Err(WhyNot::Absent)));
        assert_eq!(platform(&[]).drive, Ok(Percent::HUNDRED), "without one the card's is left");
    }

    #[test]
    fn a_tachometer_that_is_switched_off_measures_nothing() {
        let counts = |enabled: &str| {
            platform(&[("cur_pwm", "255"), ("tach_enable", enabled), ("rpm_measured", "0")]).rpm
        };
        assert_eq!(counts("1"), Ok(0), "a fan that is stuck");
        assert!(matches!(counts("0"), Err(WhyNot::Unmeasured(_))));
    }

    #[test]
    fn the_same_driver_as_a_chip_of_hwmon_is_read_there() {
        let fan = machine(&[
            ("hwmon1/name", "tegra_pwmfan"),
            ("hwmon1/cur_pwm", "51"),
            ("hwmon1/target_pwm", "255"),
        ]);
        assert_eq!(fan.drive, Ok(Percent::new(20)));
    }

    #[test]
    fn a_drive_of_more_than_all_is_none() {
        let fan = machine(&[("hwmon4/name", "pwmfan"), ("hwmon4/pwm1", "256")]);
        assert_eq!(fan.drive, Err(WhyNot::Unparsable("256".to_owned())));
    }
}
