//! The power mode and the clocks of one board, for everybody who orders them.
//!
//! Neither tool tells all: nvpmodel writes down one mode, the one that it set last, which is at the same
//! time the one that the next boot comes up with. Whoever has another one written down for the next boot
//! makes it forget what is in force. So that is noted in a directory that does not outlive the boot, and
//! the note counts as long as nobody has set another mode since.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bij_core::Outcome;

use crate::nvpmodel::judge;
use crate::{
    CurrentMode, JetsonClocks, ModeSource, Nvpmodel, OfferedMode, PowerConf, PowerModes, Root,
    SwitchError,
};

/// Orders the power mode and the clocks of a board.
#[derive(Clone, Debug)]
pub struct PowerControl {
    root: Root,
    nvpmodel: Nvpmodel,
    clocks: JetsonClocks,
    /// The mode in force, and the other one that the next boot comes up with.
    note: PathBuf,
}

/// What has come of an order for a mode; its text is a fragment without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeSet {
    /// The mode's number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// From when on.
    pub since: ModeSince,
    /// Whether anything had to be changed.
    pub outcome: Outcome,
}

/// From when on a mode is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeSince {
    /// By now.
    Now,
    /// It comes with the next boot.
    NextBoot,
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

/// Two modes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    in_force: u32,
    at_next_boot: u32,
}

impl PowerControl {
    /// The tools below a root, and a directory for what is to be known up to the next boot.
    pub fn below(root: Root, runtime: &Path) -> Self {
        Self {
            nvpmodel: Nvpmodel::below(root.clone()),
            clocks: JetsonClocks::below(&root, runtime.join("jetson-clocks")),
            note: runtime.join("power-mode-at-next-boot"),
            root,
        }
    }

    /// The clocks.
    pub const fn clocks(&self) -> &JetsonClocks {
        &self.clocks
    }

    /// The modes, as the files tell: nothing is started and nothing is changed.
    pub fn modes(&self) -> PowerModes {
        PowerModes::read(&self.root)
    }

    /// The mode in force. nvpmodel is asked, which takes a tenth of a second, unless it cannot know;
    /// where it has no answer, what it has set last is taken for it. `None` if that is not known, or masks of the GPU
    /// and processors contradict it.
    pub fn current(&self, modes: &PowerModes) -> Option<CurrentMode> {
        let named = self.named(modes)?;
        match PowerConf::read(&self.root) {
            Ok(conf) => judge(&self.root, &conf, named).ok(),
            Err(_) => Some(named),
        }
    }

    /// The mode that is named as the one in force.
    fn named(&self, modes: &PowerModes) -> Option<CurrentMode> {
        let at_next_boot = modes.recorded.as_ref().ok();
        let Some(note) = self.noted(at_next_boot.map(|mode| mode.id)) else {
            return self.nvpmodel.query().ok().or(at_next_boot.cloned());
        };
        let offered = modes.offered.as_ref().ok();
        let named = offered.and_then(|all| all.iter().find(|mode| mode.id == note.in_force));
        let name = named.map(|mode| mode.name.clone());
        Some(CurrentMode { id: note.in_force, name, source: ModeSource::Noted })
    }

    /// The number of the mode in force.
    pub fn in_force(&self, modes: &PowerModes) -> Option<u32> {
        self.current(modes).map(|mode| mode.id)
    }

    /// The same, with another time to nvpmodel's end.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.nvpmodel = self.nvpmodel.with_limit(limit);
        self
    }

    /// A mode by its name or its number, as people write them.
    ///
    /// # Errors
    /// [`SwitchError`] if there is no such mode, or none at all.
    pub fn find(&self, wanted: &str) -> Result<OfferedMode, SwitchError> {
        let conf = PowerConf::read(&self.root).map_err(SwitchError::without_modes)?;
        let id = conf.find(wanted).map(|mode| mode.id);
        let offered = self.modes().offered.map_err(SwitchError::without_modes)?;
        let found = offered.into_iter().find(|offer| Some(offer.id) == id);
        found.ok_or_else(|| SwitchError::unknown(wanted, &conf))
    }

    /// Switches the board for a while: what it is to come up with at the next boot stays so. Clocks that
    /// are held are let go before.
    ///
    /// # Errors
    /// [`SwitchError`], as [`Nvpmodel::switch`] has it.
    pub fn switch(&self, id: u32) -> Result<Outcome, SwitchError> {
        let Some(note) = self.noted_now() else { return self.nvpmodel.switch(id, &self.clocks) };
        if note.in_force == id {
            return Ok(Outcome::Unchanged);
        }
        if note.at_next_boot == id {
            return Err(SwitchError::NeedsReboot { id });
        }
        let outcome = self.nvpmodel.switch(id, &self.clocks)?;
        self.promise(Note { in_force: id, ..note })?;
        Ok(outcome)
    }

    /// Sets a mode because somebody wants it. One that needs a reboot is what the next boot comes up
    /// with, if that is allowed; nothing is rebooted.
    ///
    /// # Errors
    /// [`SwitchError`], as [`Nvpmodel::switch`] has it.
    pub fn set(
        &self,
        mode: &OfferedMode,
        allow_reboot_later: bool,
    ) -> Result<ModeSet, SwitchError> {
        let told =
            |since, outcome| Ok(ModeSet { id: mode.id, name: mode.name.clone(), since, outcome });
        match self.noted_now() {
            Some(note) if note.at_next_boot == mode.id && allow_reboot_later => {
                return told(ModeSince::NextBoot, Outcome::Unchanged);
            }
            Some(note) if note.at_next_boot == mode.id => {
                return Err(SwitchError::NeedsReboot { id: mode.id });
            }
            Some(note) if note.in_force == mode.id => {
                // The other one is not wanted any more.
                self.nvpmodel.set_at_next_boot(mode.id)?;
                return told(ModeSince::Now, Outcome::Changed);
            }
            Some(_) | None => {}
        }
        match self.nvpmodel.switch(mode.id, &self.clocks) {
            Err(SwitchError::NeedsReboot { id }) if allow_reboot_later => {
                match self.in_force(&self.modes()) {
                    Some(in_force) => self.promise(Note { in_force, at_next_boot: id })?,
                    None => self.nvpmodel.set_at_next_boot(id)?,
                }
                told(ModeSince::NextBoot, Outcome::Changed)
            }
            switched => told(ModeSince::Now, switched?),
        }
    }

    /// Notes what is in force, and has the next boot come up with the other.
    fn promise(&self, note: Note) -> Result<(), SwitchError> {
        let Note { in_force, at_next_boot } = note;
        let write = || -> io::Result<()> {
            if let Some(directory) = self.note.parent() {
                fs::create_dir_all(directory)?;
            }
            fs::write(&self.note, format!("{in_force} {at_next_boot}\n"))
        };
        // First the note: it says nothing before nvpmodel's own file says the same.
        write().map_err(SwitchError::NotNoted)?;
        self.nvpmodel.set_at_next_boot(at_next_boot)
    }

    fn noted_now(&self) -> Option<Note> {
        self.noted(self.modes().recorded.ok().map(|mode| mode.id))
    }

    /// What was noted, if nobody has set another mode since.
    fn noted(&self, at_next_boot: Option<u32>) -> Option<Note> {
        let text = fs::read_to_string(&self.note).ok()?;
        let (in_force, noted) = text.trim().split_once(' ')?;
        let note = Note { in_force: in_force.parse().ok()?, at_next_boot: noted.parse().ok()? };
        (Some(note.at_next_boot) == at_next_boot).then_some(note)
    }
}
