//! The machine as text: lines of single values, then tables of zones, rails and modes.

use std::io::{self, Write};

use bij_core::{Bytes, Celsius};
use bij_jetson::{
    Cpu, CurrentMode, GpuState, HardwareReading, Memory, PowerModes, Reading, TripKind, WhyNot,
    Zone,
};

use crate::view::{Cell, Table, TableColumn, TextFormat, Tone, visible};

pub(super) fn write(
    board: &HardwareReading,
    clocks_are_held: bool,
    out: &mut dyn Write,
    format: &TextFormat,
) -> io::Result<()> {
    let model = board.identity.model.as_deref().unwrap_or("Machine of unknown model");
    writeln!(out, "{}", visible(model))?;
    let mut line = |name: &str, tone: Tone, value: &str| {
        writeln!(out, "{name:>12}: {}", format.paint(tone, &visible(value)))
    };
    if let Some(release) = release(board) {
        line("Release", Tone::Plain, &release)?;
    }
    if board.power.offered != Err(WhyNot::Absent) || board.identity.is_jetson() {
        line("Power mode", Tone::Plain, &mode(&board.power))?;
    }
    if let [first, more @ ..] = board.power.passed_over.as_slice() {
        line("Left out", Tone::Busy, &with_more(&first.to_string(), more.len()))?;
    }
    if clocks_are_held {
        line("Clocks", Tone::Plain, "held at their present rates")?;
    }
    if board.total != Err(WhyNot::Absent) {
        line("Power", Tone::Plain, &value_or_reason(&board.total))?;
    }
    match board.throttled() {
        Ok(names) if names.is_empty() => line("Throttled", Tone::Good, "no")?,
        Ok(names) => line("Throttled", Tone::Bad, &format!("by {}", names.join(", ")))?,
        Err(WhyNot::Absent) => {}
        Err(why) => line("Throttled", Tone::Busy, &format!("unknown, {why}"))?,
    }
    if let Some((tone, text)) = over_current(board) {
        line("Over-current", tone, &text)?;
    }
    line("GPU", Tone::Plain, &gpu(&board.gpu))?;
    line("CPUs", Tone::Plain, &cpus(&board.cpus))?;
    line("Memory", Tone::Plain, &memory(&board.memory))?;
    line("Fan", Tone::Plain, &fan(board))?;
    zones(&board.zones, ["ZONE", "TRIPS"], out, format)?;
    // If zones cannot be listed, sensors cannot either.
    if board.zones.is_ok() {
        zones(&board.sensors, ["SENSOR", "LIMITS"], out, format)?;
    }
    rails(board, out, format)?;
    modes(&board.power, out, format)
}

/// Formats a value, or the reason why it is missing.
fn value_or_reason(reading: &Reading<impl ToString>) -> String {
    match reading {
        Ok(value) => value.to_string(),
        Err(why) => why.to_string(),
    }
}

