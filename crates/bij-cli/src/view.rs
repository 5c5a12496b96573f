//! How data looks: as text for people, as JSON for programs. Pure.

mod attempt_board;
mod board;
mod board_minutes;
mod board_samples;
mod boot_clock;
mod checked;
mod definition;
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
mod in_force;
mod list;
mod live;
mod load;
mod logs;
mod outcomes;
mod output;
mod power;
mod proof;
mod queue;
mod queued;
mod runs;
mod show;
mod simulated;
mod status;
mod table;
mod time;
mod why;
mod zone;

use std::io::{self, Write};

use serde::Serialize;

pub(crate) use board::{BoardPage, TimedBoard};
pub(crate) use board_minutes::BoardMinutes;
pub(crate) use board_samples::BoardSamples;
pub(crate) use boot_clock::BootClock;
pub(crate) use checked::{Checked, CheckedDefinition, Finding};
pub(crate) use definition::{Setting, settings};
pub(crate) use dry_run::{DryRun, DryRuns};
pub(crate) use ended::{EndedRun, EndedRuns};
pub(crate) use escape::{for_terminal, in_json};
pub(crate) use event::EventLine;
pub(crate) use format::{Format, Tone};
pub(crate) use gpu_share::GpuShare;
pub(crate) use groups::Groups;
pub(crate) use history::{History, HistoryPiece, HistoryRuler};
pub(crate) use in_force::settings_under;
pub(crate) use list::List;
pub(crate) use live::{Live, LiveState};
pub(crate) use load::{taken, warnings};
pub(crate) use logs::LogRow;
pub(crate) use outcomes::{Effect, Outcome, Outcomes};
pub(crate) use output::output_line;
pub(crate) use power::PowerPage;
pub(crate) use proof::describe_end;
pub(crate) use queue::QueueList;
pub(crate) use queued::Queued;
pub(crate) use runs::{ChangedAtAll, ChangedRuns, Taken};
pub(crate) use show::{AllProperties, Properties};
pub(crate) use simulated::{Simulated, SimulatedEnd};
pub(crate) use status::{Facts, Loaded, Status, StatusPage, StatusPages, Steps};
pub(crate) use why::WhyPage;
pub(crate) use zone::Zone;

/// Something that can be printed either way; its `Serialize` is the JSON that docs/json.md promises.
pub(crate) trait View: Serialize {
    /// Writes it for people.
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()>;
}
