//! Logs errors that are not passed on.

use std::error::Error;

use bij_core::error_chain;

/// Returns the value of a result. An error is logged as a warning, after the text `what` ("cannot read the ledger").
pub fn logged<T, E: Error + 'static>(result: Result<T, E>, what: &str) -> Option<T> {
    result.inspect_err(|error| log::warn!("{what}: {}", error_chain(error))).ok()
}
