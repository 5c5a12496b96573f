//! The board's power mode, which is one for all.
//!
//! Runs that want the same mode, or none, share the board. One that wants another waits until those
//! that are in its way have ended; meanwhile none behind it starts that would be. Then the board is
//! switched, which takes a second, and it starts when that is told. What keeps a board from a mode (a
//! switch that failed, a reboot that it takes) keeps only those waiting that want it.
//!
//! Its clocks are one set for all as well, but no gate: with others a run is slower and not wrong.

use std::collections::BTreeMap;
use std::fmt;

use bij_core::RunId;
use bij_core::definition::{Clocks, PowerMode};
use bij_core::queue::{ClosedGate, QueueState, QueuedRun};

use super::{Observation, State};
use crate::heat::Level;

/// What is known of the board's power modes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PowerSeen {
    /// What there is to choose from; none on a board without.
    pub offered: Vec<PowerOffer>,
    /// Why that is not known, where there should be some.
    pub trouble: Option<PowerTrouble>,
    /// The mode in force, if that is known.
    pub current: Option<u32>,
    /// The mode that the board comes up with.
    pub at_next_boot: Option<u32>,
    /// The mode that it is being switched to.
    pub switching: Option<u32>,
    /// Switches that have failed, and how.
    pub failed: BTreeMap<u32, String>,
    /// The mode that was in force before it was switched for a run.
    pub before: Option<u32>,
}

/// Why the power modes of a board are not known; its `Display` is a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerTrouble {
    /// Their list could not be read. The next look may find it.
    Unread(String),
    /// Their list was read, and there is no mode in it that is understood. It stays so until the file is changed.
    NoneUnderstood(String),
}

impl fmt::Display for PowerTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread(why) | Self::NoneUnderstood(why) => f.write_str(why),
        }
    }
}

/// How the board is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PowerWish {
    /// The power mode that it is to be switched to now, if any.
    pub mode: Option<u32>,
    /// For whom its clocks are to be held at their highest; for nobody: let go.
    pub clocks: Vec<RunId>,
}

/// A power mode that could be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerOffer {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Whether it takes a reboot to get there.
    pub needs_reboot: bool,
}

impl PowerSeen {
    fn find(&self, wanted: &PowerMode) -> Option<&PowerOffer> {
        self.offered.iter().find(|offer| match wanted {
            PowerMode::Number(number) => offer.id == *number,
            // NVIDIA writes MODE_30W here and 30W there.
            PowerMode::Name(name) => plain(&offer.name) == plain(name),
        })
    }

    /// Why a mode is not among those of the board.
    fn why_unknown(&self) -> String {
        let names =
            || self.offered.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
        let trouble = self.trouble.as_ref().map(ToString::to_string);
        trouble.unwrap_or_else(|| format!("this board has {}", names()))
    }

    /// Why the board can never be in a mode, as long as its list of modes stays as it is; `None` if it can, or if that
    /// is not known.
    pub(super) fn rules_out(&self, wanted: &PowerMode) -> Option<String> {
        let is_known = match &self.trouble {
            Some(PowerTrouble::Unread(_)) => false,
            Some(PowerTrouble::NoneUnderstood(_)) => true,
            // A board without a list has but one way to run.
            None => !self.offered.is_empty(),
        };
        (is_known && self.find(wanted).is_none()).then(|| self.why_unknown())
    }

    fn name(&self, id: u32) -> String {
        let offer = self.offered.iter().find(|offer| offer.id == id);
        offer.map_or_else(|| id.to_string(), |offer| offer.name.clone())
    }

    /// Whether the board can be switched to a mode now, as far as the mode goes.
    fn can_have(&self, offer: &PowerOffer) -> bool {
        !offer.needs_reboot && !self.failed.contains_key(&offer.id) && self.switching.is_none()
    }
}

fn plain(name: &str) -> String {
    name.to_uppercase().trim_start_matches("MODE_").to_owned()
}

