//! Assigns the board's power mode, which all runs share.
//!
//! Runs that ask for the same mode, or for none, share the board. A run that asks for another mode waits
//! until the runs that conflict with it have ended; meanwhile no further conflicting run starts. Then the
//! board is switched, which takes a second, and the run starts when the switch has been reported. A failed
//! switch, or a mode that needs a reboot, delays only the runs that ask for that mode.
//!
//! The clocks are shared as well but are no gate: without them a run is slower, not wrong.

use std::collections::BTreeMap;
use std::fmt;

use bij_core::RunId;
use bij_core::queue::{ClosedGate, QueueState, QueuedRun};
use bij_core::spec::{Clocks, PowerModeRef};

use super::{Observation, State};
use crate::heat::Level;

/// Power modes of the board, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PowerModeStatus {
    /// Modes of the board; empty on a board without power modes.
    pub offered: Vec<PowerModeOption>,
    /// Reason why the modes are not known, on a board that should have some.
    pub trouble: Option<PowerModesUnknown>,
    /// Mode in force, if it is known.
    pub current: Option<u32>,
    /// Mode after the next boot.
    pub at_next_boot: Option<u32>,
    /// Target of the switch under way.
    pub switching: Option<u32>,
    /// Modes to which a switch has failed, each with the error.
    pub failed: BTreeMap<u32, String>,
    /// Mode that was in force before the first switch for a run.
    pub before: Option<u32>,
}

/// Reason why the power modes of a board are not known; `Display` gives a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerModesUnknown {
    /// Their list could not be read; a later read may succeed.
    Unread(String),
    /// Their list was read and holds no mode that bij understands; only a change of the file helps.
    NoneUnderstood(String),
}

impl fmt::Display for PowerModesUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread(why) | Self::NoneUnderstood(why) => f.write_str(why),
        }
    }
}

/// Power mode and clocks that the board should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PowerTarget {
    /// Power mode to switch to now, if any.
    pub mode: Option<u32>,
    /// Runs for which the clocks are held at their maximum; with none, the clocks are released.
    pub clocks: Vec<RunId>,
}

/// A power mode that the board offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerModeOption {
    /// Number of the mode in nvpmodel's configuration.
    pub id: u32,
    /// Name of the mode in nvpmodel's configuration.
    pub name: String,
    /// Whether the mode takes effect only after a reboot.
    pub needs_reboot: bool,
}

impl PowerModeStatus {
    fn find(&self, wanted: &PowerModeRef) -> Option<&PowerModeOption> {
        self.offered.iter().find(|offer| match wanted {
            PowerModeRef::Number(number) => offer.id == *number,
            // NVIDIA writes MODE_30W here and 30W there.
            PowerModeRef::Name(name) => plain(&offer.name) == plain(name),
        })
    }

    /// Returns why a mode is not among those of the board.
    fn why_unknown(&self) -> String {
        let names =
            || self.offered.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
        let trouble = self.trouble.as_ref().map(ToString::to_string);
        trouble.unwrap_or_else(|| format!("this board has {}", names()))
    }

    /// Returns why the board can never be in a mode while its list of modes stays as it is; `None` if it can, or
    /// if the list is not known.
    pub(super) fn rules_out(&self, wanted: &PowerModeRef) -> Option<String> {
        let is_known = match &self.trouble {
            Some(PowerModesUnknown::Unread(_)) => false,
            Some(PowerModesUnknown::NoneUnderstood(_)) => true,
            // A board without a list has only one mode.
            None => !self.offered.is_empty(),
        };
        (is_known && self.find(wanted).is_none()).then(|| self.why_unknown())
    }

    fn name(&self, id: u32) -> String {
        let offer = self.offered.iter().find(|offer| offer.id == id);
        offer.map_or_else(|| id.to_string(), |offer| offer.name.clone())
    }

    /// Returns whether the mode itself allows a switch to it now.
    fn is_switchable_to(&self, offer: &PowerModeOption) -> bool {
        !offer.needs_reboot && !self.failed.contains_key(&offer.id) && self.switching.is_none()
    }
}

fn plain(name: &str) -> String {
    name.to_uppercase().trim_start_matches("MODE_").to_owned()
}

