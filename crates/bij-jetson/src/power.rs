//! Controls the power mode and the clocks of a board, for all callers.
//!
//! nvpmodel records only one mode: the one that it set last, which is also the one of the next boot. Recording
//! another mode for the next boot overwrites the mode in force. So bij notes the mode in force in a directory that
//! does not outlive the boot. The note is valid until another mode is set.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bij_core::Outcome;

use crate::files::Root;
use crate::nvpmodel::verify_mode;
use crate::{
    CurrentMode, JetsonClocks, ModeSource, Nvpmodel, OfferedMode, PowerConf, PowerModes,
    SwitchError,
};

/// Controls the power mode and the clocks of a board.
#[derive(Clone, Debug)]
pub struct PowerControl {
    root: Root,
    nvpmodel: Nvpmodel,
    clocks: JetsonClocks,
    /// File with the mode in force and the different mode of the next boot.
    note_file: PathBuf,
}

/// The result of setting a mode; its `Display` is a fragment without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModeSet {
    /// The number of the mode.
    pub id: u32,
    /// The name of the mode.
    pub name: String,
    /// When the mode takes effect.
    pub since: ModeSince,
    /// Whether the order changed anything.
    pub outcome: Outcome,
}

/// When a mode takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeSince {
    /// The mode is in force.
    Now,
    /// The mode takes effect at the next boot.
    NextBoot,
}

impl ModeSet {
    /// Creates the result of setting a mode, as for a program that has it set by another one.
    pub fn new(id: u32, name: String, since: ModeSince, outcome: Outcome) -> Self {
        Self { id, name, since, outcome }
    }
}

impl std::fmt::Display for ModeSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = &self.name;
        match (self.since, self.outcome) {
            (ModeSince::Now, Outcome::Changed) => write!(f, "the board is in power mode {name}"),
            (ModeSince::Now, Outcome::Unchanged) => {
                write!(f, "the board was in power mode {name} already")
            }
            (ModeSince::NextBoot, Outcome::Changed) => {
                write!(f, "the next boot comes up in power mode {name}")
            }
            (ModeSince::NextBoot, Outcome::Unchanged) => {
                write!(f, "the next boot comes up in power mode {name} anyway")
            }
        }
    }
}

/// The mode in force and a different mode of the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ModeNote {
    in_force: u32,
    at_next_boot: u32,
}

impl PowerControl {
    /// Creates the control from the tools below a root and a directory that does not outlive the boot.
    pub fn below(root: impl AsRef<Path>, runtime: impl AsRef<Path>) -> Self {
        let (root, runtime) = (root.as_ref(), runtime.as_ref());
        Self {
            root: Root::new(root),
            nvpmodel: Nvpmodel::below(root),
            clocks: JetsonClocks::below(root, runtime.join("jetson-clocks")),
            note_file: runtime.join("power-mode-at-next-boot"),
        }
    }

    /// Returns the control of the clocks.
    pub const fn clocks(&self) -> &JetsonClocks {
        &self.clocks
    }

    /// Reads the modes from files: no tool is run and nothing is changed.
    pub fn modes(&self) -> PowerModes {
        PowerModes::read(&self.root)
    }

    /// Returns the mode in force. Without a note this runs nvpmodel, which takes a tenth of a second; without an answer
    /// of nvpmodel, its recorded mode is used. `None` if the mode is unknown, or the masks of the GPU and the CPUs
    /// online contradict it.
    pub fn current(&self, modes: &PowerModes) -> Option<CurrentMode> {
        let named = self.reported_mode(modes)?;
        match PowerConf::read(&self.root) {
            Ok(conf) => verify_mode(&self.root, &conf, named).ok(),
            Err(_) => Some(named),
        }
    }

    /// Returns the mode in force as a note, nvpmodel or its record names it.
    fn reported_mode(&self, modes: &PowerModes) -> Option<CurrentMode> {
        let at_next_boot = modes.recorded.as_ref().ok();
        let Some(note) = self.valid_note(at_next_boot.map(|mode| mode.id)) else {
            return self.nvpmodel.query().ok().or(at_next_boot.cloned());
        };
        let offered = modes.offered.as_ref().ok();
        let named = offered.and_then(|all| all.iter().find(|mode| mode.id == note.in_force));
        let name = named.map(|mode| mode.name.clone());
        Some(CurrentMode { id: note.in_force, name, source: ModeSource::Noted })
    }

    /// Returns the number of the mode in force.
    pub fn in_force(&self, modes: &PowerModes) -> Option<u32> {
        self.current(modes).map(|mode| mode.id)
    }

