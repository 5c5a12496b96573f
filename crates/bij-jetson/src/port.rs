//! The board port of the coordinator's policy.

use bij_core::port::{Board, BoardReadError, Sample, ZoneReading};
use bij_core::{Bytes, Percent};

use crate::memory::SystemMemory;
use crate::{Hardware, Reading, WhyNot, Zone};

impl Board for Hardware {
    fn sample(&self) -> Sample {
        let SystemMemory { total, available, pressure } = self.system_memory();
        let mut sample = Sample::new(Bytes::new(0), Bytes::new(0));
        sample.memory_total = require("MemTotal", total);
        sample.memory_available = require("MemAvailable", available);
        sample.memory_pressure = some_pressure(pressure);
        sample.shared_with_gpu = self.is_tegra();
        sample
    }

    fn zones(&self) -> Result<Vec<ZoneReading>, BoardReadError> {
        let zones = require("the thermal zones", self.temperatures())?.into_iter();
        let reading = |Zone { name, celsius, .. }| {
            let celsius = require(&format!("zone {name}"), celsius);
            ZoneReading { name, celsius }
        };
        Ok(zones.map(reading).collect())
    }
}

fn require<T>(what: &str, reading: Reading<T>) -> Result<T, BoardReadError> {
    reading.map_err(|why| BoardReadError { what: what.to_owned(), why: why.to_string() })
}

/// Maps a missing pressure to `None`: a kernel without PSI has none, which is no error.
fn some_pressure(reading: Reading<Percent>) -> Result<Option<Percent>, BoardReadError> {
    match reading {
        Err(WhyNot::Absent) => Ok(None),
        other => require("the pressure on memory", other).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bij_core::Celsius;

    use super::*;
    use crate::CapturedTree;

    fn machine(files: &[(&str, &str)]) -> Hardware {
        let mut tree = CapturedTree::default();
        for (path, text) in files {
            tree.set(path, *text);
        }
        Hardware::new(Arc::new(tree))
    }

    fn board(meminfo: &str, pressure: Option<&str>) -> Sample {
        let mut files = vec![("proc/meminfo", meminfo)];
        files.extend(pressure.map(|pressure| ("proc/pressure/memory", pressure)));
        Board::sample(&machine(&files))
    }

    #[test]
    fn memory_and_its_pressure_are_reported() {
        let meminfo = "MemTotal: 1000 kB\nMemAvailable: 500 kB\n";
        let sample = board(meminfo, Some("some avg10=12.34 avg60=0.00 avg300=0.00 total=7\n"));
        assert_eq!(sample.memory_total, Ok(Bytes::new(1_024_000)));
        assert_eq!(sample.memory_available, Ok(Bytes::new(512_000)));
        assert_eq!(sample.memory_pressure, Ok(Some(Percent::from_permyriad(1234))));
        assert_eq!(board(meminfo, None).memory_pressure, Ok(None));
    }

    #[test]
    fn a_jetson_shares_its_memory_with_the_gpu() {
        let jetson = [("proc/device-tree/compatible", "nvidia,p3701-0005\0nvidia,tegra234\0")];
        assert!(Board::sample(&machine(&jetson)).shared_with_gpu);
        let other = [("proc/device-tree/compatible", "raspberrypi,5\0brcm,bcm2712\0")];
        assert!(!Board::sample(&machine(&other)).shared_with_gpu);
        assert!(!Board::sample(&machine(&[])).shared_with_gpu);
    }

    #[test]
    fn an_error_names_the_value_and_the_reason() {
        let sample = board("MemTotal: many kB\n", Some("nonsense"));
        let message = sample.memory_total.unwrap_err().to_string();
        assert_eq!(message, "cannot read MemTotal: unparsable: \"many kB\"");
        let message = sample.memory_available.unwrap_err().to_string();
        assert_eq!(message, "cannot read MemAvailable: absent");
        assert!(sample.memory_pressure.is_err());
    }

    #[test]
    fn zones_that_are_off_are_reported_too() {
        let hot = machine(&[
            ("sys/class/thermal/thermal_zone3/type", "CPU-therm\n"),
            ("sys/class/thermal/thermal_zone3/temp", "52875\n"),
            ("sys/class/thermal/thermal_zone5/type", "CV0-therm\n"),
            ("sys/class/thermal/thermal_zone5/temp", "-256000\n"),
        ]);
        let zones = Board::zones(&hot).unwrap();
        let names: Vec<&str> = zones.iter().map(|zone| zone.name.as_str()).collect();
        assert_eq!(names, ["cpu", "cv0"]);
        assert_eq!(zones[0].celsius, Ok(Celsius::from_millis(52_875)));
        let message = zones[1].celsius.as_ref().unwrap_err().to_string();
        assert_eq!(message, "cannot read zone cv0: off");
        assert_eq!(Board::zones(&machine(&[])), Ok(Vec::new()), "a machine without any");
    }

    #[test]
    fn this_machine_can_be_read() {
        let sample = Board::sample(&Hardware::below("/"));
        assert!(sample.memory_available.unwrap() <= sample.memory_total.unwrap());
    }
}
