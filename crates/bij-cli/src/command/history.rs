//! `bij history`: attempts, each with its cause and the evidence.

mod evidence;

use std::io::{self, Write};
use std::rc::Rc;

use bij_core::port::AttemptScan;
use bij_core::{Attempt, BootId, Cause, Exit, ExperimentId, InvocationId, RunNumber, Timestamp};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;

use crate::args::IdArg;
use crate::complete;
use crate::context::Context;
use crate::error::CliError;
use crate::history_source::HistorySource;
use crate::view::{
    Cell, Ruled, Ruler, Table, TableColumn, TextFormat, Tone, View, cause_tone, proof, time,
};
use evidence::{AttemptBoardView, EvidenceView, describe_board};

/// The arguments of `bij history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Experiments; all if none is given
    #[arg(value_name = "ID", add = ArgValueCandidates::new(complete::ids))]
    ids: Vec<IdArg>,
    /// Show the newest N attempts only
    #[arg(short = 'n', long = "lines", value_name = "N")]
    newest: Option<usize>,
    /// Show one run only
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    run: Option<u32>,
}

/// A stretch of the history.
struct Stretch {
    scan: AttemptScan,
    at_most: usize,
}

/// Shows attempts, oldest first.
///
/// A history can have a million attempts, so no more than a piece is in memory. For a table they are read
/// twice, first to measure the columns.
pub(super) async fn history(context: &Context, args: &HistoryArgs) -> Result<(), CliError> {
    let history = context.history().await?;
    let mut stretches = stretches(&history, args).await?;
    let rows = match args.ids.as_slice() {
        [_] => AttemptTable::of_one,
        [] | [_, _, ..] => AttemptTable::of_several,
    };
    let terminal = context.terminal;
    let mut table = if terminal.is_json() {
        None
    } else {
        let ruler = HistoryRuler::new(terminal.format());
        Some(measure(&history, &mut stretches, ruler, rows).await?.fit())
    };
    let mut shown = terminal.pieces();
    let mut is_empty = true;
    for Stretch { scan, at_most } in stretches {
        let mut pieces = history.scan(scan, at_most);
        while let Some(piece) = pieces.next().await? {
            is_empty = false;
            let piece = rows(piece);
            shown.show(&match &mut table {
                Some(table) => table.next(piece),
                None => HistoryPiece::from(piece),
            })?;
        }
    }
    if is_empty {
        if let [IdArg(id)] = args.ids.as_slice() {
            context.must_exist(id).await?;
        }
        terminal.status("No attempts.");
    }
    shown.end()
}

/// Decides where to begin: in the whole history, or in that of each experiment.
async fn stretches(history: &HistorySource, args: &HistoryArgs) -> Result<Vec<Stretch>, CliError> {
    let ids: Vec<Option<ExperimentId>> = match args.ids.as_slice() {
        [] => vec![None],
        ids => ids.iter().map(|IdArg(id)| Some(id.clone())).collect(),
    };
    let mut stretches = Vec::new();
    for experiment in ids {
        let mut scan = AttemptScan { experiment, run: args.run.map(RunNumber), after: None };
        if let Some(newest) = args.newest {
            let before = history.newest_attempt(scan.experiment.as_ref(), scan.run, newest).await?;
            scan.after = before.map(|attempt| attempt.key);
        }
        stretches.push(Stretch { scan, at_most: args.newest.unwrap_or(usize::MAX) });
    }
    Ok(stretches)
}

/// Measures the columns, and ends each stretch with the last attempt that was measured.
async fn measure(
    history: &HistorySource,
    stretches: &mut [Stretch],
    mut ruler: HistoryRuler,
    rows: fn(Vec<Attempt>) -> AttemptTable,
) -> Result<HistoryRuler, CliError> {
    for Stretch { scan, at_most } in stretches {
        let mut pieces = history.scan(scan.clone(), *at_most);
        *at_most = 0;
        while let Some(piece) = pieces.next().await? {
            *at_most += piece.len();
            ruler.measure(&rows(piece));
        }
    }
    Ok(ruler)
}

/// A table of attempts, oldest first: `bij history`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct AttemptTable(Vec<AttemptRow>);

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

impl AttemptTable {
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

    fn cells(&self, format: &TextFormat) -> [Cell<'_>; 7] {
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
            self.whole.board.as_ref().map_or_else(String::new, describe_board).into(),
            end.map_or_else(String::new, proof::short).into(),
        ]
    }
}

impl View for AttemptTable {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(columns());
        self.0.iter().for_each(|row| table.row(row.cells(format)));
        table.write(out, format)
    }
}

const fn columns() -> [TableColumn; 7] {
    [
        TableColumn::left("RUN"),
        TableColumn::right("ATTEMPT"),
        TableColumn::left("STARTED").dispensable(2),
        TableColumn::right("TOOK").dispensable(1),
        TableColumn::left("CAUSE"),
        TableColumn::left("BOARD").dispensable(3),
        TableColumn::left("PROOF").flexible(),
    ]
}

/// Measures the columns of a history that is not held in memory.
struct HistoryRuler {
    ruler: Ruler,
    format: TextFormat,
}

impl HistoryRuler {
    /// Creates a ruler that has measured no attempts.
    pub(crate) fn new(format: TextFormat) -> Self {
        Self { ruler: Ruler::new(columns()), format }
    }

    /// Measures the attempts of a piece.
    pub(crate) fn measure(&mut self, piece: &AttemptTable) {
        piece.0.iter().for_each(|row| self.ruler.measure(&row.cells(&self.format)));
    }

    /// The table for pieces of the same history.
    pub(crate) fn fit(self) -> RuledHistory {
        RuledHistory { ruled: Rc::new(self.ruler.fit(self.format.width)), is_begun: false }
    }
}

/// A table that is written piece by piece.
struct RuledHistory {
    ruled: Rc<Ruled>,
    is_begun: bool,
}

impl RuledHistory {
    /// Returns the next piece of the table; the first one has the titles.
    pub(crate) fn next(&mut self, piece: AttemptTable) -> HistoryPiece {
        let has_titles = !std::mem::replace(&mut self.is_begun, true);
        HistoryPiece { rows: piece, ruled: Some(Rc::clone(&self.ruled)), has_titles }
    }
}

/// A piece of a history: some rows of the table, and in JSON an array of them.
#[derive(Serialize)]
#[serde(transparent)]
struct HistoryPiece {
    rows: AttemptTable,
    #[serde(skip)]
    ruled: Option<Rc<Ruled>>,
    #[serde(skip)]
    has_titles: bool,
}

impl From<AttemptTable> for HistoryPiece {
    /// Creates a piece that is only printed as JSON.
    fn from(rows: AttemptTable) -> Self {
        Self { rows, ruled: None, has_titles: false }
    }
}

impl View for HistoryPiece {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        let Some(ruled) = &self.ruled else { return self.rows.text(out, format) };
        if self.has_titles {
            ruled.titles(out, format)?;
        }
        self.rows.0.iter().try_for_each(|row| ruled.row(out, format, &row.cells(format)))
    }
}

#[cfg(test)]
mod tests;