/// Assignment of the power mode while runs are considered in their order.
pub(super) struct PowerModeAssignment<'a> {
    seen: &'a PowerModeStatus,
    /// Runs that are up and ask for a mode.
    up: Vec<(&'a RunId, u32)>,
    /// Run for which the board is reserved: the first that waits for its mode alone.
    reserved: Option<(&'a RunId, u32)>,
    switch_to: Option<u32>,
}

impl<'a> PowerModeAssignment<'a> {
    pub(super) fn new(state: &'a State, seen: &'a Observation) -> Self {
        let seen = &seen.power;
        let wants = |run: &'a QueuedRun| Some((&run.run, seen.find(run.terms.power.as_ref()?)?.id));
        Self { seen, up: state.up().filter_map(wants).collect(), reserved: None, switch_to: None }
    }

    /// Returns the gate of a run, if it is closed.
    pub(super) fn closed(&self, run: &QueuedRun) -> Option<ClosedGate> {
        let wanted = run.terms.power.as_ref()?;
        if self.seen.offered.is_empty() && self.seen.trouble.is_none() {
            // A board without power modes has only one.
            return None;
        }
        let why = match self.seen.find(wanted) {
            Some(offer) => self.blocking_run(&run.run, offer)?,
            None => self.seen.why_unknown(),
        };
        let current = self.seen.current.map(|id| self.seen.name(id));
        Some(ClosedGate::PowerMode { wanted: wanted.to_string(), current, why })
    }

    fn blocking_run(&self, run: &RunId, offer: &PowerModeOption) -> Option<String> {
        let (seen, id) = (self.seen, offer.id);
        let reserved = self.reserved.filter(|(other, mode)| *mode != id && *other != run);
        Some(match (seen.switching, reserved) {
            (Some(to), _) => format!("the board is being switched to {}", seen.name(to)),
            (None, Some((other, mode))) => {
                format!("the board is reserved for {other}, which wants {}", seen.name(mode))
            }
            (None, None) if seen.current == Some(id) => return None,
            (None, None) => match (seen.failed.get(&id), self.runs_in_other_modes(id)) {
                (Some(why), _) => format!("it could not be set: {why}"),
                (None, _) if offer.needs_reboot && seen.at_next_boot == Some(id) => {
                    "it comes with the next boot".to_owned()
                }
                (None, _) if offer.needs_reboot => {
                    let name = &offer.name;
                    format!(
                        "it needs a reboot; `bij power set {name} --allow-reboot-later` has the next boot come up with it"
                    )
                }
                (None, others) if others.is_empty() => {
                    "the board is switched to it first".to_owned()
                }
                (None, others) => format!("another is in force for {}", others.join(", ")),
            },
        })
    }

    /// Returns the runs that are up and ask for another mode.
    fn runs_in_other_modes(&self, id: u32) -> Vec<String> {
        let others = self.up.iter().filter(|(_, mode)| *mode != id);
        others.map(|(run, _)| run.to_string()).collect()
    }

    /// Reserves the board for a run that asks for another mode than the one in force and waits for nothing
    /// else, unless it is reserved already. Returns whether it is now reserved for this run.
    pub(super) fn reserve_for(&mut self, run: &'a QueuedRun) -> bool {
        let wanted = run.terms.power.as_ref().filter(|_| self.reserved.is_none());
        let Some(offer) = wanted.and_then(|wanted| self.seen.find(wanted)) else { return false };
        if self.seen.current == Some(offer.id) || !self.seen.is_switchable_to(offer) {
            return false;
        }
        self.reserved = Some((&run.run, offer.id));
        if self.runs_in_other_modes(offer.id).is_empty() {
            self.switch_to = Some(offer.id);
        }
        true
    }

    /// Counts a run that this decision starts.
    pub(super) fn take(&mut self, run: &'a QueuedRun) {
        let wanted = run.terms.power.as_ref().and_then(|wanted| self.seen.find(wanted));
        self.up.extend(wanted.map(|offer| (&run.run, offer.id)));
    }

    /// Returns the power mode and clocks that the board should have now.
    pub(super) fn target(&self, state: &State, seen: &Observation) -> PowerTarget {
        let mode = self.switch_to.or_else(|| self.mode_to_restore(state));
        PowerTarget { mode, clocks: clocks_for(state, seen) }
    }

    /// Returns the earlier mode if it is to be restored and no run needs the mode in force.
    fn mode_to_restore(&self, state: &State) -> Option<u32> {
        let before = self.seen.before.filter(|_| state.settings.restores_power_mode())?;
        let offer = self.seen.offered.iter().find(|offer| offer.id == before)?;
        let is_wanted = |run: &QueuedRun| {
            let offer = run.terms.power.as_ref().and_then(|wanted| self.seen.find(wanted));
            run.state == QueueState::Waiting
                && offer.is_some_and(|offer| Some(offer.id) == self.seen.current)
        };
        let is_free = self.reserved.is_none()
            && self.runs_in_other_modes(before).is_empty()
            && !state.runs.values().any(is_wanted);
        let is_other = self.seen.current.is_some_and(|current| current != before);
        (is_free && is_other && self.seen.is_switchable_to(offer)).then_some(before)
    }
}

/// Returns the runs that are up and ask for maximum clocks. None while experiments are throttled or may be
/// too hot, because that would only heat the board.
fn clocks_for(state: &State, seen: &Observation) -> Vec<RunId> {
    let is_cool = match seen.warmth.level {
        Level::Normal | Level::Hold => true,
        Level::Throttle | Level::Critical | Level::Blind(_) => false,
    };
    let wants = |run: &&QueuedRun| is_cool && run.terms.clocks == Clocks::Max;
    state.up().filter(wants).map(|run| run.run.clone()).collect()
}

/// Returns a run that is up and asks for another mode than `id`, with the name of that mode.
pub(crate) fn blocking_run(state: &State, seen: &Observation, id: u32) -> Option<(RunId, String)> {
    let up = PowerModeAssignment::new(state, seen).up;
    let (run, mode) = up.into_iter().find(|(_, mode)| *mode != id)?;
    Some((run.clone(), seen.power.name(mode)))
}

/// Returns whether no switch is under way and no run that is up asks for another mode than `id`.
pub(crate) fn is_free_for(state: &State, seen: &Observation, id: u32) -> bool {
    seen.power.switching.is_none()
        && PowerModeAssignment::new(state, seen).runs_in_other_modes(id).is_empty()
}
