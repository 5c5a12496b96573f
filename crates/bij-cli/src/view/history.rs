//! Attempts and what each ended of.

use std::io::{self, Write};

use bij_core::{Attempt, BootId, Cause, Exit, ExperimentId, InvocationId, Timestamp};
use serde::Serialize;

use super::attempt_board::AttemptBoardView;
use super::evidence::EvidenceView;
use super::status::cause_tone;
use super::table::{Cell, Column, Table};
use super::{Format, Tone, View, attempt_board, proof, time};

/// A table of attempts, oldest first: `bij history`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct History(Vec<Row>);

#[derive(Clone, Debug, Serialize)]
struct Row {
    /// Only where several experiments may be meant.
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
    /// The attempts of one experiment.
    pub(crate) fn of_one(attempts: Vec<Attempt>) -> Self {
        Self(attempts.into_iter().map(|attempt| Row::new(attempt, false)).collect())
    }

    /// The attempts of several experiments, each with its id.
    pub(crate) fn of_several(attempts: Vec<Attempt>) -> Self {
        Self(attempts.into_iter().map(|attempt| Row::new(attempt, true)).collect())
    }

    /// Whether there is no attempt.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Row {
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
        // The clock may have jumped in between: what the witness measured comes first.
        let took = end
            .and_then(|end| end.evidence.ran_for.or_else(|| end.at.since(self.started)))
            .or_else(|| format.now.since(self.started).filter(|_| end.is_none()));
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
        let mut table = Table::new([
            Column::left("RUN"),
            Column::right("ATTEMPT"),
            Column::left("STARTED").dispensable(2),
            Column::right("TOOK").dispensable(1),
            Column::left("CAUSE"),
            Column::left("BOARD").dispensable(3),
            Column::left("PROOF").flexible(),
        ]);
        self.0.iter().for_each(|row| table.row(row.cells(format)));
        table.write(out, format)
    }
}

#[cfg(test)]
mod tests;
