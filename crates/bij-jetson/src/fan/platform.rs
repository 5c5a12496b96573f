//! The fan of a board with L4T 32: a platform device, `pwm-fan`, with attributes of its own. Later versions of its
//! driver also register it with hwmon, as `tegra_pwmfan`, with the same attributes.
//!
//! Source: `drivers/thermal/pwm_fan.c` of NVIDIA's kernel 4.9.

use super::{Fan, share};
use crate::hwmon::Chip;
use crate::{Files, Reading, WhyNot};

const DEVICE: &str = "sys/devices/pwm-fan";

/// Reads the fan of this driver, if there is one.
pub(super) fn fan(files: &dyn Files, chips: &[Chip]) -> Option<Fan> {
    let chip = chips.iter().find(|chip| chip.name == "tegra_pwmfan");
    let places = [chip.map(|chip| chip.at("")), Some(format!("{DEVICE}/"))];
    places.into_iter().flatten().find_map(|directory| {
        let pwm = pwm(files, &directory);
        let drive = pwm.and_then(share);
        (drive != Err(WhyNot::Absent)).then(|| Fan { drive, rpm: rpm(files, &directory) })
    })
}

/// Reads the current PWM, which approaches `target_pwm` in steps. Older versions of the driver give only the target.
fn pwm(files: &dyn Files, directory: &str) -> Reading<u64> {
    match files.count(&format!("{directory}cur_pwm")) {
        Err(WhyNot::Absent) => files.count(&format!("{directory}target_pwm")),
        pwm => pwm,
    }
}

/// Reads the speed, which is 0 as long as `tach_enable` is 0, as after a boot.
fn rpm(files: &dyn Files, directory: &str) -> Reading<u64> {
    if files.count(&format!("{directory}tach_enable")) == Ok(0) {
        return Err(WhyNot::Unmeasured("the tachometer is disabled, tach_enable is 0".to_owned()));
    }
    files.count(&format!("{directory}rpm_measured"))
}
