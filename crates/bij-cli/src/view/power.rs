//! The power modes of a board.

use std::io::{self, Write};

use bij_jetson::OfferedMode;
use serde::Serialize;

use super::table::{Cell, Column, Table};
use super::{Format, Tone, View};

/// The power modes: `bij power`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PowerPage {
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
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        let mut table = Table::new([Column::right("ID"), Column::left("MODE"), Column::left("")]);
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
