//! Temperature sensors of hwmon that are no thermal zones; many PCs have only these.

use super::{Trip, TripKind, Trips, Zone, temperature};
use crate::hwmon::Chip;
use crate::{Files, WhyNot, parse};

/// Returns `true` if a chip has a temperature sensor.
pub(super) fn has_sensors(files: &dyn Files, chip: &Chip) -> bool {
    let mut attributes = chip.attributes(files).iter();
    attributes.any(|name| parse::numbered(name, "temp", "_input").is_some())
}

/// Reads the temperatures of a chip: `coretemp package id 0`, `nvme composite`.
pub(super) fn read_chip(files: &dyn Files, chip: &Chip, wanted: Trips) -> Vec<Zone> {
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
