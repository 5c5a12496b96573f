//! Heat: zones and their trips, cooling devices, and who is throttled now.
//!
//! The kernel's Documentation/driver-api/thermal/sysfs-api.rst describes the class. Neither the number
//! of a zone nor that of a trip means anything: everything is found by its type.

mod cooling;
mod hwmon_zone;
mod trip;

use bij_core::Celsius;

use crate::hwmon::Chip;
use crate::{Files, Reading, WhyNot};

pub use cooling::{CoolingDevice, CoolingRole};
pub use trip::{Trip, TripKind};

const CLASS: &str = "sys/class/thermal";

/// One sensor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Zone {
    /// What it measures, in lower case and without `-therm` or `-thermal`: `cpu`, `tj`.
    pub name: String,
    /// How hot it is there.
    pub celsius: Reading<Celsius>,
    /// What happens at which temperature, the coolest first; empty as well where only temperatures were
    /// asked for.
    pub trips: Vec<Trip>,
}

/// Whether trips are wanted: they are more files than the temperatures, and hardly ever change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trips {
    Read,
    LeaveOut,
}

/// A Tegra whose unit has no power reads as -256 °C; below this nothing is a temperature.
const COLDEST: i64 = -100_000;

/// And above this neither: silicon has long switched itself off.
const HOTTEST: i64 = 250_000;

impl Zone {
    /// All zones of the machine, sorted by their names; sensors of hwmon that are not zones as well.
    ///
    /// # Errors
    /// [`WhyNot`] if not even their names can be listed.
    pub fn all(files: &dyn Files) -> Reading<Vec<Self>> {
        Self::with(files, &Chip::all(files).unwrap_or_default(), Trips::Read)
    }

    /// As [`Zone::all`], without the trips.
    pub(crate) fn temperatures(files: &dyn Files) -> Reading<Vec<Self>> {
        Self::with(files, &Chip::all(files).unwrap_or_default(), Trips::LeaveOut)
    }

    pub(crate) fn with(files: &dyn Files, chips: &[Chip], trips: Trips) -> Reading<Vec<Self>> {
        let directories = files.names(CLASS)?;
        let mut types = Vec::new();
        let mut zones = Vec::new();
        for name in directories.iter().filter(|name| name.starts_with("thermal_zone")) {
            let directory = format!("{CLASS}/{name}");
            // What has no type cannot be told from the others.
            let Ok(kind) = files.text(&format!("{directory}/type")) else { continue };
            zones.push(Self {
                name: short(&kind),
                celsius: temperature(files, &format!("{directory}/temp"), &kind),
                trips: match trips {
                    Trips::Read => trip::of_zone(files, &directory),
                    Trips::LeaveOut => Vec::new(),
                },
            });
            types.push(kind);
        }
        for chip in chips {
            // The thermal core registers each zone there again, under a name that hwmon allows.
            if !types.iter().any(|kind| kind.replace('-', "_") == chip.name) {
                zones.extend(hwmon_zone::of_chip(files, chip, trips));
            }
        }
        zones.sort();
        Ok(zones)
    }
}

/// `CPU-therm` and `cpu-thermal` are `cpu`.
fn short(kind: &str) -> String {
    let name = kind.to_lowercase();
    let bare = name.strip_suffix("-thermal").or_else(|| name.strip_suffix("-therm"));
    bare.filter(|bare| !bare.is_empty()).unwrap_or(&name).to_owned()
}

fn temperature(files: &dyn Files, path: &str, kind: &str) -> Reading<Celsius> {
    // A node of the device tree that stands for a chip without a sensor: 50 or 100 °C for ever.
    if kind.eq_ignore_ascii_case("pmic-die") {
        return Err(WhyNot::Absent);
    }
    let content = files.read(path).map_err(|error| match error.raw_os_error() {
        // The firmware has no answer for a unit that is off.
        Some(code) if code == nix::errno::Errno::EINVAL as i32 => WhyNot::Off,
        _ => WhyNot::from(error),
    })?;
    celsius(crate::parse::number(&content)?)
}

/// Thousandths of a degree, if that is a temperature.
fn celsius(millis: i64) -> Reading<Celsius> {
    if millis <= COLDEST {
        return Err(WhyNot::Off);
    }
    let possible = i32::try_from(millis).ok().filter(|millis| i64::from(*millis) < HOTTEST);
    possible.map(Celsius::from_millis).ok_or_else(|| WhyNot::Unparsable(millis.to_string()))
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;
    use crate::CapturedTree;

    fn zone(kind: &str, temperature: &str) -> CapturedTree {
        let mut tree = CapturedTree::default();
        tree.set("sys/class/thermal/thermal_zone7/type", format!("{kind}\n"));
        tree.set("sys/class/thermal/thermal_zone7/temp", format!("{temperature}\n"));
        tree
    }

    fn read(tree: &CapturedTree) -> Reading<Celsius> {
        Zone::all(tree).unwrap().remove(0).celsius
    }

    #[test]
    fn names_of_all_releases_are_one() {
        assert_eq!(short("CPU-therm"), "cpu");
        assert_eq!(short("cpu-thermal"), "cpu");
        assert_eq!(short("Tboard_tegra"), "tboard_tegra");
        assert_eq!(short("x86_pkg_temp"), "x86_pkg_temp");
        assert_eq!(short("-thermal"), "-thermal");
    }

    #[test]
    fn what_is_off_has_no_temperature() {
        assert_eq!(read(&zone("CV0-therm", "-256000")), Err(WhyNot::Off));
        assert_eq!(read(&zone("CV0-therm", "")), Err(WhyNot::Off));
        for errno in [Errno::EAGAIN, Errno::EINVAL, Errno::ENODATA] {
            let mut tree = zone("cv0-thermal", "");
            tree.fail("sys/class/thermal/thermal_zone7/temp", errno as i32);
            assert_eq!(read(&tree), Err(WhyNot::Off), "{errno}");
        }
    }

    #[test]
    fn what_is_no_temperature_is_not_taken_for_one() {
        assert_eq!(read(&zone("cpu-thermal", "-40000")), Ok(Celsius::new(-40)));
        for wrong in ["hot", "2147483647", "9223372036854775807"] {
            assert_eq!(
                read(&zone("cpu-thermal", wrong)),
                Err(WhyNot::Unparsable(wrong.to_owned()))
            );
        }
        assert_eq!(
            read(&zone("PMIC-Die", "100000")),
            Err(WhyNot::Absent),
            "made up by the device tree"
        );
    }

    #[test]
    fn a_sensor_is_told_once() {
        let mut tree = zone("cpu-thermal", "50000");
        tree.set("sys/class/hwmon/hwmon2/name", "cpu_thermal\n");
        tree.set("sys/class/hwmon/hwmon2/temp1_input", "50000\n");
        assert_eq!(Zone::all(&tree).unwrap().len(), 1);
        tree.set("sys/class/hwmon/hwmon2/name", "k10temp\n");
        assert_eq!(Zone::all(&tree).unwrap().len(), 2);
    }
}
