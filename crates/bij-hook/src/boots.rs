//! `bij-hook boot` and `bij-hook shutdown`: tell power cuts from shutdowns.

use bij_core::Outcome;
use bij_core::port::{Ledger, LedgerError};
use bij_host::{HostContext, HostContextError};
use thiserror::Error;

use crate::Manager;
use crate::begin::close_other_boots;

/// Why a boot could not be marked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BootError {
    /// It does not know which boot this is.
    #[error("the boot cannot be named")]
    HostContext(#[from] HostContextError),
    /// The ledger did not take it.
    #[error("the ledger did not take it")]
    Ledger(#[from] LedgerError),
}

/// At boot: closes what other boots left open; returns how many attempts that were.
///
/// # Errors
/// [`BootError`]; the next `begin` tries again.
pub fn boot(host: &HostContext, ledger: &mut impl Ledger) -> Result<usize, BootError> {
    Ok(close_other_boots(ledger, host, host.boot()?)?)
}

/// At the stop of the boot service: records that this boot ended in good order, if it ends.
///
/// # Errors
/// [`BootError`] if it could not be recorded.
pub fn shutdown(
    host: &HostContext,
    ledger: &mut impl Ledger,
    manager: &impl Manager,
) -> Result<Outcome, BootError> {
    let stopping = bij_host::logged(manager.is_stopping(), "is the machine going down?");
    // Unasked: the service is stopped by hand far more seldom than with the machine.
    if stopping == Some(false) {
        return Ok(Outcome::Unchanged);
    }
    let boot = host.boot()?;
    let outcome = ledger.mark_clean_shutdown(boot, host.now())?;
    log::info!(BIJ_EVENT = "clean-shutdown"; "boot {boot} ends in good order");
    Ok(outcome)
}
