//! The kernel's cooling devices and their states.

use super::CLASS;
use crate::{Files, Reading, WhyNot};

/// A cooling device of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CoolingDevice {
    /// The device's type: `cpu-throttle-alert`, `devfreq-17000000.gpu`, `pwm-fan`.
    pub name: String,
    /// The cooling state; 0 is no cooling.
    pub state: Reading<u64>,
}

/// The effect of an active cooling device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum CoolingRole {
    /// The device slows something down.
    Throttle,
    /// The device warns of a hot surface; nothing is slowed down.
    HotSurface,
    /// The device is a fan, or another one that costs no speed.
    Other,
}

impl CoolingDevice {
    /// Reads all cooling devices, sorted by name.
    ///
    /// # Errors
    /// [`WhyNot`] if they cannot be listed.
    pub(crate) fn all(files: &dyn Files) -> Reading<Vec<Self>> {
        let directories = files.names(CLASS)?;
        let mut devices: Vec<Self> = directories
            .iter()
            .filter(|name| name.starts_with("cooling_device"))
            .filter_map(|name| {
                let at = |what: &str| format!("{CLASS}/{name}/{what}");
                let state = files.number(&at("cur_state")).and_then(|state| match state {
                    // intel_powerclamp gives -1 while it is idle.
                    -1 => Ok(0),
                    state => {
                        u64::try_from(state).map_err(|_| WhyNot::Unparsable(state.to_string()))
                    }
                });
                Some(Self { name: files.text(&at("type")).ok()?, state })
            })
            .collect();
        devices.sort();
        Ok(devices)
    }

    /// Returns the names of the devices that slow something down now, without duplicates: `cpu-throttle-alert`.
    ///
    /// # Errors
    /// [`WhyNot`] if no such device is active but one of them cannot be read, or if there are no such devices.
    pub fn throttled(all: &[Self]) -> Reading<Vec<&str>> {
        let slowing = || all.iter().filter(|device| device.role() == CoolingRole::Throttle);
        if slowing().next().is_none() {
            return Err(WhyNot::Absent);
        }
        let busy = slowing().filter(|device| device.state.as_ref().is_ok_and(|state| *state > 0));
        let mut names: Vec<&str> = busy.map(|device| device.name.as_str()).collect();
        names.dedup();
        match slowing().find_map(|device| device.state.as_ref().err()) {
            Some(why) if names.is_empty() => Err(why.clone()),
            Some(_) | None => Ok(names),
        }
    }

    /// Returns the effect of the device when it is active, judged by its type.
    pub fn role(&self) -> CoolingRole {
        let name = self.name.to_lowercase();
        let slows = ["cpufreq", "devfreq", "powerclamp"];
        if name == "hot-surface-alert" {
            CoolingRole::HotSurface
        } else if name.ends_with("-throttle-alert")
            || slows.iter().any(|word| name.contains(word))
            // The throttling of ACPI on a PC.
            || name == "processor"
        {
            CoolingRole::Throttle
        } else {
            CoolingRole::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CapturedTree;

    #[test]
    fn only_devices_that_slow_something_down_count_as_throttled() {
        let mut tree = CapturedTree::default();
        let states = [
            ("cpufreq-cpu0", "3"),
            ("thermal-devfreq-0", "1"),
            ("soc0-throttle-alert", "2"),
            ("cv1-throttle-alert", "0"),
            ("hot-surface-alert", "1"),
            ("pwm-fan", "2"),
            ("intel_powerclamp", "-1"),
            ("thermal-cpufreq-1", "-7"),
        ];
        for (number, (kind, state)) in states.iter().enumerate() {
            tree.set(&format!("{CLASS}/cooling_device{number}/type"), format!("{kind}\n"));
            tree.set(&format!("{CLASS}/cooling_device{number}/cur_state"), format!("{state}\n"));
        }
        let all = CoolingDevice::all(&tree).unwrap();
        let expected = ["cpufreq-cpu0", "soc0-throttle-alert", "thermal-devfreq-0"];
        assert_eq!(CoolingDevice::throttled(&all).unwrap(), expected);
        let state = |name: &str| all.iter().find(|d| d.name == name).unwrap().state.clone();
        assert_eq!(state("intel_powerclamp"), Ok(0));
        assert_eq!(state("thermal-cpufreq-1"), Err(WhyNot::Unparsable("-7".to_owned())));
    }

    #[test]
    fn throttling_is_unknown_if_a_device_cannot_be_read() {
        let device = |name: &str, state| CoolingDevice { name: name.to_owned(), state };
        let throttled =
            |all: &[CoolingDevice]| CoolingDevice::throttled(all).map(|names| names.join(" "));
        let silent = device("cpufreq-cpu0", Err(WhyNot::Forbidden));
        assert_eq!(throttled(&[]), Err(WhyNot::Absent));
        assert_eq!(throttled(&[device("pwm-fan", Ok(2))]), Err(WhyNot::Absent));
        let idle = device("cpufreq-cpu4", Ok(0));
        assert_eq!(throttled(std::slice::from_ref(&idle)), Ok(String::new()));
        assert_eq!(throttled(&[silent.clone(), idle]), Err(WhyNot::Forbidden));
        let busy = device("cpufreq-cpu4", Ok(1));
        assert_eq!(throttled(&[silent, busy.clone(), busy]), Ok("cpufreq-cpu4".to_owned()));
    }
}
