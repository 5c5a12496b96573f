//! Why a run does not start now.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Dependency, GroupName};
use crate::{Bytes, Celsius, Percent, RunEnd, RunId, TimeSpan, Timestamp};

/// One closed gate, and since when it keeps the run waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingOn {
    /// Which gate, with its numbers.
    pub gate: ClosedGate,
    /// Since when, as far as the coordinator has seen.
    pub since: Timestamp,
}

/// A gate that is closed, with the numbers that keep it so. Each is one reason of its own; a run
/// starts when none is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClosedGate {
    /// The service manager cannot be asked: nothing can be started, and what is up is not known.
    Manager {
        /// Since when.
        since: Timestamp,
        /// What asking it came to, as a fragment.
        why: String,
    },
    /// Nothing is started any more.
    GoingDown {
        /// What goes down.
        what: GoingDown,
    },
    /// Somebody holds it: `bij release`.
    Hold {
        /// Who.
        by: String,
    },
    /// Admission is paused, of its group or of all.
    Paused {
        /// The group; `None` is all.
        group: Option<GroupName>,
        /// Who.
        by: String,
    },
    /// As many run as may: `MAX_CONCURRENT_EXPERIMENTS`.
    Slots {
        /// How many take a slot.
        taken: u32,
        /// How many there are.
        slots: u32,
    },
    /// As many of its group run as may.
    GroupSlots {
        /// The group.
        group: GroupName,
        /// How many take a slot.
        taken: u32,
        /// How many there are.
        slots: u32,
    },
    /// The claims of those that run leave too little of the budget: `TOTAL_RAM_LIMIT_GB`.
    Memory {
        /// Its claim.
        claim: Bytes,
        /// What is left.
        free: Bytes,
        /// Of this.
        budget: Bytes,
    },
    /// The machine itself has too little memory left (`MemAvailable`, `proc_meminfo(5)`).
    MemoryAvailable {
        /// Its claim, and the reserve.
        need: Bytes,
        /// What is available.
        available: Bytes,
    },
    /// Tasks of the machine stall for memory (PSI, `some avg10`; the kernel's
    /// Documentation/accounting/psi.rst).
    MemoryPressure {
        /// The share of time.
        some: Percent,
        /// The most at which anything is started.
        at_most: Percent,
    },
    /// The GPU is used by others, and one of them or this one wants it alone.
    Gpu {
        /// Who uses it.
        used_by: Vec<RunId>,
    },
    /// The board is too hot: `THROTTLE_TEMP_CELSIUS`, or `[thermal] max_celsius` of its own.
    ///
    /// Or how hot it is cannot be told any more.
    Heat {
        /// How hot it is, or why that cannot be told, as a fragment.
        why: String,
        /// How hot it is where it is hottest, if that can be told.
        celsius: Option<Celsius>,
        /// From here on something is held back.
        limit: Celsius,
    },
    /// The board is in another power mode than it wants: `[power] mode`.
    PowerMode {
        /// The mode that it wants.
        wanted: String,
        /// The mode that is in force, if that is known.
        current: Option<String>,
        /// What keeps the board from it, as a fragment.
        why: String,
    },
    /// Another run has not come to what this one needs.
    Dependency {
        /// What it needs.
        on: Dependency,
        /// How that run has ended otherwise; `None` while it may still come to it.
        ended: Option<RunEnd>,
    },
    /// Its time has not come.
    NotBefore {
        /// When it comes.
        at: Timestamp,
    },
    /// The machine has just booted.
    BootGrace {
        /// How much longer.
        left: TimeSpan,
    },
    /// It is put off after a failed start.
    BackOff {
        /// Until when.
        until: Timestamp,
        /// Why the start failed, as a fragment.
        why: String,
    },
    /// Another run of the same experiment is up.
    SameExperiment {
        /// Which.
        run: RunId,
    },
    /// Its unit is up without it, and on its way down.
    Unit,
    /// A larger run has been passed often enough: the machine is kept free for it.
    Turn {
        /// For which.
        of: RunId,
    },
}

/// What goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GoingDown {
    /// The machine, or the user's session.
    Machine,
    /// The coordinator: it was asked to end.
    Coordinator,
}

impl GoingDown {
    const fn name(self) -> &'static str {
        match self {
            Self::Machine => "the machine",
            Self::Coordinator => "the coordinator",
        }
    }

    /// What starts what waits then.
    const fn next(self) -> &'static str {
        match self {
            Self::Machine => "boot",
            Self::Coordinator => "coordinator",
        }
    }
}

/// A number with its unit, as gates tell them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// Of things, or of bytes.
    Number(u64),
    /// A time, a run, a name.
    Text(String),
}

