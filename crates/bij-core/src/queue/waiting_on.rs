//! Closed gates: the reasons why a run waits.

use std::fmt;

use super::{Dependency, GroupName};
use crate::{Bytes, Celsius, Percent, RunEnd, RunId, TimeSpan, Timestamp};

/// A closed gate, and since when a run waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingOn {
    /// The closed gate with its numbers.
    pub gate: ClosedGate,
    /// When the coordinator first found the gate closed.
    pub since: Timestamp,
}

/// A closed gate, with the numbers that explain it. A run starts when none of its gates is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClosedGate {
    /// The service manager cannot be reached, so nothing can be started and the running units are unknown.
    Manager {
        /// Since when it cannot be reached.
        since: Timestamp,
        /// The error as a fragment.
        why: String,
    },
    /// The machine or the coordinator is going down, so nothing is started any more.
    GoingDown {
        /// What is going down.
        what: GoingDown,
    },
    /// The run is held, until `bij release`.
    Hold {
        /// The account that holds it.
        by: String,
    },
    /// Admission is paused, of the run's group or of all runs.
    Paused {
        /// The paused group; `None` is all runs.
        group: Option<GroupName>,
        /// The account that paused it.
        by: String,
    },
    /// All slots are taken: `MAX_CONCURRENT_EXPERIMENTS`.
    Slots {
        /// The number of taken slots.
        taken: u32,
        /// The number of slots.
        slots: u32,
    },
    /// All slots of the run's group are taken.
    GroupSlots {
        /// The group.
        group: GroupName,
        /// The number of taken slots.
        taken: u32,
        /// The number of slots.
        slots: u32,
    },
    /// The claims of the running runs leave too little of the budget: `TOTAL_RAM_LIMIT_GB`.
    Memory {
        /// The claim of the run.
        claim: Bytes,
        /// The free part of the budget.
        free: Bytes,
        /// The whole budget.
        budget: Bytes,
    },
    /// The machine has too little memory available (`MemAvailable`, `proc_meminfo(5)`).
    MemoryAvailable {
        /// The claim of the run plus the reserve.
        need: Bytes,
        /// The available memory.
        available: Bytes,
    },
    /// Tasks stall because of memory pressure (PSI, `some avg10`; the kernel's
    /// Documentation/accounting/psi.rst).
    MemoryPressure {
        /// The share of time in which a task stalled.
        some: Percent,
        /// The highest pressure at which runs start.
        at_most: Percent,
    },
    /// Other runs use the GPU, and one of them or this run needs it exclusively.
    Gpu {
        /// The runs that use it.
        used_by: Vec<RunId>,
    },
    /// The board is too hot, or its temperature cannot be read any more. The limit is
    /// `THROTTLE_TEMP_CELSIUS`, or `[thermal] max_celsius` of the experiment.
    Heat {
        /// The temperature, or why it cannot be read, as a fragment.
        why: String,
        /// The highest temperature, if it can be read.
        celsius: Option<Celsius>,
        /// The temperature from which on starts are on hold.
        limit: Celsius,
    },
    /// The board is not in the power mode that the run needs: `[power] mode`.
    PowerMode {
        /// The mode that the run needs.
        wanted: String,
        /// The mode in force, if it is known.
        current: Option<String>,
        /// Why the board is not switched to it, as a fragment.
        why: String,
    },
    /// Another run has not had the end that this run needs.
    Dependency {
        /// The unmet dependency.
        on: Dependency,
        /// The end of the other run, if it ended in another way; `None` while it may still meet the dependency.
        ended: Option<RunEnd>,
    },
    /// The earliest start of the run has not come.
    NotBefore {
        /// The earliest start.
        at: Timestamp,
    },
    /// The machine has booted recently.
    BootGrace {
        /// The rest of the grace period.
        left: TimeSpan,
    },
    /// The run is delayed after a failed start.
    BackOff {
        /// When the next start is tried.
        until: Timestamp,
        /// Why the start failed, as a fragment.
        why: String,
    },
    /// Another run of the same experiment is starting or running.
    SameExperiment {
        /// That other run.
        run: RunId,
    },
    /// The unit of the experiment is still stopping.
    Unit,
    /// A larger run has been passed often enough, so capacity is kept free for it.
    Turn {
        /// The larger run that is next.
        of: RunId,
    },
}

/// The part of the system that is going down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GoingDown {
    /// The machine, or the user's session.
    Machine,
    /// The coordinator, which was asked to stop.
    Coordinator,
}

impl GoingDown {
    const fn name(self) -> &'static str {
        match self {
            Self::Machine => "the machine",
            Self::Coordinator => "the coordinator",
        }
    }

    /// Returns the event that starts the waiting runs again.
    const fn next(self) -> &'static str {
        match self {
            Self::Machine => "boot",
            Self::Coordinator => "coordinator",
        }
    }
}

/// An amount that a gate needs or has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(untagged))]
pub enum Amount {
    /// A count, or a number of bytes.
    Number(u64),
    /// A time, a run, or a name.
    Text(String),
}

impl ClosedGate {
    /// Returns the name of the gate in output and JSON.
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

    /// Returns what the run needs, in the unit of the gate: bytes, slots, a share in percent, a time, a run.
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

    /// Returns what is available, in the same unit.
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

    /// Returns whether the gate opens when running runs end and release their claims.
    pub const fn is_capacity(&self) -> bool {
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

/// Writes the gate as a sentence without a full stop.
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
