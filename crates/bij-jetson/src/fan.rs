//! The fan. It is only read: NVIDIA's daemon reverts other programs' writes within two seconds.

use bij_core::Percent;

use crate::hwmon::Chip;
use crate::{Files, Reading, WhyNot, parse};

/// The machine's fan; the first one if there are several.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Fan {
    /// The PWM duty cycle.
    pub drive: Reading<Percent>,
    /// Revolutions per minute; many fans have no tachometer.
    pub rpm: Reading<u64>,
}

/// The highest PWM value (the kernel's Documentation/hwmon/sysfs-interface.rst).
const FULL: u64 = 255;

impl Fan {
    /// Reads the fan of this machine.
    pub(crate) fn read(files: &dyn Files) -> Self {
        match Chip::all(files) {
            Ok(chips) => Self::from_chips(files, &chips),
            Err(why) => Self::unknown(&why),
        }
    }

    pub(crate) fn unknown(why: &WhyNot) -> Self {
        Self { drive: Err(why.clone()), rpm: Err(why.clone()) }
    }

    pub(crate) fn from_chips(files: &dyn Files, chips: &[Chip]) -> Self {
        // A Jetson has separate chips for the fan and the tachometer; a PC has both in one.
        let own = chips.iter().find(|chip| chip.name == "pwmfan");
        if let (None, Some(fan)) = (own, read_platform_fan(files, chips)) {
            return fan;
        }
        let driven = own.or_else(|| {
            chips.iter().find(|chip| first_attribute(files, chip, "pwm", "").is_some())
        });
        let drive = driven.ok_or(WhyNot::Absent).and_then(|chip| drive(files, chip));
        let rpm = chips
            .iter()
            .find(|chip| chip.name.contains("tach"))
            .map(|chip| files.count(&chip.at("rpm")))
            .filter(|rpm| *rpm != Err(WhyNot::Absent));
        Self { drive, rpm: rpm.unwrap_or_else(|| read_rpm(files, driven, chips)) }
    }
}

fn drive(files: &dyn Files, chip: &Chip) -> Reading<Percent> {
    let pwm = first_attribute(files, chip, "pwm", "").ok_or(WhyNot::Absent)?;
    share(files.count(&chip.at(&pwm))?)
}

const PLATFORM_DEVICE: &str = "sys/devices/pwm-fan";

/// Reads the fan of a board with L4T 32, if there is one: a platform device, `pwm-fan`, with attributes of its own.
/// Later versions of its driver also register it with hwmon, as `tegra_pwmfan`, with the same attributes.
///
/// Source: `drivers/thermal/pwm_fan.c` of NVIDIA's kernel 4.9.
fn read_platform_fan(files: &dyn Files, chips: &[Chip]) -> Option<Fan> {
    let chip = chips.iter().find(|chip| chip.name == "tegra_pwmfan");
    let places = [chip.map(|chip| chip.at("")), Some(format!("{PLATFORM_DEVICE}/"))];
    places.into_iter().flatten().find_map(|directory| {
        let pwm = read_current_pwm(files, &directory);
        let drive = pwm.and_then(share);
        (drive != Err(WhyNot::Absent))
            .then(|| Fan { drive, rpm: read_enabled_rpm(files, &directory) })
    })
}

/// Reads the current PWM, which approaches `target_pwm` in steps. Older versions of the driver give only the target.
fn read_current_pwm(files: &dyn Files, directory: &str) -> Reading<u64> {
    match files.count(&format!("{directory}cur_pwm")) {
        Err(WhyNot::Absent) => files.count(&format!("{directory}target_pwm")),
        pwm => pwm,
    }
}

/// Reads the speed, which is 0 as long as `tach_enable` is 0, as after a boot.
fn read_enabled_rpm(files: &dyn Files, directory: &str) -> Reading<u64> {
    if files.count(&format!("{directory}tach_enable")) == Ok(0) {
        return Err(WhyNot::Unmeasured("the tachometer is disabled, tach_enable is 0".to_owned()));
    }
    files.count(&format!("{directory}rpm_measured"))
}

