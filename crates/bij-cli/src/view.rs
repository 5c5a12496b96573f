//! What the views of several verbs share: the format of text, tables, times, and data that several verbs show. A view is
//! data as text for people and as JSON for programs. Pure.

mod escape;
mod format;
mod log_row;
pub(crate) mod proof;
mod results;
mod status;
mod table;
pub(crate) mod time;
mod waiting_run;

use std::io::{self, Write};

use serde::Serialize;

pub(crate) use escape::{for_terminal, in_ascii, in_json, is_utf8, last_frame, visible};
pub(crate) use format::{BootClock, LocalZone, TextFormat, Tone};
pub(crate) use log_row::LogRow;
pub(crate) use results::{
    ChangeResult, ChangedRuns, Effect, RunEntries, UnitOutcome, UnitOutcomes,
};
pub(crate) use status::{ExperimentStatus, Steps, cause_tone};
pub(crate) use table::{Cell, Ruled, Ruler, Table, TableColumn};
pub(crate) use waiting_run::{WaitingRun, first_gate};

/// Data that can be printed as text or as JSON; its `Serialize` is the JSON that docs/json.md specifies.
pub(crate) trait View: Serialize {
    /// Writes the data as text.
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()>;
}
