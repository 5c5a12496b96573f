//! What the heat ladder would have done.

use std::io::{self, Write};

use bij_coordinator::heat::{Because, HeatMove, HeatStep, Level};
use bij_core::{Celsius, TimeSpan};
use serde::Serialize;

use super::table::{Cell, Column, Table};
use super::{Format, Tone, View};

/// What `bij simulate` has found.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Simulated {
    lines: Vec<SimulatedLine>,
}

/// A line of JSON.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum SimulatedLine {
    Move(SimulatedMove),
    End(SimulatedEnd),
}

/// One step of the ladder.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SimulatedMove {
    seconds: f64,
    step: &'static str,
    level: &'static str,
    experiment: Option<String>,
    /// Of a cap: 100 is one processor.
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

/// How it came out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SimulatedEnd {
    seconds: f64,
    step: &'static str,
    level: &'static str,
    moves: usize,
    hottest_celsius: Option<f64>,
    /// Of the work that the constant load does which just holds the throttle temperature.
    pub(crate) work_percent: Option<f64>,
    /// The same of who stops everything there and starts everything ten degrees below.
    pub(crate) all_or_nothing_percent: Option<f64>,
    #[serde(skip)]
    at: TimeSpan,
    #[serde(skip)]
    hottest: Option<Celsius>,
}

impl Simulated {
    pub(crate) fn new(moves: Vec<(TimeSpan, Level, HeatMove)>, end: SimulatedEnd) -> Self {
        let moves = moves.into_iter().map(|(at, level, one)| SimulatedMove::new(at, &level, &one));
        let lines = moves.map(SimulatedLine::Move).chain([SimulatedLine::End(end)]).collect();
        Self { lines }
    }

    /// Each move, and how it came out.
    pub(crate) fn lines(&self) -> &[SimulatedLine] {
        &self.lines
    }
}

impl SimulatedMove {
    fn new(at: TimeSpan, level: &Level, one: &HeatMove) -> Self {
        let HeatMove { step, because } = one;
        let (zone, celsius, soon) = match because {
            Because::Zone { zone, celsius, soon } => {
                (Some(zone.clone()), Some(celsius.degrees()), Some(soon.degrees()))
            }
            Because::TooHotFor { celsius, .. } => (None, Some(celsius.degrees()), None),
            Because::Unreadable(_) | Because::NoZones => (None, None, None),
        };
        let to_percent = match step {
            HeatStep::Cap { to, .. } => u32::try_from(to.permyriad()).ok(),
            _ => None,
        };
        let to_hertz = match step {
            HeatStep::CapGpu { to } => Some(to.get()),
            _ => None,
        };
        Self {
            seconds: at.as_duration().as_secs_f64(),
            step: step.name(),
            level: level.name(),
            experiment: step.experiment().map(ToString::to_string),
            to_percent: to_percent.map(|permyriad| f64::from(permyriad) / 100.0),
            to_hertz,
            zone,
            celsius,
            soon_celsius: soon,
            text: step.to_string(),
            at,
            because: because.to_string(),
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
    /// After so long, with so many moves.
    pub(crate) fn new(at: TimeSpan, hottest: Option<Celsius>, level: &Level, moves: usize) -> Self {
        Self {
            seconds: at.as_duration().as_secs_f64(),
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
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        let columns = [
            Column::right("AFTER"),
            Column::left("LEVEL"),
            Column::left("THE LADDER").flexible(),
            Column::left("BECAUSE").flexible(),
        ];
        let mut table = Table::new(columns);
        let mut moved = false;
        for line in &self.lines {
            let SimulatedLine::Move(one) = line else { continue };
            moved = true;
            table.row([
                whole_seconds(one.at).to_string().into(),
                Cell::new(one.tone(), one.level),
                one.text.as_str().into(),
                one.because.as_str().into(),
            ]);
        }
        if moved {
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
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        match self {
            Self::Move(one) => writeln!(out, "{}: {}", one.because, one.text),
            Self::End(end) => end.text(out, format),
        }
    }
}

impl SimulatedEnd {
    fn text(&self, out: &mut dyn Write, _: &Format) -> io::Result<()> {
        let moves = match self.moves {
            0 => "No move".to_owned(),
            1 => "1 move".to_owned(),
            moves => format!("{moves} moves"),
        };
        write!(out, "{moves} in {}", whole_seconds(self.at))?;
        match self.hottest {
            Some(hottest) => writeln!(out, "; it was {hottest} at the hottest.")?,
            None => writeln!(out, "; how hot it was is not told.")?,
        }
        if let (Some(work), Some(rival)) = (self.work_percent, self.all_or_nothing_percent) {
            writeln!(
                out,
                "Work done: {work} % of what the constant load does that holds the throttle \
                 temperature; stopping and starting everything would do {rival} %."
            )?;
        }
        Ok(())
    }
}

fn whole_seconds(span: TimeSpan) -> TimeSpan {
    let micros = span.as_micros();
    TimeSpan::from_micros(micros - micros % 1_000_000)
}

#[cfg(test)]
mod tests;
