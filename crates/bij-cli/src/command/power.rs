//! `bij power`: the power modes of the board.

use std::io::{self, Write};

use bij_core::Outcome;
use bij_core::port::DefinitionSource as _;
use bij_core::request::{EntryState, PowerModeRequest, PowerSet, QueueQuery};
use bij_jetson::{Hardware, ModeSet, ModeSince, OfferedMode, PowerControl, SwitchError};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::Context;
use crate::coordinator;
use crate::error::{CliError, Kind};
use crate::queue_source::QueueSource;
use crate::view::{Cell, ChangeResult, Table, TableColumn, TextFormat, Tone, View};

/// The arguments of `bij power`.
#[derive(Debug, Args)]
pub(crate) struct PowerArgs {
    /// Without a verb the modes are listed
    #[command(subcommand)]
    verb: Option<PowerVerb>,
}

/// The verbs of `bij power`.
#[derive(Debug, Subcommand)]
enum PowerVerb {
    /// List the power modes of this board: which is in force, and which need a reboot
    List,
    /// Switch the board to a power mode
    Set {
        /// The name or number of the mode
        #[arg(value_name = "MODE")]
        mode: String,
        /// Let the next boot come up in the mode if it needs a reboot; the board is not rebooted
        #[arg(long)]
        allow_reboot_later: bool,
    },
}

/// Lists the modes, or switches the mode.
pub(super) async fn power(context: &Context, args: &PowerArgs) -> Result<(), CliError> {
    match &args.verb {
        None | Some(PowerVerb::List) => list(context),
        Some(PowerVerb::Set { mode, allow_reboot_later }) => {
            let (mode, allow_reboot_later) = (mode.clone(), *allow_reboot_later);
            set(context, PowerModeRequest { mode, allow_reboot_later }).await
        }
    }
}

fn control(context: &Context) -> PowerControl {
    PowerControl::below(&context.root, context.layout.runtime())
}

fn list(context: &Context) -> Result<(), CliError> {
    let control = control(context);
    let modes = control.modes();
    let offered = modes
        .offered
        .as_ref()
        .map_err(|why| to_cli_error(&SwitchError::without_modes(why.clone())))?;
    let at_next_boot = modes.recorded.as_ref().ok().map(|mode| mode.id);
    let in_force = control.in_force(&modes);
    if let (None, Err(why)) = (in_force, &modes.current) {
        context.terminal.status(&format!("The mode in force is not known: {why}."));
    }
    for passed_over in &modes.passed_over {
        context.terminal.status(&format!("Left out: {passed_over}."));
    }
    let clocks = Hardware::open(&context.root).ok().and_then(|board| board.clocks_held().ok());
    context.terminal.show(&PowerPage::new(offered, in_force, at_next_boot, clocks))
}

/// Switches the mode through the coordinator, which decides what runs; directly if no coordinator runs.
async fn set(context: &Context, setting: PowerModeRequest) -> Result<(), CliError> {
    let set = match coordinator::connect_if_any(context).await? {
        Some(client) => to_mode_set(client.set_power_mode(&setting).await?),
        None => set_directly(context, &setting).await?,
    };
    let mut text = set.to_string();
    text.replace_range(..1, &text[..1].to_uppercase());
    context.terminal.status(&format!("{text}."));
    context.terminal.show(&ChangeResult { changed: set.outcome == Outcome::Changed })
}

fn to_mode_set(PowerSet { id, name, at_next_boot, changed }: PowerSet) -> ModeSet {
    let since = if at_next_boot { ModeSince::NextBoot } else { ModeSince::Now };
    let outcome = if changed { Outcome::Changed } else { Outcome::Unchanged };
    ModeSet::new(id, name, since, outcome)
}

