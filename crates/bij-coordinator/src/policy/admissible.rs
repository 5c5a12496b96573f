//! Runs that are refused when they are submitted because they could never start.

use bij_core::queue::Terms;
use bij_core::{Bytes, CoordinatorSettings};
use thiserror::Error;

use super::PowerModeStatus;

/// Reason why a run could never start on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Inadmissible {
    /// It claims more memory than the budget for all experiments together.
    #[error("claims {claim} of memory, more than the budget of {budget}")]
    OverBudget {
        /// Memory that the run claims.
        claim: Bytes,
        /// Memory that all runs together may claim.
        budget: Bytes,
    },
    /// Its claim would leave less memory than the reserve.
    #[error(
        "claims {claim} of memory, which leaves less than the reserve of {reserve} of the \
         machine's {total}"
    )]
    OverMachine {
        /// Memory that the run claims.
        claim: Bytes,
        /// Memory that must stay unclaimed.
        reserve: Bytes,
        /// Memory of the machine.
        total: Bytes,
    },
    /// The board does not have the power mode that the run asks for.
    #[error("wants power mode {wanted}, and {why}")]
    NoSuchPowerMode {
        /// Power mode that the run asks for.
        wanted: String,
        /// The modes that the board has, as a fragment.
        why: String,
    },
}

impl Inadmissible {
    /// Returns what the operator can do about it, as a fragment.
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

/// Checks that a run with these terms could ever start on a machine with `total` memory and these power
/// modes. A check whose input is unknown is skipped.
///
/// # Errors
/// [`Inadmissible`] with the numbers that rule it out.
pub fn admissible(
    terms: &Terms,
    settings: &CoordinatorSettings,
    total: Option<Bytes>,
    power: &PowerModeStatus,
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