/// The board while runs are looked at in their order.
pub(super) struct Board<'a> {
    seen: &'a PowerSeen,
    /// Who is up and wants a mode.
    up: Vec<(&'a RunId, u32)>,
    /// For whom the board is kept: the first that waits for nothing but its mode.
    kept: Option<(&'a RunId, u32)>,
    wish: Option<u32>,
}

impl<'a> Board<'a> {
    pub(super) fn new(state: &'a State, seen: &'a Observation) -> Self {
        let seen = &seen.power;
        let wants = |run: &'a QueuedRun| Some((&run.run, seen.find(run.terms.power.as_ref()?)?.id));
        Self { seen, up: state.up().filter_map(wants).collect(), kept: None, wish: None }
    }

    /// The gate of one run.
    pub(super) fn closed(&self, run: &QueuedRun) -> Option<ClosedGate> {
        let wanted = run.terms.power.as_ref()?;
        if self.seen.offered.is_empty() && self.seen.trouble.is_none() {
            // A board that has but one way to run.
            return None;
        }
        let why = match self.seen.find(wanted) {
            Some(offer) => self.in_the_way(&run.run, offer)?,
            None => self.seen.why_unknown(),
        };
        let current = self.seen.current.map(|id| self.seen.name(id));
        Some(ClosedGate::PowerMode { wanted: wanted.to_string(), current, why })
    }

    fn in_the_way(&self, run: &RunId, offer: &PowerOffer) -> Option<String> {
        let (seen, id) = (self.seen, offer.id);
        let kept = self.kept.filter(|(other, mode)| *mode != id && *other != run);
        Some(match (seen.switching, kept) {
            (Some(to), _) => format!("the board is being switched to {}", seen.name(to)),
            (None, Some((other, mode))) => {
                format!("the board is kept for {other}, which wants {}", seen.name(mode))
            }
            (None, None) if seen.current == Some(id) => return None,
            (None, None) => match (seen.failed.get(&id), self.others_than(id)) {
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

    /// Who is up and wants another mode.
    fn others_than(&self, id: u32) -> Vec<String> {
        let others = self.up.iter().filter(|(_, mode)| *mode != id);
        others.map(|(run, _)| run.to_string()).collect()
    }

    /// Keeps the board for a run that wants another mode, and waits for nothing else, unless it is kept
    /// for one before it. Returns whether it is kept for this one.
    pub(super) fn keep_for(&mut self, run: &'a QueuedRun) -> bool {
        let wanted = run.terms.power.as_ref().filter(|_| self.kept.is_none());
        let Some(offer) = wanted.and_then(|wanted| self.seen.find(wanted)) else { return false };
        if self.seen.current == Some(offer.id) || !self.seen.can_have(offer) {
            return false;
        }
        self.kept = Some((&run.run, offer.id));
        if self.others_than(offer.id).is_empty() {
            self.wish = Some(offer.id);
        }
        true
    }

    /// One that is let start.
    pub(super) fn take(&mut self, run: &'a QueuedRun) {
        let wanted = run.terms.power.as_ref().and_then(|wanted| self.seen.find(wanted));
        self.up.extend(wanted.map(|offer| (&run.run, offer.id)));
    }

    /// How the board is to be now.
    pub(super) fn wish(&self, state: &State, seen: &Observation) -> PowerWish {
        let mode = self.wish.or_else(|| self.back_to(state));
        PowerWish { mode, clocks: clocks_for(state, seen) }
    }

    /// The mode of before, if that is to come back and nobody wants the one in force.
    fn back_to(&self, state: &State) -> Option<u32> {
        let before = self.seen.before.filter(|_| state.settings.restores_power_mode())?;
        let offer = self.seen.offered.iter().find(|offer| offer.id == before)?;
        let is_wanted = |run: &QueuedRun| {
            let offer = run.terms.power.as_ref().and_then(|wanted| self.seen.find(wanted));
            run.state == QueueState::Waiting
                && offer.is_some_and(|offer| Some(offer.id) == self.seen.current)
        };
        let is_free = self.kept.is_none()
            && self.others_than(before).is_empty()
            && !state.runs.values().any(is_wanted);
        let is_other = self.seen.current.is_some_and(|current| current != before);
        (is_free && is_other && self.seen.can_have(offer)).then_some(before)
    }
}

/// For whom the clocks are to be held at their highest: who is up and asks for it. While experiments
/// are held back for heat, or may be too hot, that would only heat the board.
fn clocks_for(state: &State, seen: &Observation) -> Vec<RunId> {
    let is_cool = match seen.warmth.level {
        Level::Normal | Level::Hold => true,
        Level::Throttle | Level::Critical | Level::Blind(_) => false,
    };
    let wants = |run: &&QueuedRun| is_cool && run.terms.clocks == Clocks::Max;
    state.up().filter(wants).map(|run| run.run.clone()).collect()
}

/// One that is up and wants another mode than this, and which.
pub(crate) fn in_the_way(state: &State, seen: &Observation, id: u32) -> Option<(RunId, String)> {
    let up = Board::new(state, seen).up;
    let (run, mode) = up.into_iter().find(|(_, mode)| *mode != id)?;
    Some((run.clone(), seen.power.name(mode)))
}

/// Whether nobody that is up is in the way of a mode.
pub(crate) fn is_free_for(state: &State, seen: &Observation, id: u32) -> bool {
    seen.power.switching.is_none() && Board::new(state, seen).others_than(id).is_empty()
}