/// Converts a PWM value into a share of the highest.
fn share(pwm: u64) -> Reading<Percent> {
    match pwm {
        0..=FULL => Ok(Percent::from_permyriad(pwm * 10_000 / FULL)),
        wrong => Err(WhyNot::Unparsable(wrong.to_string())),
    }
}

/// Reads `fanN_input` of the chip that drives the fan, or else of the first chip that has one.
fn read_rpm(files: &dyn Files, driven: Option<&Chip>, chips: &[Chip]) -> Reading<u64> {
    let mut candidates = driven.into_iter().chain(chips);
    let found =
        candidates.find_map(|chip| Some((chip, first_attribute(files, chip, "fan", "_input")?)));
    let (chip, attribute) = found.ok_or(WhyNot::Absent)?;
    files.count(&chip.at(&attribute))
}

/// Returns the attribute of this form with the lowest number.
fn first_attribute(files: &dyn Files, chip: &Chip, prefix: &str, suffix: &str) -> Option<String> {
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
    fn both_kinds_of_tachometers_are_read() {
        let jetson = [("hwmon0/name", "pwm_tach"), ("hwmon0/rpm", "750")];
        assert_eq!(machine(&jetson).rpm, Ok(750));
        let newer = [("hwmon0/name", "pwm_tach"), ("hwmon0/fan1_input", "751")];
        assert_eq!(machine(&newer).rpm, Ok(751));
        let pc = [("hwmon0/name", "nct6798"), ("hwmon0/pwm2", "51"), ("hwmon0/fan2_input", "812")];
        let fan = machine(&pc);
        assert_eq!((fan.drive, fan.rpm), (Ok(Percent::new(20)), Ok(812)));
    }

    /// Reads the fan of a Nano with these files in the directory of its platform device.
    fn platform(files: &[(&str, &str)]) -> Fan {
        let mut tree = CapturedTree::default();
        for (name, text) in files {
            tree.set(&format!("sys/devices/pwm-fan/{name}"), format!("{text}\n"));
        }
        // A graphics card, whose fan is not the board's.
        tree.set("sys/class/hwmon/hwmon0/name", "nouveau\n");
        tree.set("sys/class/hwmon/hwmon0/pwm1", "255\n");
        Fan::read(&tree)
    }

    #[test]
    fn a_platform_device_gives_the_current_pwm_rather_than_the_target() {
        let fan = platform(&[("target_pwm", "255"), ("cur_pwm", "51"), ("rpm_measured", "812")]);
        assert_eq!((fan.drive, fan.rpm), (Ok(Percent::new(20)), Ok(812)));
        let fan = platform(&[("target_pwm", "102")]);
        assert_eq!((fan.drive, fan.rpm), (Ok(Percent::new(40)), Err(WhyNot::Absent)));
        assert_eq!(platform(&[]).drive, Ok(Percent::HUNDRED), "without one the card's is left");
    }

    #[test]
    fn a_disabled_tachometer_measures_nothing() {
        let counts = |enabled: &str| {
            platform(&[("cur_pwm", "255"), ("tach_enable", enabled), ("rpm_measured", "0")]).rpm
        };
        assert_eq!(counts("1"), Ok(0), "a fan that is stuck");
        assert!(matches!(counts("0"), Err(WhyNot::Unmeasured(_))));
    }

    #[test]
    fn a_platform_driver_registered_with_hwmon_is_read_there() {
        let fan = machine(&[
            ("hwmon1/name", "tegra_pwmfan"),
            ("hwmon1/cur_pwm", "51"),
            ("hwmon1/target_pwm", "255"),
        ]);
        assert_eq!(fan.drive, Ok(Percent::new(20)));
    }

    #[test]
    fn a_pwm_above_the_highest_is_rejected() {
        let fan = machine(&[("hwmon4/name", "pwmfan"), ("hwmon4/pwm1", "256")]);
        assert_eq!(fan.drive, Err(WhyNot::Unparsable("256".to_owned())));
    }
}
