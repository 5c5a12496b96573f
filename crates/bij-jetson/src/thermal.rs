//! Thermal zones with their trips, cooling devices, and which of them throttle.
//!
//! Sensors of the CPU, the GPU and the rest of their chip are separated from those of other devices; see `measured_device`.
//!
//! The kernel's Documentation/driver-api/thermal/sysfs-api.rst describes the class. Zones and trips are found by type,
//! because their numbers have no meaning.

mod cooling;
mod measured_device;
mod trip;

use bij_core::Celsius;

use crate::hwmon::Chip;
use crate::{Files, Reading, WhyNot, parse};
use measured_device::MeasuredDevice;

pub use cooling::{CoolingDevice, CoolingRole};
pub use trip::{Trip, TripKind};

const CLASS: &str = "sys/class/thermal";

/// One temperature sensor: a thermal zone, or a sensor of hwmon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Zone {
    /// The sensor's type in lower case, without `-therm` or `-thermal`: `cpu`, `tj`, `nvme composite`.
    pub name: String,
    /// The current temperature.
    pub celsius: Reading<Celsius>,
    /// The sensor's trips, the coolest first; empty if only temperatures were read.
    pub trips: Vec<Trip>,
}

/// Whether to read trips, which take more reads than the temperatures and hardly ever change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trips {
    Read,
    LeaveOut,
}

/// Lower limit of a temperature: a Tegra's unit without power reads as -256 °C.
const COLDEST: i64 = -100_000;

/// Upper limit of a temperature: silicon switches itself off long before.
const HOTTEST: i64 = 250_000;

/// The files of a sensor.
enum SensorSource<'a> {
    /// A thermal zone of the kernel.
    Zone { directory: String, kind: String },
    /// A chip of hwmon that is no thermal zone.
    Chip(&'a Chip),
}

/// The sources of all sensors, by the device that they measure.
#[derive(Default)]
struct SensorSources<'a> {
    /// Sensors of the CPU, the GPU and the rest of their chip.
    soc: Vec<SensorSource<'a>>,
    /// Sensors of other devices.
    other: Vec<SensorSource<'a>>,
}

impl Zone {
    /// Reads the thermal zones of the CPU, the GPU and the rest of their chip, sorted by name; on a PC also the hwmon
    /// sensors of the CPU and the GPU.
    ///
    /// Zones of unknown type are included only if there are no others.
    ///
    /// # Errors
    /// [`WhyNot`] if zones cannot be listed, or there is none and the chips of hwmon cannot be listed.
    pub(crate) fn all(files: &dyn Files) -> Reading<Vec<Self>> {
        Self::from_chips(files, Chip::all(files).as_deref(), Trips::Read)
    }

    /// Reads the same zones as [`Zone::all`], without the trips.
    pub(crate) fn temperatures(files: &dyn Files) -> Reading<Vec<Self>> {
        Self::from_chips(files, Chip::all(files).as_deref(), Trips::LeaveOut)
    }

    pub(crate) fn from_chips(
        files: &dyn Files,
        chips: Result<&[Chip], &WhyNot>,
        trips: Trips,
    ) -> Reading<Vec<Self>> {
        let sources = SensorSources::find(files, chips.unwrap_or_default())?;
        match chips {
            // A board is not blind without hwmon: its zones are of another class.
            Err(why) if sources.soc.is_empty() => Err(why.clone()),
            _ => Ok(Self::read(files, &sources.soc, trips)),
        }
    }

    /// Reads the sensors of other devices, sorted by name, with their own limits as trips.
    ///
    /// # Errors
    /// [`WhyNot`] if zones cannot be listed, or there is none and the chips of hwmon cannot be listed.
    pub(crate) fn other_devices(
        files: &dyn Files,
        chips: Result<&[Chip], &WhyNot>,
    ) -> Reading<Vec<Self>> {
        let sources = SensorSources::find(files, chips.unwrap_or_default())?;
        match chips {
            Err(why) if sources.other.is_empty() => Err(why.clone()),
            _ => Ok(Self::read(files, &sources.other, Trips::Read)),
        }
    }