    /// Sets the time limit of nvpmodel.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.nvpmodel = self.nvpmodel.with_limit(limit);
        self
    }

    /// Finds a mode by its name or number, as people write them.
    ///
    /// # Errors
    /// [`SwitchError`] if there is no such mode, or no modes at all.
    pub fn find(&self, wanted: &str) -> Result<OfferedMode, SwitchError> {
        let conf = PowerConf::read(&self.root).map_err(SwitchError::without_modes)?;
        let id = conf.find(wanted).map(|mode| mode.id);
        let offered = self.modes().offered.map_err(SwitchError::without_modes)?;
        let found = offered.into_iter().find(|offer| Some(offer.id) == id);
        found.ok_or_else(|| SwitchError::unknown(wanted, &conf))
    }

    /// Switches the mode until the next boot; the mode of the next boot stays as it is. Held clocks are released first.
    ///
    /// # Errors
    /// [`SwitchError`]; see [`Nvpmodel::switch`].
    pub fn switch(&self, id: u32) -> Result<Outcome, SwitchError> {
        let Some(note) = self.current_note() else { return self.nvpmodel.switch(id, &self.clocks) };
        if note.in_force == id {
            return Ok(Outcome::Unchanged);
        }
        if note.at_next_boot == id {
            return Err(SwitchError::NeedsReboot { id });
        }
        let outcome = self.nvpmodel.switch(id, &self.clocks)?;
        self.set_mode_at_next_boot(ModeNote { in_force: id, ..note })?;
        Ok(outcome)
    }

    /// Sets a mode permanently. A mode that needs a reboot is set for the next boot, if `allow_reboot_later`; nothing
    /// is rebooted.
    ///
    /// # Errors
    /// [`SwitchError`]; see [`Nvpmodel::switch`].
    pub fn set(
        &self,
        mode: &OfferedMode,
        allow_reboot_later: bool,
    ) -> Result<ModeSet, SwitchError> {
        let mode_set =
            |since, outcome| Ok(ModeSet { id: mode.id, name: mode.name.clone(), since, outcome });
        match self.current_note() {
            Some(note) if note.at_next_boot == mode.id && allow_reboot_later => {
                return mode_set(ModeSince::NextBoot, Outcome::Unchanged);
            }
            Some(note) if note.at_next_boot == mode.id => {
                return Err(SwitchError::NeedsReboot { id: mode.id });
            }
            Some(note) if note.in_force == mode.id => {
                // The mode of the next boot is replaced.
                self.nvpmodel.set_at_next_boot(mode.id)?;
                return mode_set(ModeSince::Now, Outcome::Changed);
            }
            Some(_) | None => {}
        }
        match self.nvpmodel.switch(mode.id, &self.clocks) {
            Err(SwitchError::NeedsReboot { id }) if allow_reboot_later => {
                match self.in_force(&self.modes()) {
                    Some(in_force) => {
                        self.set_mode_at_next_boot(ModeNote { in_force, at_next_boot: id })?;
                    }
                    None => self.nvpmodel.set_at_next_boot(id)?,
                }
                mode_set(ModeSince::NextBoot, Outcome::Changed)
            }
            switched => mode_set(ModeSince::Now, switched?),
        }
    }

    /// Notes the mode in force, and records the other mode for the next boot.
    fn set_mode_at_next_boot(&self, note: ModeNote) -> Result<(), SwitchError> {
        let ModeNote { in_force, at_next_boot } = note;
        let write = || -> io::Result<()> {
            if let Some(directory) = self.note_file.parent() {
                fs::create_dir_all(directory)?;
            }
            fs::write(&self.note_file, format!("{in_force} {at_next_boot}\n"))
        };
        // The note comes first: it is invalid until nvpmodel's own record matches it.
        write().map_err(SwitchError::NotNoted)?;
        self.nvpmodel.set_at_next_boot(at_next_boot)
    }

    fn current_note(&self) -> Option<ModeNote> {
        self.valid_note(self.modes().recorded.ok().map(|mode| mode.id))
    }

    /// Returns the note, if it matches nvpmodel's record, that is, if no other mode was set since.
    fn valid_note(&self, at_next_boot: Option<u32>) -> Option<ModeNote> {
        let text = fs::read_to_string(&self.note_file).ok()?;
        let (in_force, noted) = text.trim().split_once(' ')?;
        let note = ModeNote { in_force: in_force.parse().ok()?, at_next_boot: noted.parse().ok()? };
        (Some(note.at_next_boot) == at_next_boot).then_some(note)
    }
}
