//! Heat: zones and their trips, cooling devices, and which of them throttle now.
//!
//! Sensors of the processor, the GPU and the rest of their chip are kept apart from those of other devices:
//! see [`origin`].
//!
//! The kernel's Documentation/driver-api/thermal/sysfs-api.rst describes the class. Neither the number
//! of a zone nor that of a trip means anything: everything is found by its type.

mod cooling;
mod hwmon_zone;
mod origin;
mod trip;

use bij_core::Celsius;

use crate::hwmon::Chip;
use crate::{Files, Reading, WhyNot};

use origin::Origin;

pub use cooling::{CoolingDevice, CoolingRole};
pub use trip::{Trip, TripKind};

const CLASS: &str = "sys/class/thermal";

/// One sensor: a thermal zone, or a sensor of hwmon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Zone {
    /// What it measures, in lower case and without `-therm` or `-thermal`: `cpu`, `tj`, `nvme composite`.
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

/// Where a sensor is read.
enum Place<'a> {
    /// A thermal zone.
    Zone { directory: String, kind: String },
    /// A chip of hwmon that is no thermal zone.
    Chip(&'a Chip),
}

/// All places with sensors, sorted by what they measure.
#[derive(Default)]
struct Places<'a> {
    /// The processor, the GPU and the rest of their chip.
    soc: Vec<Place<'a>>,
    /// Other devices.
    other: Vec<Place<'a>>,
}

impl Zone {
    /// The thermal zones of the processor, the GPU and the rest of their chip, sorted by their names; on a PC
    /// also the sensors of hwmon that its processor and its GPU have.
    ///
    /// A zone of unknown type counts only where no other one does.
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
        Ok(Self::read(files, &Places::find(files, chips)?.soc, trips))
    }

    /// The sensors of other devices, sorted by their names, with their own limits as trips.
    ///
    /// # Errors
    /// [`WhyNot`] if not even their names can be listed.
    pub(crate) fn of_others(files: &dyn Files, chips: &[Chip]) -> Reading<Vec<Self>> {
        Ok(Self::read(files, &Places::find(files, chips)?.other, Trips::Read))
    }

    fn read(files: &dyn Files, places: &[Place<'_>], trips: Trips) -> Vec<Self> {
        let mut zones: Vec<Self> =
            places.iter().flat_map(|place| place.sensors(files, trips)).collect();
        zones.sort();
        zones
    }
}

impl<'a> Places<'a> {
    fn find(files: &dyn Files, chips: &'a [Chip]) -> Reading<Self> {
        let (mut places, mut unknown) = (Self::default(), Vec::new());
        let mut kinds = Vec::new();
        for name in files.names(CLASS)?.iter().filter(|name| name.starts_with("thermal_zone")) {
            let directory = format!("{CLASS}/{name}");
            // What has no type cannot be told from the others.
            let Ok(kind) = files.text(&format!("{directory}/type")) else { continue };
            kinds.push(kind.replace('-', "_"));
            match Origin::of_zone(&kind) {
                Origin::Soc => &mut places.soc,
                Origin::Other => &mut places.other,
                Origin::Unknown => &mut unknown,
            }
            .push(Place::Zone { directory, kind });
        }
        // The thermal core registers each zone with hwmon again, under a name that hwmon allows.
        let is_zone = |chip: &Chip| kinds.contains(&chip.name);
        for chip in chips.iter().filter(|chip| !is_zone(chip)) {
            match Origin::of_chip(&chip.name) {
                Origin::Soc if hwmon_zone::has_sensors(files, chip) => &mut places.soc,
                Origin::Soc | Origin::Other | Origin::Unknown => &mut places.other,
            }
            .push(Place::Chip(chip));
        }
        if places.soc.is_empty() { &mut places.soc } else { &mut places.other }
            .append(&mut unknown);
        Ok(places)
    }
}

impl Place<'_> {
    fn sensors(&self, files: &dyn Files, trips: Trips) -> Vec<Zone> {
        let (directory, kind) = match self {
            Self::Chip(chip) => return hwmon_zone::of_chip(files, chip, trips),
            Self::Zone { directory, kind } => (directory, kind),
        };
        vec![Zone {
            name: short(kind),
            celsius: temperature(files, &format!("{directory}/temp"), kind),
            trips: match trips {
                Trips::Read => trip::of_zone(files, directory),
                Trips::LeaveOut => Vec::new(),
            },
        }]
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

    #[test]
    fn a_zone_of_unknown_type_counts_only_where_no_other_does() {
        let names = |zones: Reading<Vec<Zone>>| {
            zones.unwrap().into_iter().map(|zone| zone.name).collect::<Vec<_>>()
        };
        let mut tree = zone("acpitz", "50000");
        tree.set("sys/class/thermal/thermal_zone8/type", "iwlwifi_1\n");
        tree.set("sys/class/thermal/thermal_zone8/temp", "61000\n");
        let others = |tree: &CapturedTree| Zone::of_others(tree, &Chip::all(tree).unwrap());
        assert_eq!(names(Zone::all(&tree)), ["acpitz"]);
        assert_eq!(names(others(&tree)), ["iwlwifi_1"]);
        tree.set("sys/class/hwmon/hwmon2/name", "k10temp\n");
        assert_eq!(names(Zone::all(&tree)), ["acpitz"], "that chip has no sensor");
        tree.set("sys/class/hwmon/hwmon2/temp1_input", "50000\n");
        assert_eq!(names(Zone::all(&tree)), ["k10temp"]);
        assert_eq!(names(others(&tree)), ["acpitz", "iwlwifi_1"]);
    }

    #[test]
    fn a_limit_that_is_not_set_is_none() {
        let mut tree = CapturedTree::default();
        let at = |what: &str| format!("sys/class/hwmon/hwmon4/{what}");
        tree.set(&at("name"), "nvme\n");
        tree.set(&at("temp1_input"), "38850\n");
        for limit in ["65261850", "0", "-273150", "2147483647", "250000"] {
            tree.set(&at("temp1_max"), format!("{limit}\n"));
            let zones = Zone::of_others(&tree, &Chip::all(&tree).unwrap()).unwrap();
            assert_eq!(zones[0].trips[0].celsius, Err(WhyNot::Off), "{limit}");
        }
        tree.set(&at("temp1_fault"), "1\n");
        let zones = Zone::of_others(&tree, &Chip::all(&tree).unwrap()).unwrap();
        assert_eq!(zones[0].celsius, Err(WhyNot::Off), "nothing is connected");
    }
}
