//! What the kernel does about heat at this moment.

use super::CLASS;
use crate::{Files, Reading, WhyNot};

/// Something that the kernel cools by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct CoolingDevice {
    /// What it is: `cpu-throttle-alert`, `devfreq-17000000.gpu`, `pwm-fan`.
    pub name: String,
    /// How hard it works; 0 is not at all.
    pub state: Reading<u64>,
}

/// What it means that a cooling device is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoolingRole {
    /// Something is slowed down.
    Throttle,
    /// Somebody may burn their fingers; nothing is slowed down.
    HotSurface,
    /// A fan, or something else that costs no speed.
    Other,
}

impl CoolingDevice {
    /// All of them, sorted by their names.
    ///
    /// # Errors
    /// [`WhyNot`] if they cannot be listed.
    pub fn all(files: &dyn Files) -> Reading<Vec<Self>> {
        let directories = files.names(CLASS)?;
        let mut devices: Vec<Self> = directories
            .iter()
            .filter(|name| name.starts_with("cooling_device"))
            .filter_map(|name| {
                let at = |what: &str| format!("{CLASS}/{name}/{what}");
                let state = files.number(&at("cur_state")).and_then(|state| match state {
                    // intel_powerclamp says -1 as long as it has nothing to do.
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

    /// Which of them slow something down now, each name once: `cpu-throttle-alert`.
    ///
    /// # Errors
    /// [`WhyNot`] if none is known to, and that is not sure: one that would does not tell, or there is
    /// none that would.
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

    /// What it means that it is at work, told by its type.
    pub fn role(&self) -> CoolingRole {
        let name = self.name.to_lowercase();
        let slows = ["cpufreq", "devfreq", "powerclamp"];
        if name == "hot-surface-alert" {
            CoolingRole::HotSurface
        } else if name.ends_with("-throttle-alert")
            || slows.iter().any(|word| name.contains(word))
            // ACPI's own throttling of a PC.
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
    fn throttled_is_who_is_slowed_down_and_nobody_else() {
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
    fn nothing_is_said_not_to_be_throttled_that_does_not_tell() {
        let device = |name: &str, state| CoolingDevice { name: name.to_owned(), state };
        let told =
            |all: &[CoolingDevice]| CoolingDevice::throttled(all).map(|names| names.join(" "));
        let silent = device("cpufreq-cpu0", Err(WhyNot::Forbidden));
        assert_eq!(told(&[]), Err(WhyNot::Absent));
        assert_eq!(told(&[device("pwm-fan", Ok(2))]), Err(WhyNot::Absent));
        let idle = device("cpufreq-cpu4", Ok(0));
        assert_eq!(told(std::slice::from_ref(&idle)), Ok(String::new()));
        assert_eq!(told(&[silent.clone(), idle]), Err(WhyNot::Forbidden));
        let busy = device("cpufreq-cpu4", Ok(1));
        assert_eq!(told(&[silent, busy.clone(), busy]), Ok("cpufreq-cpu4".to_owned()));
    }
}