fn release(board: &HardwareReading) -> Option<String> {
    let identity = &board.identity;
    let l4t = match &identity.l4t {
        Ok(l4t) => Some(match l4t.jetpack() {
            Some(jetpack) => format!("L4T {l4t} (JetPack {jetpack})"),
            None => format!("L4T {l4t}"),
        }),
        Err(WhyNot::Absent) => None,
        Err(why) => Some(format!("L4T {why}")),
    };
    let parts = [l4t, identity.soc.clone().ok(), identity.module.clone().ok()];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Appends the number of further texts that are not shown.
fn with_more(first: &str, more: usize) -> String {
    if more == 0 { first.to_owned() } else { format!("{first}; {more} more") }
}

fn mode(power: &PowerModes) -> String {
    if let Err(why) = &power.offered {
        return format!("none is known, /etc/nvpmodel.conf is {why}");
    }
    match &power.current {
        Ok(mode) => match &mode.name {
            Some(name) => format!("{name} ({})", mode.id),
            None => format!("{}, which is not in /etc/nvpmodel.conf", mode.id),
        },
        Err(why) => format!("unknown, {why}"),
    }
}

fn over_current(board: &HardwareReading) -> Option<(Tone, String)> {
    let counters = match &board.over_current {
        Ok(counters) if counters.is_empty() => return None,
        Ok(counters) => counters,
        Err(why) => return Some((Tone::Busy, format!("unknown, {why}"))),
    };
    let counts = counters.iter().filter_map(|counter| match &counter.count {
        Ok(0) => None,
        Ok(count) => Some(format!("{count} of {}", counter.name)),
        Err(why) => Some(format!("{} {why}", counter.name)),
    });
    let counts: Vec<String> = counts.collect();
    Some(if counts.is_empty() {
        (Tone::Good, "none since boot".to_owned())
    } else {
        (Tone::Bad, format!("{} since boot", counts.join(", ")))
    })
}

fn gpu(reading: &Reading<GpuState>) -> String {
    let gpu = match reading {
        Ok(gpu) => gpu,
        Err(WhyNot::Absent) => return "none found".to_owned(),
        Err(why) => return why.to_string(),
    };
    let mut parts = vec![gpu.name.clone()];
    parts.extend(gpu.load.as_ref().ok().map(|load| format!("{load} busy")));
    parts.extend(gpu.clock.as_ref().ok().map(ToString::to_string));
    parts.extend(gpu.powered.as_ref().ok().map(|on| if *on { "on" } else { "off" }.to_owned()));
    parts.join(", ")
}

fn cpus(reading: &Reading<Vec<Cpu>>) -> String {
    let cpus = match reading {
        Ok(cpus) => cpus,
        Err(why) => return why.to_string(),
    };
    let online = cpus.iter().filter(|cpu| cpu.online).count();
    let clocks = || cpus.iter().filter_map(|cpu| cpu.clock.as_ref().ok());
    let count = format!("{online} of {} online", cpus.len());
    match (clocks().min(), clocks().max()) {
        (Some(slowest), Some(fastest)) if slowest == fastest => format!("{count}, {fastest}"),
        (Some(slowest), Some(fastest)) => format!("{count}, {slowest} to {fastest}"),
        _ => count,
    }
}

fn memory(memory: &Memory) -> String {
    let available = match (&memory.available, &memory.total) {
        (Ok(available), Ok(total)) => format!("{available} of {total} available"),
        (Err(why), _) | (_, Err(why)) => return why.to_string(),
    };
    match &memory.gpu_by_pid {
        Ok(sizes) => {
            let sum = sizes.values().fold(Bytes::new(0), |sum, size| {
                sum.checked_add(*size).unwrap_or(Bytes::new(u64::MAX))
            });
            let left_out = match memory.gpu_passed_over.as_slice() {
                [] => String::new(),
                [first, more @ ..] => format!("; not understood: {}", with_more(first, more.len())),
            };
            format!("{available}, {sum} used by the GPU{left_out}")
        }
        Err(WhyNot::Absent) => available,
        Err(why) => format!("{available}; the GPU's share is {why}"),
    }
}

fn fan(board: &HardwareReading) -> String {
    let fan = &board.fan;
    match (&fan.drive, &fan.rpm) {
        (Ok(drive), Ok(rpm)) => format!("{drive}, {rpm} rpm"),
        (Ok(drive), Err(WhyNot::Absent)) => drive.to_string(),
        (Ok(drive), Err(why)) => format!("{drive}, rpm {why}"),
        (Err(_), Ok(rpm)) => format!("{rpm} rpm"),
        (Err(WhyNot::Absent), Err(_)) => "none found".to_owned(),
        (Err(why), Err(_)) => why.to_string(),
    }
}

/// Writes a table of sensors; `titles` are those of its first and last column.
fn zones(
    reading: &Reading<Vec<Zone>>,
    titles: [&'static str; 2],
    out: &mut dyn Write,
    format: &TextFormat,
) -> io::Result<()> {
    let zones = match reading {
        Ok(zones) if zones.is_empty() => return Ok(()),
        Ok(zones) => zones,
        Err(why) => return writeln!(out, "\nZones: {why}"),
    };
    writeln!(out)?;
    let [name, limits] = titles;
    let columns = [
        TableColumn::left(name),
        TableColumn::right("TEMPERATURE"),
        TableColumn::left(limits).flexible(),
    ];
    let mut table = Table::new(columns);
    for zone in zones {
        let temperature = match &zone.celsius {
            Ok(celsius) => Cell::new(tone(zone, *celsius), celsius.to_string()),
            Err(why) => Cell::new(Tone::Plain, why.to_string()),
        };
        table.row([visible(&zone.name).into(), temperature, trips(zone).into()]);
    }
    table.write(out, format)
}

/// Returns the tone of a temperature, by the trips that it has reached.
fn tone(zone: &Zone, celsius: Celsius) -> Tone {
    let reached = |kinds: &[TripKind]| {
        zone.trips.iter().any(|trip| {
            kinds.contains(&trip.kind) && trip.celsius.as_ref().is_ok_and(|trip| celsius >= *trip)
        })
    };
    if reached(&[TripKind::Hot, TripKind::Critical]) {
        Tone::Bad
    } else if reached(&[TripKind::Passive]) {
        Tone::Busy
    } else {
        Tone::Plain
    }
}

/// Formats the trips that are set: `passive 99.0, critical 104.5`.
fn trips(zone: &Zone) -> String {
    let trips = zone.trips.iter().filter_map(|trip| match &trip.celsius {
        Ok(celsius) => {
            let celsius = celsius.to_string();
            Some(format!("{} {}", trip.kind, celsius.trim_end_matches(" °C")))
        }
        Err(WhyNot::Off) => None,
        Err(why) => Some(format!("{} {why}", trip.kind)),
    });
    visible(&trips.collect::<Vec<_>>().join(", ")).into_owned()
}

fn rails(board: &HardwareReading, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
    // The line of the whole board's power has the reason.
    let Ok(rails) = &board.rails else { return Ok(()) };
    if rails.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new([TableColumn::left("RAIL"), TableColumn::right("POWER")]);
    for rail in rails {
        table.row([visible(&rail.name).into(), value_or_reason(&rail.milliwatts).into()]);
    }
    table.write(out, format)
}

fn modes(power: &PowerModes, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
    let Ok(modes) = &power.offered else { return Ok(()) };
    if modes.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let columns = [
        TableColumn::right("MODE"),
        TableColumn::left("NAME"),
        TableColumn::left("SWITCH").flexible(),
    ];
    let mut table = Table::new(columns);
    for mode in modes {
        let is = |of: &Reading<CurrentMode>| of.as_ref().is_ok_and(|of| of.id == mode.id);
        let (current, is_known) = (is(&power.current), power.current.is_ok());
        let switch = match &mode.needs_reboot {
            _ if current => Cell::new(Tone::Good, "in force"),
            // If the mode in force is not known, the recorded one may be left over from a failed switch.
            _ if is_known && is(&power.recorded) => Cell::new(Tone::Busy, "at the next boot"),
            Ok(true) => Cell::new(Tone::Busy, "needs a reboot"),
            Ok(false) => Cell::new(Tone::Plain, "at once"),
            Err(why) => Cell::new(Tone::Plain, format!("unknown, {why}")),
        };
        table.row([mode.id.to_string().into(), visible(&mode.name).into(), switch]);
    }
    table.write(out, format)
}
