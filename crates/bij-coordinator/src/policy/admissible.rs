//! What is refused when it is submitted, because it could never start.

use bij_core::Bytes;
use bij_core::definition::CoordinatorSettings;
use bij_core::queue::Terms;
use thiserror::Error;

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
        }
    }
}

/// Whether a run with these terms could ever start, on a machine with so much memory; where that
/// is not known, what depends on it is not judged.
///
/// # Errors
/// [`Inadmissible`] with the numbers that speak against it.
pub fn admissible(
    terms: &Terms,
    settings: &CoordinatorSettings,
    total: Option<Bytes>,
) -> Result<(), Inadmissible> {
    let Some(claim) = terms.claim.memory.filter(|_| !terms.now) else { return Ok(()) };
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
