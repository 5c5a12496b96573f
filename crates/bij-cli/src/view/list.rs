//! Experiments, one per line.

use std::io::{self, Write};

use bij_core::{Bytes, SubState, TimeSpan};
use serde::Serialize;

use super::status::{Status, cause_tone};
use super::table::{Cell, Column, Table};
use super::{Format, Tone, View, WaitingRun, time};

/// All experiments: `bij list`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct List(pub(crate) Vec<Status>);

impl View for List {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            Column::left(""),
            Column::left("ID"),
            Column::left("STATE"),
            Column::left("SUB").dispensable(2),
            Column::right("RUN").dispensable(4),
            Column::right("ATTEMPT").dispensable(3),
            Column::right("CRASHES"),
            Column::right("MEMORY"),
            Column::right("MAX").dispensable(1),
            Column::right("GPU MEM").dispensable(2),
            Column::right("CPU").dispensable(5),
            Column::left("LAST END").dispensable(6),
            Column::left("PROGRESS").dispensable(7).flexible(),
            Column::left("REASON").dispensable(1).flexible(),
        ]);
        self.0.iter().for_each(|status| table.row(cells(status)));
        table.write(out, format)
    }
}

fn cells(status: &Status) -> [Cell<'_>; 14] {
    let number = |value: Option<u64>| value.map_or_else(String::new, |n| n.to_string());
    let bytes = |value: Option<u64>| value.map_or_else(String::new, |n| Bytes::new(n).to_string());
    let (symbol, tone) = status.symbol();
    let crashes = match status.crashes {
        Some(0) => Cell::new(Tone::Plain, "0"),
        crashes => Cell::new(Tone::Bad, number(crashes)),
    };
    [
        Cell::new(tone, symbol),
        status.id.as_str().into(),
        state(status, tone),
        status.sub_state.as_ref().map_or("", SubState::as_str).into(),
        status.run.map_or_else(String::new, |run| format!("#{run}")).into(),
        number(status.attempt.map(u64::from)).into(),
        crashes,
        bytes(status.memory_current).into(),
        bytes(status.memory_max).into(),
        bytes(status.gpu_memory.filter(|bytes| *bytes > 0)).into(),
        status
            .cpu_usage_nsec
            .map_or_else(String::new, |nsec| time::rough(TimeSpan::from_nanos(nsec)))
            .into(),
        status
            .last_end()
            .map_or_else(|| Cell::from(""), |end| Cell::new(cause_tone(end), end.cause.as_str())),
        status.progress.as_ref().map_or_else(String::new, super::status::Steps::line).into(),
        status.queued.as_ref().map(WaitingRun::reason).unwrap_or_default().into(),
    ]
}

/// Returns systemd's state, or `queued` if the unit is down and a run waits.
fn state(status: &Status, tone: Tone) -> Cell<'_> {
    match &status.queued {
        Some(_) if matches!(status.state.as_str(), "inactive" | "failed") => {
            Cell::new(Tone::Busy, "queued")
        }
        Some(_) | None => Cell::new(tone, status.state.as_str()),
    }
}

#[cfg(test)]
mod tests;
