//! `bij-hook boot` and `bij-hook shutdown`, which distinguish power cuts from shutdowns.

use bij_core::Outcome;
use bij_core::port::{Ledger, LedgerError};
use bij_host::{HostContext, HostContextError};
use thiserror::Error;

use crate::Manager;
use crate::begin::close_other_boots;

/// Why a boot or its end could not be recorded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BootError {
    /// The id of the boot is unknown.
    #[error("cannot identify the boot")]
    HostContext(#[from] HostContextError),
    /// The ledger did not take the record.
    #[error("cannot write to the ledger")]
    Ledger(#[from] LedgerError),
}

/// Closes, at boot, the open attempts of other boots; returns their number.
///
/// # Errors
/// [`BootError`]; the next `begin` tries again.
pub fn boot(host: &HostContext, ledger: &mut impl Ledger) -> Result<usize, BootError> {
    Ok(close_other_boots(ledger, host, host.boot()?)?)
}

/// Records, when the boot service stops, that this boot ended cleanly, if the machine shuts down.
///
/// # Errors
/// [`BootError`] if it could not be recorded.
pub fn shutdown(
    host: &HostContext,
    ledger: &mut impl Ledger,
    manager: &impl Manager,
) -> Result<Outcome, BootError> {
    let stopping =
        bij_host::logged(manager.is_stopping(), "cannot tell whether the machine shuts down");
    // Without an answer a shutdown is assumed: the service is rarely stopped by hand.
    if stopping == Some(false) {
        return Ok(Outcome::Unchanged);
    }
    let boot = host.boot()?;
    let outcome = ledger.mark_clean_shutdown(boot, host.now())?;
    log::info!(BIJ_EVENT = "clean-shutdown"; "boot {boot} ends cleanly");
    Ok(outcome)
}
