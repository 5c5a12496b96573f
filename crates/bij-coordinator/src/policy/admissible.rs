//! What is refused when it is submitted, because it could never start.

use bij_core::Bytes;
use bij_core::definition::CoordinatorSettings;
use bij_core::queue::Terms;
use thiserror::Error;

use super::PowerSeen;

/// Why a run could never start on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Inadmissible {
    /// Its claim is larger than the budget of all.
    #[error("claims {claim} of memory, more than the budget of {budget}")]
    OverBudget {
        /// What it claims.
        claim: Bytes,
        /// What all may claim together.
        budget: Bytes,
    },
    /// Its claim leaves too little of the machine.
    #[error(
        "claims {claim} of memory, which leaves less than the reserve of {reserve} of the \
         machine's {total}"
    )]
    OverMachine {
        /// What it claims.
        claim: Bytes,
        /// What must be left over.
        reserve: Bytes,
        /// What the machine has.
        total: Bytes,
    },
    /// The board does not have its power mode.
    #[error("wants power mode {wanted}, and {why}")]
    NoSuchPowerMode {
        /// The mode that it wants.
        wanted: String,
        /// What there is instead.
        why: String,
    },
}

impl Inadmissible {
    /// What helps.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::OverBudget { .. } => {
                "lower [limits] memory of the definition, or raise [coordinator] total_memory \
                 (TOTAL_RAM_LIMIT_GB)"
            }
            Self::OverMachine { .. } => {
                "lower [limits] memory of the definition, or [coordinator] reserve_memory"
            }
            Self::NoSuchPowerMode { .. } => {
                "change [power] mode of the definition; `bij power` lists the modes of this board"
            }
        }
    }
}

/// Whether a run with these terms could ever start, on a machine with so much memory and these power modes;
/// where that is not known, what depends on it is not judged.
///
/// # Errors
/// [`Inadmissible`] with the numbers that speak against it.
pub fn admissible(
    terms: &Terms,
    settings: &CoordinatorSettings,
    total: Option<Bytes>,
    power: &PowerSeen,
) -> Result<(), Inadmissible> {
    if terms.now {
        return Ok(());
    }
    if let Some(wanted) = &terms.power
        && let Some(why) = power.rules_out(wanted)
    {
        return Err(Inadmissible::NoSuchPowerMode { wanted: wanted.to_string(), why });
    }
    let Some(claim) = terms.claim.memory else { return Ok(()) };
    let budget = settings.budget(total.unwrap_or(Bytes::new(u64::MAX))).at();
    if let Some(budget) = budget.filter(|budget| claim > *budget) {
        return Err(Inadmissible::OverBudget { claim, budget });
    }
    let Some(total) = total else { return Ok(()) };
    let reserve = settings.reserve(total);
    match claim.checked_add(reserve) {
        Some(need) if need <= total => Ok(()),
        _ => Err(Inadmissible::OverMachine { claim, reserve, total }),
    }
}
