//! Attempts, each with its cause and the evidence.

use std::io::{self, Write};
use std::rc::Rc;

use bij_core::{Attempt, BootId, Cause, Exit, ExperimentId, InvocationId, Timestamp};
use serde::Serialize;

use super::attempt_board::AttemptBoardView;
use super::evidence::EvidenceView;
use super::status::cause_tone;
use super::table::{Cell, Column, Ruled, Ruler, Table};
use super::{Format, Tone, View, attempt_board, proof, time};

/// A table of attempts, oldest first: `bij history`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct History(Vec<AttemptRow>);

#[derive(Clone, Debug, Serialize)]
struct AttemptRow {
    /// The experiment, in the history of several experiments.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<ExperimentId>,
    run: u32,
    attempt: u32,
    boot_id: BootId,
    invocation_id: InvocationId,
    started: Timestamp,
    ended: Option<Timestamp>,
    cause: Option<Cause>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    evidence: Option<EvidenceView>,
    board: Option<AttemptBoardView>,
    #[serde(skip)]
    whole: Attempt,
}

impl History {
    /// Creates the history of one experiment, without ids in the JSON.
    pub(crate) fn of_one(attempts: Vec<Attempt>) -> Self {
        Self(attempts.into_iter().map(|attempt| AttemptRow::new(attempt, false)).collect())
    }

    /// Creates the history of several experiments, with ids in the JSON.
    pub(crate) fn of_several(attempts: Vec<Attempt>) -> Self {
        Self(attempts.into_iter().map(|attempt| AttemptRow::new(attempt, true)).collect())
    }

    /// Whether there is no attempt.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl AttemptRow {
    fn new(attempt: Attempt, named: bool) -> Self {
        let end = attempt.end.as_ref();
        let exit = end.and_then(|end| end.evidence.exit);
        Self {
            id: named.then(|| attempt.run.experiment.clone()),
            run: attempt.run.number.0,
            attempt: attempt.number.0,
            boot_id: attempt.key.boot,
            invocation_id: attempt.key.invocation,
            started: attempt.started,
            ended: end.map(|end| end.at),
            cause: end.map(|end| end.cause),
            exit_code: exit.and_then(Exit::code),
            signal: exit.and_then(Exit::signal),
            evidence: end.map(|end| EvidenceView::from(&end.evidence)),
            board: attempt.board.as_ref().map(AttemptBoardView::from),
            whole: attempt,
        }
    }

    fn cells(&self, format: &Format) -> [Cell<'_>; 7] {
        let end = self.whole.end.as_ref();
        let took = if let Some(end) = end {
            end.ran_for(self.started)
        } else {
            let age = format.boot.get().and_then(|(boot, uptime)| self.whole.age(boot, uptime));
            age.or_else(|| format.now.since(self.started))
        };
        let cause = end.map_or_else(
            || Cell::new(Tone::Busy, "open"),
            |end| Cell::new(cause_tone(end), end.cause.as_str()),
        );
        [
            self.whole.run.to_string().into(),
            self.attempt.to_string().into(),
            time::short(self.started, format).into(),
            took.map_or_else(String::new, time::rough).into(),
            cause,
            self.whole.board.as_ref().map_or_else(String::new, attempt_board::short).into(),
            end.map_or_else(String::new, proof::short).into(),
        ]
    }
}

impl View for History {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(columns());
        self.0.iter().for_each(|row| table.row(row.cells(format)));
        table.write(out, format)
    }
}

const fn columns() -> [Column; 7] {
    [
        Column::left("RUN"),
        Column::right("ATTEMPT"),
        Column::left("STARTED").dispensable(2),
        Column::right("TOOK").dispensable(1),
        Column::left("CAUSE"),
        Column::left("BOARD").dispensable(3),
        Column::left("PROOF").flexible(),
    ]
}

/// Measures the columns of a history that is not held in memory.
pub(crate) struct HistoryRuler {
    ruler: Ruler,
    format: Format,
}

impl HistoryRuler {
    /// Creates a ruler that has measured no attempts.
    pub(crate) fn new(format: Format) -> Self {
        Self { ruler: Ruler::new(columns()), format }
    }

    /// Measures the attempts of a piece.
    pub(crate) fn measure(&mut self, piece: &History) {
        piece.0.iter().for_each(|row| self.ruler.measure(&row.cells(&self.format)));
    }

    /// The table for pieces of the same history.
    pub(crate) fn fit(self) -> RuledHistory {
        RuledHistory { ruled: Rc::new(self.ruler.fit(self.format.width)), is_begun: false }
    }
}

/// A table that is written piece by piece.
pub(crate) struct RuledHistory {
    ruled: Rc<Ruled>,
    is_begun: bool,
}

impl RuledHistory {
    /// Returns the next piece of the table; the first one has the titles.
    pub(crate) fn next(&mut self, piece: History) -> HistoryPiece {
        let has_titles = !std::mem::replace(&mut self.is_begun, true);
        HistoryPiece { rows: piece, ruled: Some(Rc::clone(&self.ruled)), has_titles }
    }
}

/// A piece of a history: some rows of the table, and in JSON an array of them.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct HistoryPiece {
    rows: History,
    #[serde(skip)]
    ruled: Option<Rc<Ruled>>,
    #[serde(skip)]
    has_titles: bool,
}

impl From<History> for HistoryPiece {
    /// Creates a piece that is only printed as JSON.
    fn from(rows: History) -> Self {
        Self { rows, ruled: None, has_titles: false }
    }
}

impl View for HistoryPiece {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        let Some(ruled) = &self.ruled else { return self.rows.text(out, format) };
        if self.has_titles {
            ruled.titles(out, format)?;
        }
        self.rows.0.iter().try_for_each(|row| ruled.row(out, format, &row.cells(format)))
    }
}

#[cfg(test)]
mod tests;
