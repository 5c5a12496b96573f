//! The evidence of an attempt as JSON, and the figures of the board as text and JSON. In JSON every key is always there,
//! absent values are null.

use bij_core::{
    AttemptBoard, Bytes, Celsius, Evidence, Exit, LeftBehind, Limit, Millijoules, Order,
    PeakSource, Progress, ServiceResult, TimeSpan, Witness,
};
use serde::Serialize;

use crate::view::time;

/// The `evidence` of docs/json.md.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EvidenceView {
    witness: Option<Witness>,
    service_result: Option<ServiceResult>,
    exit_meaning: Option<String>,
    core_dumped: bool,
    became_ready: bool,
    ran_for_usec: Option<TimeSpan>,
    time_limit_usec: Option<TimeSpan>,
    order: Option<Order>,
    oom_kills: Option<u64>,
    memory_limit_hits: Option<u64>,
    memory_peak: Option<Bytes>,
    memory_peak_source: Option<PeakSource>,
    memory_max: Option<Bytes>,
    cpu_usage_nsec: Option<u64>,
    kernel_line: Option<String>,
    status_text: Option<String>,
    progress: Option<Progress>,
    restarts: Option<u32>,
    last_lines: Vec<String>,
    left_behind: Option<LeftBehind>,
    notes: Vec<String>,
}

impl From<&Evidence> for EvidenceView {
    fn from(evidence: &Evidence) -> Self {
        let evidence = evidence.clone();
        // Also a sentence in the notes.
        let left = evidence.left_behind.as_ref().map(ToString::to_string);
        Self {
            witness: evidence.witness,
            service_result: evidence.service_result,
            exit_meaning: evidence.exit_meaning,
            core_dumped: matches!(evidence.exit, Some(Exit::CoreDump(_))),
            became_ready: evidence.became_ready,
            ran_for_usec: evidence.ran_for,
            time_limit_usec: evidence.time_limit,
            order: evidence.order,
            oom_kills: evidence.oom_kills,
            memory_limit_hits: evidence.memory_limit_hits,
            memory_peak: evidence.memory_peak,
            memory_peak_source: evidence.memory_peak_source,
            memory_max: evidence.memory_max.and_then(Limit::at),
            cpu_usage_nsec: evidence.cpu_usage_nsec,
            kernel_line: evidence.kernel_line,
            status_text: evidence.status_text,
            progress: evidence.progress,
            restarts: evidence.restarts,
            last_lines: evidence.last_lines,
            notes: left.into_iter().chain(evidence.notes).collect(),
            left_behind: evidence.left_behind,
        }
    }
}

/// The `board` of an attempt in docs/json.md: every key is always there, absent values are null.
#[derive(Clone, Debug, Serialize)]
pub(super) struct AttemptBoardView {
    max_zone: Option<String>,
    max_celsius: Option<f64>,
    energy_joules: Option<f64>,
    throttled_seconds: Option<f64>,
    over_current_events: Option<u64>,
}

impl From<&AttemptBoard> for AttemptBoardView {
    fn from(board: &AttemptBoard) -> Self {
        let AttemptBoard { hottest, energy, throttled, over_current } = board;
        Self {
            max_zone: hottest.as_ref().map(|hottest| hottest.zone.clone()),
            max_celsius: hottest.as_ref().map(|hottest| hottest.celsius).map(Celsius::degrees),
            energy_joules: energy.map(joules),
            throttled_seconds: throttled.map(|span| span.as_duration().as_secs_f64()),
            over_current_events: *over_current,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "what a board draws in a century has 13 digits")]
fn joules(energy: Millijoules) -> f64 {
    energy.get() as f64 / 1000.0
}

/// Formats the figures that are known and not 0: `71.2 °C at tj, 12.3 kJ, throttled for 7s, 2 × over-current`.
pub(super) fn describe_board(board: &AttemptBoard) -> String {
    let AttemptBoard { hottest, energy, throttled, over_current } = board;
    let hottest =
        hottest.as_ref().map(|hottest| format!("{} at {}", hottest.celsius, hottest.zone));
    let throttled = throttled.filter(|span| !span.is_zero());
    let over_current = over_current.filter(|count| *count > 0);
    let parts = [
        hottest,
        energy.map(format_energy),
        throttled.map(|span| format!("throttled for {}", time::rough(span))),
        over_current.map(|count| format!("{count} × over-current")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Formats an energy, rounded down: `357 J`, `12.3 kJ`, `4.5 MJ`.
fn format_energy(energy: Millijoules) -> String {
    let joules = energy.joules();
    let (unit, size) = match joules.unsigned_abs() {
        0..1000 => return energy.to_string(),
        1000..1_000_000 => ("kJ", 1000),
        1_000_000.. => ("MJ", 1_000_000),
    };
    format!("{}.{} {unit}", joules / size, (joules % size * 10 / size).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use bij_core::{Hottest, TimeSpan};

    use super::*;

    #[test]
    fn an_amount_of_energy_is_readable_at_every_size() {
        let format = |joules: i64| format_energy(Millijoules::new(joules * 1000));
        assert_eq!(
            [0, 999, 1000, 12_399, 4_560_000, -2_500].map(format),
            ["0 J", "999 J", "1.0 kJ", "12.3 kJ", "4.5 MJ", "-2.5 kJ"]
        );
    }

    #[test]
    fn figures_of_0_are_left_out_of_the_text() {
        let mut board = AttemptBoard {
            hottest: Some(Hottest { zone: "tj".to_owned(), celsius: Celsius::from_millis(71_250) }),
            throttled: Some(TimeSpan::default()),
            over_current: Some(0),
            ..AttemptBoard::default()
        };
        assert_eq!(describe_board(&board), "71.2 °C at tj");
        board.energy = Some(Millijoules::new(12_345_678));
        board.throttled = Some(TimeSpan::from_secs(7));
        board.over_current = Some(2);
        assert_eq!(
            describe_board(&board),
            "71.2 °C at tj, 12.3 kJ, throttled for 7s, 2 × over-current"
        );
        assert_eq!(describe_board(&AttemptBoard::default()), "");
    }
}
