//! The result of a simulation of the thermal ladder.

use std::io::{self, Write};

use bij_coordinator::thermal::{
    RestraintChange, ThermalAction, ThermalDecision, ThermalLevel, ThermalReason,
};
use bij_core::{Celsius, TimeSpan};
use serde::Serialize;

use crate::view::{Cell, Table, TableColumn, TextFormat, Tone, View};

/// The precision of times in the text form.
const SECOND: TimeSpan = TimeSpan::from_secs(1);

/// The moves of the ladder and their result: `bij simulate`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Simulated {
    lines: Vec<SimulatedLine>,
}

/// A line of the JSON.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum SimulatedLine {
    Move(SimulatedMove),
    End(SimulatedEnd),
}

/// One move of the ladder.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SimulatedMove {
    seconds: f64,
    step: &'static str,
    level: &'static str,
    experiment: Option<String>,
    /// The cap of processor time; 100 is one processor.
    to_percent: Option<f64>,
    to_hertz: Option<u64>,
    zone: Option<String>,
    celsius: Option<f64>,
    soon_celsius: Option<f64>,
    text: String,
    #[serde(skip)]
    at: TimeSpan,
    #[serde(skip)]
    because: String,
}

/// The end of a simulation.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SimulatedEnd {
    seconds: f64,
    step: &'static str,
    level: &'static str,
    moves: usize,
    hottest_celsius: Option<f64>,
    /// The work done, relative to the constant load that just holds the throttle temperature.
    pub(crate) work_percent: Option<f64>,
    /// The same, if all experiments stop at that temperature and start again ten degrees below.
    pub(crate) all_or_nothing_percent: Option<f64>,
    #[serde(skip)]
    at: TimeSpan,
    #[serde(skip)]
    hottest: Option<Celsius>,
}

impl Simulated {
    pub(crate) fn new(
        moves: Vec<(TimeSpan, ThermalLevel, ThermalDecision)>,
        end: SimulatedEnd,
    ) -> Self {
        let moves = moves.into_iter().map(|(at, level, one)| SimulatedMove::new(at, &level, &one));
        let lines = moves.map(SimulatedLine::Move).chain([SimulatedLine::End(end)]).collect();
        Self { lines }
    }

    /// Returns the moves and the end, as lines of JSON.
    pub(crate) fn lines(&self) -> &[SimulatedLine] {
        &self.lines
    }
}

impl SimulatedMove {
    fn new(at: TimeSpan, level: &ThermalLevel, one: &ThermalDecision) -> Self {
        let ThermalDecision { action, reason } = one;
        let (zone, celsius, soon) = match reason {
            ThermalReason::Zone { zone, celsius, soon } => {
                (Some(zone.clone()), Some(celsius.degrees()), Some(soon.degrees()))
            }
            ThermalReason::TooHotFor { celsius, .. } => (None, Some(celsius.degrees()), None),
            ThermalReason::Unreadable(_) | ThermalReason::NoZones => (None, None, None),
        };
        let to_percent = match action {
            ThermalAction::Restrain { change: RestraintChange::Cap(to), .. } => {
                u32::try_from(to.permyriad()).ok()
            }
            _ => None,
        };
        let to_hertz = match action {
            ThermalAction::CapGpu { to } => Some(to.get()),
            _ => None,
        };
        Self {
            seconds: at.as_secs_f64(),
            step: action.name(),
            level: level.name(),
            experiment: action.experiment().map(ToString::to_string),
            to_percent: to_percent.map(|permyriad| f64::from(permyriad) / 100.0),
            to_hertz,
            zone,
            celsius,
            soon_celsius: soon,
            text: action.to_string(),
            at,
            because: reason.to_string(),
        }
    }

    fn tone(&self) -> Tone {
        match self.level {
            "critical" => Tone::Bad,
            "normal" => Tone::Good,
            _ => Tone::Busy,
        }
    }
}

impl SimulatedEnd {
    /// Creates the end of a simulation that has lasted for `at`.
    pub(crate) fn new(
        at: TimeSpan,
        hottest: Option<Celsius>,
        level: &ThermalLevel,
        moves: usize,
    ) -> Self {
        Self {
            seconds: at.as_secs_f64(),
            step: "end",
            level: level.name(),
            moves,
            hottest_celsius: hottest.map(Celsius::degrees),
            work_percent: None,
            all_or_nothing_percent: None,
            at,
            hottest,
        }
    }
}

