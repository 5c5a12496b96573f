//! The board's figures for an attempt.

use bij_core::{AttemptBoard, Celsius, Millijoules};
use serde::Serialize;

use super::time;

/// The `board` of an attempt in docs/json.md: every key is always there, absent values are null.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AttemptBoardView {
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
pub(super) fn short(board: &AttemptBoard) -> String {
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
        assert_eq!(short(&board), "71.2 °C at tj");
        board.energy = Some(Millijoules::new(12_345_678));
        board.throttled = Some(TimeSpan::from_secs(7));
        board.over_current = Some(2);
        assert_eq!(short(&board), "71.2 °C at tj, 12.3 kJ, throttled for 7s, 2 × over-current");
        assert_eq!(short(&AttemptBoard::default()), "");
    }
}