    fn read(files: &dyn Files, sources: &[SensorSource<'_>], trips: Trips) -> Vec<Self> {
        let mut zones: Vec<Self> =
            sources.iter().flat_map(|source| source.read(files, trips)).collect();
        zones.sort();
        zones
    }
}

impl<'a> SensorSources<'a> {
    fn find(files: &dyn Files, chips: &'a [Chip]) -> Reading<Self> {
        let (mut sources, mut unknown) = (Self::default(), Vec::new());
        let mut kinds = Vec::new();
        for name in files.names(CLASS)?.iter().filter(|name| name.starts_with("thermal_zone")) {
            let directory = format!("{CLASS}/{name}");
            // A zone without a type cannot be identified.
            let Ok(kind) = files.text(&format!("{directory}/type")) else { continue };
            kinds.push(kind.replace('-', "_"));
            match MeasuredDevice::from_zone_type(&kind) {
                MeasuredDevice::Soc => &mut sources.soc,
                MeasuredDevice::Other => &mut sources.other,
                MeasuredDevice::Unknown => &mut unknown,
            }
            .push(SensorSource::Zone { directory, kind });
        }
        // The thermal core registers each zone with hwmon too, under a name that hwmon allows.
        let is_zone = |chip: &Chip| kinds.contains(&chip.name);
        for chip in chips.iter().filter(|chip| !is_zone(chip)) {
            match MeasuredDevice::from_chip_name(&chip.name) {
                MeasuredDevice::Soc if has_temperature_sensors(files, chip) => &mut sources.soc,
                MeasuredDevice::Soc | MeasuredDevice::Other | MeasuredDevice::Unknown => {
                    &mut sources.other
                }
            }
            .push(SensorSource::Chip(chip));
        }
        if sources.soc.is_empty() { &mut sources.soc } else { &mut sources.other }
            .append(&mut unknown);
        Ok(sources)
    }
}

impl SensorSource<'_> {
    fn read(&self, files: &dyn Files, trips: Trips) -> Vec<Zone> {
        let (directory, kind) = match self {
            Self::Chip(chip) => return read_chip_zones(files, chip, trips),
            Self::Zone { directory, kind } => (directory, kind),
        };
        vec![Zone {
            name: short_name(kind),
            celsius: temperature(files, &format!("{directory}/temp"), kind),
            trips: match trips {
                Trips::Read => trip::read_trips(files, directory),
                Trips::LeaveOut => Vec::new(),
            },
        }]
    }
}

/// Shortens `CPU-therm` and `cpu-thermal` to `cpu`.
fn short_name(kind: &str) -> String {
    let name = kind.to_lowercase();
    let bare = name.strip_suffix("-thermal").or_else(|| name.strip_suffix("-therm"));
    bare.filter(|bare| !bare.is_empty()).unwrap_or(&name).to_owned()
}

fn temperature(files: &dyn Files, path: &str, kind: &str) -> Reading<Celsius> {
    // The device tree has this zone for a chip without a sensor: it always reads 50 or 100 °C.
    if kind.eq_ignore_ascii_case("pmic-die") {
        return Err(WhyNot::Absent);
    }
    let content = files.read(path).map_err(|error| match error.raw_os_error() {
        // The firmware returns this error for a unit that is off.
        Some(code) if code == nix::errno::Errno::EINVAL as i32 => WhyNot::Off,
        _ => WhyNot::from(error),
    })?;
    celsius(parse::number(&content)?)
}

/// Converts thousandths of a degree, if they are a plausible temperature.
fn celsius(millis: i64) -> Reading<Celsius> {
    if millis <= COLDEST {
        return Err(WhyNot::Off);
    }
    let possible = i32::try_from(millis).ok().filter(|millis| i64::from(*millis) < HOTTEST);
    possible.map(Celsius::from_millis).ok_or_else(|| WhyNot::Unparsable(millis.to_string()))
}

/// Returns `true` if a chip has a temperature sensor.
fn has_temperature_sensors(files: &dyn Files, chip: &Chip) -> bool {
    let mut attributes = chip.attributes(files).iter();
    attributes.any(|name| parse::numbered(name, "temp", "_input").is_some())
}