impl ClosedGate {
    /// The gate's name in output and JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Manager { .. } => "manager",
            Self::GoingDown { .. } => "going-down",
            Self::Hold { .. } => "hold",
            Self::Paused { .. } => "paused",
            Self::Slots { .. } => "slots",
            Self::GroupSlots { .. } => "group-slots",
            Self::Memory { .. } => "memory",
            Self::MemoryAvailable { .. } => "memory-available",
            Self::MemoryPressure { .. } => "memory-pressure",
            Self::Gpu { .. } => "gpu",
            Self::Heat { .. } => "heat",
            Self::PowerMode { .. } => "power-mode",
            Self::Dependency { .. } => "dependency",
            Self::NotBefore { .. } => "not-before",
            Self::BootGrace { .. } => "boot-grace",
            Self::BackOff { .. } => "back-off",
            Self::SameExperiment { .. } => "same-experiment",
            Self::Unit => "unit",
            Self::Turn { .. } => "turn",
        }
    }

    /// What it needs, in the gate's own unit: bytes, slots, a share in percent, a time, a run.
    pub fn need(&self) -> Option<Amount> {
        Some(match self {
            Self::Manager { .. } => Amount::Text("reachable".to_owned()),
            Self::GoingDown { what } => Amount::Text(format!("the next {}", what.next())),
            Self::Hold { .. } => Amount::Text("released".to_owned()),
            Self::Paused { .. } => Amount::Text("resumed".to_owned()),
            Self::Slots { .. } | Self::GroupSlots { .. } | Self::Gpu { .. } => Amount::Number(1),
            Self::Memory { claim, .. } => Amount::Number(claim.get()),
            Self::MemoryAvailable { need, .. } => Amount::Number(need.get()),
            Self::MemoryPressure { at_most, .. } => Amount::Text(at_most.to_string()),
            Self::Heat { limit, .. } => Amount::Text(format!("below {limit}")),
            Self::PowerMode { wanted, .. } => Amount::Text(wanted.clone()),
            Self::Dependency { on, .. } => Amount::Text(on.to_string()),
            Self::NotBefore { at } | Self::BackOff { until: at, .. } => {
                Amount::Text(at.to_string())
            }
            Self::BootGrace { left } => Amount::Text(left.to_string()),
            Self::Unit => Amount::Text("down".to_owned()),
            Self::SameExperiment { .. } | Self::Turn { .. } => return None,
        })
    }

    /// What there is of it.
    pub fn have(&self) -> Option<Amount> {
        Some(match self {
            Self::Hold { by } | Self::Paused { by, .. } => Amount::Text(by.clone()),
            Self::Slots { taken, slots } | Self::GroupSlots { taken, slots, .. } => {
                Amount::Number(u64::from(slots.saturating_sub(*taken)))
            }
            Self::Memory { free, .. } => Amount::Number(free.get()),
            Self::MemoryAvailable { available, .. } => Amount::Number(available.get()),
            Self::MemoryPressure { some, .. } => Amount::Text(some.to_string()),
            Self::Gpu { .. } => Amount::Number(0),
            Self::Heat { celsius, .. } => Amount::Text((*celsius)?.to_string()),
            Self::PowerMode { current, .. } => Amount::Text(current.clone()?),
            Self::Dependency { ended, .. } => Amount::Text((*ended)?.as_str().to_owned()),
            Self::SameExperiment { run } | Self::Turn { of: run } => Amount::Text(run.to_string()),
            Self::Manager { .. }
            | Self::Unit
            | Self::GoingDown { .. }
            | Self::NotBefore { .. }
            | Self::BootGrace { .. }
            | Self::BackOff { .. } => return None,
        })
    }

    /// Whether only room is missing: what runs gives it back when it ends.
    pub const fn is_room(&self) -> bool {
        matches!(
            self,
            Self::Slots { .. }
                | Self::GroupSlots { .. }
                | Self::Memory { .. }
                | Self::MemoryAvailable { .. }
                | Self::Gpu { .. }
        )
    }
}

/// The gate as a sentence, without a full stop.
impl fmt::Display for ClosedGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manager { why, since: _ } => f.write_str(why),
            Self::GoingDown { what } => write!(f, "{} is going down", what.name()),
            Self::Hold { by } => write!(f, "held by {by}"),
            Self::Paused { group: None, by } => write!(f, "admission was paused by {by}"),
            Self::Paused { group: Some(group), by } => {
                write!(f, "admission of group {group} was paused by {by}")
            }
            Self::Slots { taken, slots } => write!(f, "{taken} of {slots} slots are taken"),
            Self::GroupSlots { group, taken, slots } => {
                write!(f, "{taken} of {slots} slots of group {group} are taken")
            }
            Self::Memory { claim, free, budget } => {
                write!(f, "claims {claim} of memory, {free} of the budget of {budget} are free")
            }
            Self::MemoryAvailable { need, available } => {
                write!(f, "needs {need} of memory, the machine has {available} available")
            }
            Self::MemoryPressure { some, at_most } => {
                write!(f, "memory pressure is {some}, nothing starts above {at_most}")
            }
            Self::Gpu { used_by } => {
                let users: Vec<String> = used_by.iter().map(ToString::to_string).collect();
                write!(f, "the GPU is used by {}", users.join(", "))
            }
            Self::Heat { why, celsius: _, limit } => {
                write!(f, "{why}; experiments are held back from {limit} on")
            }
            Self::PowerMode { wanted, why, current: _ } => {
                write!(f, "wants power mode {wanted}: {why}")
            }
            Self::Dependency { on: Dependency { condition, on }, ended } => {
                let what = match condition {
                    super::Condition::Success => "success",
                    super::Condition::End => "end",
                };
                match ended {
                    None => write!(f, "waits for the {what} of {on}"),
                    Some(end) => write!(f, "waits for the {what} of {on}, which ended as {end}"),
                }
            }
            Self::NotBefore { at } => write!(f, "not before {at}"),
            Self::BootGrace { left } => write!(f, "the machine has just booted, {left} to go"),
            Self::BackOff { until, why } => {
                write!(f, "put off until {until} after a failed start: {why}")
            }
            Self::SameExperiment { run } => write!(f, "{run} is up"),
            Self::Unit => f.write_str("its unit has not come down yet"),
            Self::Turn { of } => write!(f, "the machine is kept free for {of}"),
        }
    }
}
