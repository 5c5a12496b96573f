//! The machine as JSON: a value that is not available is `null`, with its reason beside it.

use std::collections::BTreeMap;

use bij_core::{Hertz, Percent};
use bij_jetson::{Cpu, CurrentMode, Fan, GpuState, HardwareReading, Memory, Reading, WhyNot, Zone};
use serde::Serialize;

/// The reasons for missing values, by key.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
struct Reasons(BTreeMap<&'static str, String>);

impl Reasons {
    /// Notes the parts that were not understood, which are missing in the value of this key.
    fn add_skipped(&mut self, key: &'static str, parts: &[impl ToString]) {
        if !parts.is_empty() {
            let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
            self.0.insert(key, format!("unparsable: {}", parts.join("; ")));
        }
    }

    /// Returns the value, or notes the reason under this key.
    fn value<T>(&mut self, key: &'static str, reading: Reading<T>) -> Option<T> {
        reading.map_err(|why| self.0.insert(key, why.to_string())).ok()
    }

    /// Returns the entries, or none and notes the reason under this key.
    fn entries<T, U>(
        &mut self,
        key: &'static str,
        reading: &Reading<Vec<T>>,
        entry: impl Fn(&T) -> U,
    ) -> Vec<U> {
        match reading {
            Ok(all) => all.iter().map(entry).collect(),
            Err(why) => {
                self.0.insert(key, why.to_string());
                Vec::new()
            }
        }
    }
}

/// The machine, as docs/json.md specifies it.
#[derive(Debug, Serialize)]
pub(super) struct JsonBoard {
    model: Option<String>,
    soc: Option<String>,
    l4t: Option<String>,
    zones: Vec<JsonZone>,
    sensors: Vec<JsonZone>,
    throttled: Vec<String>,
    rails: Vec<JsonRail>,
    total_milliwatts: Option<i64>,
    gpu: JsonGpu,
    cpus: Vec<JsonCpu>,
    memory: JsonMemory,
    power_mode: JsonMode,
    power_modes: Vec<JsonOffered>,
    clocks_held: Option<bool>,
    fan: JsonFan,
    over_current: Vec<JsonCounter>,
    why: Reasons,
}

#[derive(Debug, Serialize)]
struct JsonZone {
    name: String,
    celsius: Option<f64>,
    trips: Vec<JsonTrip>,
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct JsonTrip {
    kind: String,
    celsius: Option<f64>,
}

#[derive(Debug, Serialize)]
struct JsonRail {
    name: String,
    milliwatts: Option<i64>,
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct JsonGpu {
    name: Option<String>,
    load_percent: Option<f64>,
    hz: Option<u64>,
    powered: Option<bool>,
    why: Reasons,
}

#[derive(Debug, Serialize)]
struct JsonCpu {
    id: u32,
    online: bool,
    hz: Option<u64>,
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct JsonMemory {
    total: Option<u64>,
    available: Option<u64>,
    gpu_by_pid: Option<BTreeMap<u32, u64>>,
    why: Reasons,
}

#[derive(Debug, Serialize)]
struct JsonMode {
    id: Option<u32>,
    name: Option<String>,
    why: Reasons,
}

#[derive(Debug, Serialize)]
struct JsonOffered {
    id: u32,
    name: String,
    needs_reboot: Option<bool>,
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct JsonFan {
    percent: Option<f64>,
    rpm: Option<u64>,
    why: Reasons,
}

#[derive(Debug, Serialize)]
struct JsonCounter {
    name: String,
    count: Option<u64>,
    why: Option<String>,
}

/// Returns the value and the reason of a reading, of which one is `None`.
fn part<T: Clone, U>(reading: &Reading<T>, get: impl Fn(T) -> U) -> (Option<U>, Option<String>) {
    match reading {
        Ok(value) => (Some(get(value.clone())), None),
        Err(why) => (None, Some(why.to_string())),
    }
}

impl JsonBoard {
    pub(super) fn new(sample: &HardwareReading, clocks_held: &Reading<bool>) -> Self {
        let mut why = Reasons::default();
        let identity = &sample.identity;
        let throttled = sample.throttled();
        let throttled = why.value("throttled", throttled).unwrap_or_default();
        why.add_skipped("power_modes", &sample.power.passed_over);
        Self {
            model: why.value("model", identity.model.clone()),
            soc: why.value("soc", identity.soc.clone()),
            l4t: why.value("l4t", identity.l4t.clone()).map(|l4t| l4t.to_string()),
            zones: why.entries("zones", &sample.zones, JsonZone::new),
            sensors: why.entries("sensors", &sample.sensors, JsonZone::new),
            throttled: throttled.into_iter().map(ToOwned::to_owned).collect(),
            rails: why.entries("rails", &sample.rails, |rail| {
                let (milliwatts, why) = part(&rail.milliwatts, bij_core::Milliwatts::get);
                JsonRail { name: rail.name.clone(), milliwatts, why }
            }),
            total_milliwatts: why
                .value("total_milliwatts", sample.total.clone())
                .map(bij_core::Milliwatts::get),
            gpu: JsonGpu::new(&sample.gpu),
            cpus: why.entries("cpus", &sample.cpus, JsonCpu::new),
            memory: JsonMemory::new(&sample.memory),
            power_mode: JsonMode::new(&sample.power.current),
            power_modes: why.entries("power_modes", &sample.power.offered, |mode| {
                let (needs_reboot, why) = part(&mode.needs_reboot, |needs| needs);
                JsonOffered { id: mode.id, name: mode.name.clone(), needs_reboot, why }
            }),
            clocks_held: why.value("clocks_held", clocks_held.clone()),
            fan: JsonFan::new(&sample.fan),
            over_current: why.entries("over_current", &sample.over_current, |counter| {
                let (count, why) = part(&counter.count, |count| count);
                JsonCounter { name: counter.name.clone(), count, why }
            }),
            why,
        }
    }
}

impl JsonZone {
    fn new(zone: &Zone) -> Self {
        let (celsius, why) = part(&zone.celsius, bij_core::Celsius::degrees);
        // A trip that is not set is left out.
        let set = zone.trips.iter().filter(|trip| trip.celsius != Err(WhyNot::Off));
        let trips = set.map(|trip| JsonTrip {
            kind: trip.kind.to_string(),
            celsius: trip.celsius.as_ref().ok().map(|celsius| celsius.degrees()),
        });
        let trips: Vec<JsonTrip> = trips.collect();
        let unread = zone.trips.iter().find_map(|trip| match &trip.celsius {
            Err(WhyNot::Off) | Ok(_) => None,
            Err(why) => Some(format!("{} trip {why}", trip.kind)),
        });
        Self { name: zone.name.clone(), celsius, trips, why: why.or(unread) }
    }
}

impl JsonGpu {
    fn new(reading: &Reading<GpuState>) -> Self {
        let mut why = Reasons::default();
        let gpu = reading.as_ref().map_err(Clone::clone);
        Self {
            name: why.value("name", gpu.clone().map(|gpu| gpu.name.clone())),
            load_percent: why
                .value("load_percent", gpu.clone().and_then(|gpu| gpu.load.clone()))
                .map(Percent::percents),
            hz: why.value("hz", gpu.clone().and_then(|gpu| gpu.clock.clone())).map(Hertz::get),
            powered: why.value("powered", gpu.and_then(|gpu| gpu.powered.clone())),
            why,
        }
    }
}

impl JsonCpu {
    fn new(cpu: &Cpu) -> Self {
        let (hz, why) = part(&cpu.clock, Hertz::get);
        Self { id: cpu.id, online: cpu.online, hz, why }
    }
}

impl JsonMemory {
    fn new(memory: &Memory) -> Self {
        let mut why = Reasons::default();
        let bytes = |sizes: BTreeMap<u32, bij_core::Bytes>| {
            sizes.into_iter().map(|(pid, size)| (pid, size.get())).collect()
        };
        why.add_skipped("gpu_by_pid", &memory.gpu_passed_over);
        Self {
            total: why.value("total", memory.total.clone()).map(bij_core::Bytes::get),
            available: why.value("available", memory.available.clone()).map(bij_core::Bytes::get),
            gpu_by_pid: why.value("gpu_by_pid", memory.gpu_by_pid.clone()).map(bytes),
            why,
        }
    }
}

impl JsonMode {
    fn new(reading: &Reading<CurrentMode>) -> Self {
        let mut why = Reasons::default();
        let name = reading.as_ref().map_err(Clone::clone).and_then(|mode| {
            // The configuration has no mode of this number.
            mode.name.clone().ok_or(WhyNot::Absent)
        });
        Self {
            id: why.value("id", reading.clone()).map(|mode| mode.id),
            name: why.value("name", name),
            why,
        }
    }
}

impl JsonFan {
    fn new(fan: &Fan) -> Self {
        let mut why = Reasons::default();
        Self {
            percent: why.value("percent", fan.drive.clone()).map(Percent::percents),
            rpm: why.value("rpm", fan.rpm.clone()),
            why,
        }
    }
}