/// Reads the temperatures of a chip: `coretemp package id 0`, `nvme composite`.
fn read_chip_zones(files: &dyn Files, chip: &Chip, wanted: Trips) -> Vec<Zone> {
    let attributes = chip.attributes(files);
    let numbers: Vec<u32> =
        attributes.iter().filter_map(|name| parse::numbered(name, "temp", "_input")).collect();
    let zone = |number: &u32| {
        let at = |what: &str| format!("temp{number}_{what}");
        let has = |what: &str| attributes.contains(&at(what));
        let label = if has("label") { files.text(&chip.at(&at("label"))).ok() } else { None };
        let label = label.or_else(|| (numbers.len() > 1).then(|| format!("temp{number}")));
        let name = match label {
            Some(label) => format!("{} {label}", chip.name),
            None => chip.name.clone(),
        };
        let limits = [("max", TripKind::Hot), ("crit", TripKind::Critical)];
        let trips = limits.into_iter().filter(|(limit, _)| wanted == Trips::Read && has(limit));
        let trips = trips.map(|(limit, kind)| Trip::new(kind, files.number(&chip.at(&at(limit)))));
        let mut trips: Vec<Trip> = trips.collect();
        trips.sort();
        // A Super-I/O has inputs with nothing connected (`tempN_fault` of the kernel's
        // Documentation/hwmon/sysfs-interface.rst).
        let is_faulty = has("fault") && files.number(&chip.at(&at("fault"))) == Ok(1);
        let celsius = if is_faulty {
            Err(WhyNot::Off)
        } else {
            temperature(files, &chip.at(&at("input")), &chip.name)
        };
        Zone { name: name.to_lowercase(), celsius, trips }
    };
    numbers.iter().map(zone).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

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
    fn zone_names_of_all_releases_are_unified() {
        assert_eq!(short_name("CPU-therm"), "cpu");
        assert_eq!(short_name("cpu-thermal"), "cpu");
        assert_eq!(short_name("Tboard_tegra"), "tboard_tegra");
        assert_eq!(short_name("x86_pkg_temp"), "x86_pkg_temp");
        assert_eq!(short_name("-thermal"), "-thermal");
    }

    #[test]
    fn a_zone_that_is_off_has_no_temperature() {
        assert_eq!(read(&zone("CV0-therm", "-256000")), Err(WhyNot::Off));
        assert_eq!(read(&zone("CV0-therm", "")), Err(WhyNot::Off));
        for errno in [Errno::EAGAIN, Errno::EINVAL, Errno::ENODATA] {
            let mut tree = zone("cv0-thermal", "");
            tree.fail("sys/class/thermal/thermal_zone7/temp", errno as i32);
            assert_eq!(read(&tree), Err(WhyNot::Off), "{errno}");
        }
    }

    #[test]
    fn an_implausible_temperature_is_rejected() {
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
            "invented by the device tree"
        );
    }

    #[test]
    fn a_sensor_that_is_registered_twice_is_read_once() {
        let mut tree = zone("cpu-thermal", "50000");
        tree.set("sys/class/hwmon/hwmon2/name", "cpu_thermal\n");
        tree.set("sys/class/hwmon/hwmon2/temp1_input", "50000\n");
        assert_eq!(Zone::all(&tree).unwrap().len(), 1);
        tree.set("sys/class/hwmon/hwmon2/name", "k10temp\n");
        assert_eq!(Zone::all(&tree).unwrap().len(), 2);
    }

    #[test]
    fn chips_that_cannot_be_listed_are_reported_where_there_is_no_zone() {
        struct NoChips(CapturedTree);
        impl Files for NoChips {
            fn read(&self, path: &str) -> io::Result<Vec<u8>> {
                self.0.read(path)
            }

            fn list(&self, directory: &str) -> io::Result<Vec<String>> {
                if directory == "sys/class/hwmon" {
                    return Err(Errno::EACCES.into());
                }
                self.0.list(directory)
            }

            fn write(&self, path: &str, text: &str) -> io::Result<()> {
                self.0.write(path, text)
            }
        }
        let files = NoChips(CapturedTree::default());
        let denied = Chip::all(&files).unwrap_err();
        assert_eq!(Zone::all(&files), Err(denied.clone()));
        assert_eq!(Zone::temperatures(&files), Err(denied.clone()));
        assert_eq!(crate::QuickSample::read(&files).zones, Err(denied));
        let files = NoChips(zone("cpu-thermal", "50000"));
        let zones = crate::QuickSample::read(&files).zones.unwrap();
        assert_eq!(zones[0].celsius, Ok(Celsius::from_millis(50_000)), "zones need no hwmon");
    }

    #[test]
    fn a_zone_of_unknown_type_counts_only_if_there_is_no_other() {
        let names = |zones: Reading<Vec<Zone>>| {
            zones.unwrap().into_iter().map(|zone| zone.name).collect::<Vec<_>>()
        };
        let mut tree = zone("acpitz", "50000");
        tree.set("sys/class/thermal/thermal_zone8/type", "iwlwifi_1\n");
        tree.set("sys/class/thermal/thermal_zone8/temp", "61000\n");
        let others = |tree: &CapturedTree| Zone::other_devices(tree, Chip::all(tree).as_deref());
        assert_eq!(names(Zone::all(&tree)), ["acpitz"]);
        assert_eq!(names(others(&tree)), ["iwlwifi_1"]);
        tree.set("sys/class/hwmon/hwmon2/name", "k10temp\n");
        assert_eq!(names(Zone::all(&tree)), ["acpitz"], "that chip has no sensor");
        tree.set("sys/class/hwmon/hwmon2/temp1_input", "50000\n");
        assert_eq!(names(Zone::all(&tree)), ["k10temp"]);
        assert_eq!(names(others(&tree)), ["acpitz", "iwlwifi_1"]);
    }

    #[test]
    fn a_limit_that_is_not_set_has_no_temperature() {
        let mut tree = CapturedTree::default();
        let at = |what: &str| format!("sys/class/hwmon/hwmon4/{what}");
        tree.set(&at("name"), "nvme\n");
        tree.set(&at("temp1_input"), "38850\n");
        for limit in ["65261850", "0", "-273150", "2147483647", "250000"] {
            tree.set(&at("temp1_max"), format!("{limit}\n"));
            let zones = Zone::other_devices(&tree, Chip::all(&tree).as_deref()).unwrap();
            assert_eq!(zones[0].trips[0].celsius, Err(WhyNot::Off), "{limit}");
        }
        tree.set(&at("temp1_fault"), "1\n");
        let zones = Zone::other_devices(&tree, Chip::all(&tree).as_deref()).unwrap();
        assert_eq!(zones[0].celsius, Err(WhyNot::Off), "nothing is connected");
    }
}