async fn set_directly(context: &Context, setting: &PowerModeRequest) -> Result<ModeSet, CliError> {
    let control = control(context);
    let mode = control.find(&setting.mode).map_err(|error| to_cli_error(&error))?;
    // A mode of the next boot does not affect the runs that are up now.
    if mode.needs_reboot != Ok(true) {
        must_not_disturb_runs(context, &control, &mode).await?;
    }
    control.set(&mode, setting.allow_reboot_later).map_err(|error| to_cli_error(&error))
}

/// Fails if a run that is up wants another mode.
async fn must_not_disturb_runs(
    context: &Context,
    control: &PowerControl,
    to: &OfferedMode,
) -> Result<(), CliError> {
    let query = QueueQuery::default();
    let entries = QueueSource::choose(context).await?.queue(&query).await?;
    let up = entries
        .into_iter()
        .filter(|entry| matches!(entry.state, EntryState::Starting | EntryState::Running));
    for entry in up {
        // Without its definition the mode that a run wants is not known.
        let Ok(found) = context.definitions().find(&entry.experiment) else { continue };
        let wanted = found.spec.power.mode.and_then(|mode| control.find(&mode.to_string()).ok());
        if let Some(other) = wanted.filter(|mode| mode.id != to.id) {
            let (name, run) = (&other.name, entry.run.0);
            let text = format!("{}#{run} is up and wants power mode {name}", entry.experiment);
            let hint = format!("stop it first: bij stop {}", entry.experiment);
            return Err(CliError::new(Kind::Failed, text).hint(hint));
        }
    }
    Ok(())
}

/// Returns the error with the kind and the remedy of a refused switch.
fn to_cli_error(error: &SwitchError) -> CliError {
    let kind = match error {
        SwitchError::NoModes | SwitchError::NoConf(_) => Kind::Unsupported,
        SwitchError::UnknownMode { .. } => Kind::Usage,
        _ => Kind::Failed,
    };
    error.remedy().into_iter().fold(CliError::from_error(kind, error), CliError::hint)
}

/// The power modes: `bij power`.
#[derive(Clone, Debug, Serialize)]
struct PowerPage {
    power_modes: Vec<ModeRow>,
    /// Whether all clocks are held at their present rates, if that is known.
    clocks_held: Option<bool>,
}

#[derive(Clone, Debug, Serialize)]
struct ModeRow {
    id: u32,
    name: String,
    in_force: bool,
    at_next_boot: bool,
    needs_reboot: Option<bool>,
}

impl PowerPage {
    /// Creates the page from the offered modes, the one in force, and the one of the next boot.
    pub(crate) fn new(
        offered: &[OfferedMode],
        current: Option<u32>,
        at_next_boot: Option<u32>,
        clocks_held: Option<bool>,
    ) -> Self {
        let row = |mode: &OfferedMode| ModeRow {
            id: mode.id,
            name: mode.name.clone(),
            in_force: current == Some(mode.id),
            at_next_boot: at_next_boot == Some(mode.id),
            needs_reboot: mode.needs_reboot.as_ref().ok().copied(),
        };
        Self { power_modes: offered.iter().map(row).collect(), clocks_held }
    }
}

impl View for PowerPage {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        let mut table = Table::new([
            TableColumn::right("ID"),
            TableColumn::left("MODE"),
            TableColumn::left(""),
        ]);
        for mode in &self.power_modes {
            let (tone, note) = match (mode.in_force, mode.at_next_boot, mode.needs_reboot) {
                (true, ..) => (Tone::Good, "in force"),
                (false, true, _) => (Tone::Busy, "at the next boot"),
                (false, false, Some(true)) => (Tone::Plain, "needs a reboot"),
                (false, false, Some(false)) => (Tone::Plain, ""),
                (false, false, None) => (Tone::Plain, "may need a reboot"),
            };
            let name: Cell<'_> = mode.name.as_str().into();
            table.row([mode.id.to_string().into(), name, Cell::new(tone, note)]);
        }
        table.write(out, format)?;
        if self.clocks_held == Some(true) {
            writeln!(out, "All clocks are held at their present rates.")?;
        }
        Ok(())
    }
}
