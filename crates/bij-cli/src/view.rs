//! Views: data as text for people and as JSON for programs. Pure.

mod attempt_board;
mod board;
mod board_minutes;
mod board_samples;
mod boot_clock;
mod capacity;
mod checked;
mod dry_run;
mod ended;
mod escape;
mod event;
mod evidence;
mod format;
mod gate;
mod gpu_share;
mod groups;
mod history;
mod list;
mod live_line;
mod local_zone;
mod logs;
mod outcomes;
mod output;
mod overrides;
mod power;
mod proof;
mod queue;
mod runs;
mod show;
mod simulated;
mod status;
mod table;
mod time;
mod waiting_run;
mod why;

use std::io::{self, Write};

use serde::Serialize;

pub(crate) use board::{BoardPage, TimedBoard};
pub(crate) use board_minutes::BoardMinutes;
pub(crate) use board_samples::BoardSamples;
pub(crate) use boot_clock::BootClock;
pub(crate) use capacity::{capacity_line, coordinator_warnings};
pub(crate) use checked::{Checked, CheckedDefinition, Finding};
pub(crate) use dry_run::{DryRun, DryRuns};
pub(crate) use ended::{EndedRun, EndedRuns};
pub(crate) use escape::{for_terminal, in_json};
pub(crate) use event::EventLine;
pub(crate) use format::{Format, Tone};
pub(crate) use gpu_share::GpuShare;
pub(crate) use groups::Groups;
pub(crate) use history::{History, HistoryPiece, HistoryRuler};
pub(crate) use list::List;
pub(crate) use live_line::{LiveLine, LiveState};
pub(crate) use local_zone::LocalZone;
pub(crate) use logs::LogRow;
pub(crate) use outcomes::{Effect, UnitOutcome, UnitOutcomes};
pub(crate) use output::output_line;
pub(crate) use overrides::settings_with_overrides;
pub(crate) use power::PowerPage;
pub(crate) use proof::describe_end;
pub(crate) use queue::QueueList;
pub(crate) use runs::{ChangeResult, ChangedRuns, RunEntries};
pub(crate) use show::{AllProperties, Properties, Setting};
pub(crate) use simulated::{Simulated, SimulatedEnd};
pub(crate) use status::{DefinitionInfo, ExperimentFacts, Status, StatusPage, StatusPages, Steps};
pub(crate) use waiting_run::WaitingRun;
pub(crate) use why::WhyPage;

/// Data that can be printed as text or as JSON; its `Serialize` is the JSON that docs/json.md specifies.
pub(crate) trait View: Serialize {
    /// Writes the data as text.
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()>;
}
