//! Limits of messages.
//!
//! A client checks them itself, to report a clear error; the coordinator enforces them.

use bij_core::Bytes;
use bij_core::request::Submit;

use crate::{Refusal, RefusalKind};

/// Largest number of runs in one submission.
pub(crate) const MAX_RUNS: usize = 20_000;
/// Largest extra settings of one run, in bytes; definitions are a hundred times smaller.
pub(crate) const MAX_EXTRAS: usize = 64 << 10;
/// Largest message of a caller who may change things, in bytes: a full submission of runs with some hundred bytes of
/// extra settings each.
pub(crate) const MAX_TRUSTED_MESSAGE: usize = 16 << 20;
/// Largest message of any other caller, in bytes.
pub(crate) const MAX_OTHER_MESSAGE: usize = 64 << 10;

/// Refuses a submission over the limits.
pub(crate) fn check(runs: &[Submit]) -> Result<(), Refusal> {
    if runs.len() > MAX_RUNS {
        return Err(too_many(runs.len()));
    }
    let mut sum = 0;
    for run in runs {
        if run.extras.len() > MAX_EXTRAS {
            let text = format!(
                "{}: its extra settings have {}, but at most {} are allowed",
                run.experiment,
                bytes(run.extras.len()),
                bytes(MAX_EXTRAS)
            );
            return Err(Refusal::new(RefusalKind::Invalid, text)
                .remedy("put them into a file and name that as the config"));
        }
        // Allowance for the other values of a run.
        sum += run.extras.len() + 512;
    }
    if sum > MAX_TRUSTED_MESSAGE {
        let text = format!(
            "{} runs with {} are too much for one submission, which may have {}",
            runs.len(),
            bytes(sum),
            bytes(MAX_TRUSTED_MESSAGE)
        );
        return Err(Refusal::new(RefusalKind::Invalid, text).remedy("submit them in several parts"));
    }
    Ok(())
}

/// Returns the refusal of too many runs in one submission.
pub(crate) fn too_many(runs: usize) -> Refusal {
    let text = format!("{runs} runs are too many for one submission, which may have {MAX_RUNS}");
    Refusal::new(RefusalKind::Invalid, text).remedy("submit them in several parts")
}

fn bytes(count: usize) -> Bytes {
    Bytes::new(u64::try_from(count).unwrap_or(u64::MAX))
}
