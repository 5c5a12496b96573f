//! Errors that go to the log and no further.

use std::error::Error;

use bij_core::error_chain;

/// Returns the value; an error is logged as a warning, after `what` could not be done.
pub fn logged<T, E: Error + 'static>(result: Result<T, E>, what: &str) -> Option<T> {
    result.inspect_err(|error| log::warn!("{what}: {}", error_chain(error))).ok()
}
