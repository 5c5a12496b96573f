//! `bij list`: experiments, one per line.

use std::io::{self, Write};

use bij_core::{Bytes, SubState, TimeSpan};
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;
use crate::facts;
use crate::view::{
    Cell, ExperimentStatus, Steps, Table, TableColumn, TextFormat, Tone, View, WaitingRun,
    cause_tone, time,
};

/// Lists every experiment that is defined or known to the manager.
pub(super) async fn list(context: &Context) -> Result<(), CliError> {
    let mut all = facts::read_all(context).await?;
    facts::add_waiting_runs(context, &mut all).await;
    let list = ExperimentList(all.into_iter().map(ExperimentStatus::new).collect());
    let count = list.0.len();
    context.terminal.show(&list)?;
    if !context.terminal.is_json() {
        let noun = if count == 1 { "experiment" } else { "experiments" };
        context.terminal.status(&format!("{count} {noun} listed."));
    }
    Ok(())
}

/// All experiments: `bij list`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
struct ExperimentList(Vec<ExperimentStatus>);

impl View for ExperimentList {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            TableColumn::left(""),
            TableColumn::left("ID"),
            TableColumn::left("STATE"),
            TableColumn::left("SUB").dispensable(2),
            TableColumn::right("RUN").dispensable(4),
            TableColumn::right("ATTEMPT").dispensable(3),
            TableColumn::right("CRASHES"),
            TableColumn::right("MEMORY"),
            TableColumn::right("MAX").dispensable(1),
            TableColumn::right("GPU MEM").dispensable(2),
            TableColumn::right("CPU").dispensable(5),
            TableColumn::left("LAST END").dispensable(6),
            TableColumn::left("PROGRESS").dispensable(7).flexible(),
            TableColumn::left("REASON").dispensable(1).flexible(),
        ]);
        self.0.iter().for_each(|status| table.row(cells(status)));
        table.write(out, format)
    }
}

fn cells(status: &ExperimentStatus) -> [Cell<'_>; 14] {
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
        status.progress.as_ref().map_or_else(String::new, Steps::line).into(),
        status.queued.as_ref().map(WaitingRun::reason).unwrap_or_default().into(),
    ]
}

/// Returns systemd's state, or `queued` if the unit is down and a run waits.
fn state(status: &ExperimentStatus, tone: Tone) -> Cell<'_> {
    match &status.queued {
        Some(_) if matches!(status.state.as_str(), "inactive" | "failed") => {
            Cell::new(Tone::Busy, "queued")
        }
        Some(_) | None => Cell::new(tone, status.state.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::command::status::tests::{crashed, running, without_unit};
    use crate::facts::ExperimentFacts;

    fn list() -> ExperimentList {
        let named = |facts: ExperimentFacts, id: &str| {
            ExperimentStatus::new(ExperimentFacts {
                id: bij_core::ExperimentId::new(id).unwrap(),
                ..facts
            })
        };
        ExperimentList(vec![
            named(running(), "amnesiac_001"),
            named(crashed(), "unstable_002"),
            named(without_unit(), "a_very_long_name_of_an_experiment_that_nobody_would_type"),
        ])
    }

    fn text(width: Option<usize>) -> String {
        let mut out = Vec::new();
        list().text(&mut out, &TextFormat { width, ..TextFormat::for_test() }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_shows_the_state_of_an_experiment() {
        assert_snapshot!(text(None));
    }

    #[test]
    fn the_list_fits_the_terminal_and_keeps_ids_whole() {
        assert_snapshot!(text(Some(100)));
        let wide = text(Some(100));
        assert!(wide.lines().all(|line| line.chars().count() <= 100), "{wide}");
        assert!(wide.contains("a_very_long_name_of_an_experiment_that_nobody_would_type"));
    }

    #[test]
    fn json_is_an_array_of_what_status_prints() {
        let json = serde_json::to_value(list()).unwrap();
        assert_eq!(json[0], serde_json::to_value(ExperimentStatus::new(running())).unwrap());
    }
}