impl View for Simulated {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        let columns = [
            TableColumn::right("AFTER"),
            TableColumn::left("LEVEL"),
            TableColumn::left("THE LADDER").flexible(),
            TableColumn::left("BECAUSE").flexible(),
        ];
        let mut table = Table::new(columns);
        let mut has_moves = false;
        for line in &self.lines {
            let SimulatedLine::Move(one) = line else { continue };
            has_moves = true;
            table.row([
                one.at.truncated_to(SECOND).to_string().into(),
                Cell::new(one.tone(), one.level),
                one.text.as_str().into(),
                one.because.as_str().into(),
            ]);
        }
        if has_moves {
            table.write(out, format)?;
            writeln!(out)?;
        }
        self.lines.iter().try_for_each(|line| match line {
            SimulatedLine::Move(_) => Ok(()),
            SimulatedLine::End(end) => end.text(out, format),
        })
    }
}

impl View for SimulatedLine {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        match self {
            Self::Move(one) => writeln!(out, "{}: {}", one.because, one.text),
            Self::End(end) => end.text(out, format),
        }
    }
}

impl SimulatedEnd {
    fn text(&self, out: &mut dyn Write, _: &TextFormat) -> io::Result<()> {
        let moves = match self.moves {
            0 => "No move".to_owned(),
            1 => "1 move".to_owned(),
            moves => format!("{moves} moves"),
        };
        write!(out, "{moves} in {}", self.at.truncated_to(SECOND))?;
        match self.hottest {
            Some(hottest) => writeln!(out, "; the highest temperature was {hottest}.")?,
            None => writeln!(out, "; the temperature is not known.")?,
        }
        if let (Some(work), Some(other)) = (self.work_percent, self.all_or_nothing_percent) {
            writeln!(
                out,
                "Work done: {work} % of the constant load that just holds the throttle temperature; \
                 {other} % if all experiments were stopped and started again."
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bij_core::Percent;
    use insta::{assert_json_snapshot, assert_snapshot};

    use super::*;

    fn simulated() -> Simulated {
        let experiment = bij_core::ExperimentId::new("amnesiac_001").unwrap();
        let zone = |celsius, soon| ThermalReason::Zone {
            zone: "tj".to_owned(),
            celsius: Celsius::from_millis(celsius),
            soon: Celsius::from_millis(soon),
        };
        let at = |seconds: u64| TimeSpan::from_millis(seconds * 1_000 + 250);
        let to = Percent::new(350);
        let moves = vec![
            (
                at(170),
                ThermalLevel::Hold,
                ThermalDecision { action: ThermalAction::Hold, reason: zone(71_400, 72_600) },
            ),
            (
                at(181),
                ThermalLevel::Throttle,
                ThermalDecision {
                    action: ThermalAction::restrain(&experiment, RestraintChange::Cap(to)),
                    reason: zone(75_000, 75_100),
                },
            ),
            (
                at(4000),
                ThermalLevel::Normal,
                ThermalDecision {
                    action: ThermalAction::restrain(&experiment, RestraintChange::Uncap),
                    reason: zone(50_000, 50_000),
                },
            ),
            (
                at(5000),
                ThermalLevel::Blind("cannot read it: gone".to_owned()),
                ThermalDecision {
                    action: ThermalAction::Hold,
                    reason: ThermalReason::Unreadable("cannot read it: gone".to_owned()),
                },
            ),
        ];
        let hottest = Some(Celsius::from_millis(75_300));
        let mut end = SimulatedEnd::new(at(7200), hottest, &ThermalLevel::Normal, moves.len());
        end.work_percent = Some(98.5);
        end.all_or_nothing_percent = Some(37.5);
        Simulated::new(moves, end)
    }

    fn text(simulated: &Simulated, width: Option<usize>) -> String {
        let mut out = Vec::new();
        simulated.text(&mut out, &TextFormat { width, ..TextFormat::for_test() }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_move_is_shown_with_its_reason_and_the_end() {
        assert_snapshot!(text(&simulated(), None));
        assert_snapshot!(text(&simulated(), Some(60)));
        assert_json_snapshot!(simulated().lines());
    }

    #[test]
    fn a_simulation_without_moves_says_so() {
        let end = SimulatedEnd::new(TimeSpan::from_secs(60), None, &ThermalLevel::Normal, 0);
        let nothing = text(&Simulated::new(Vec::new(), end), None);
        assert_eq!(nothing, "No move in 1min; the temperature is not known.\n");
    }
}
