//! How much may be said at once.
//!
//! A client keeps to these limits by itself and so gets a sentence; the coordinator holds everybody
//! to them.

use bij_core::Bytes;

use crate::message::Submit;
use crate::{Refusal, RefusalKind};

/// So many runs are taken in by one call.
pub(crate) const RUNS_AT_ONCE: usize = 20_000;
/// So much may be laid over the definition of one run; definitions are a hundred times smaller.
pub(crate) const EXTRAS: usize = 64 << 10;
/// So much is taken from somebody who may change things: a full submission of runs with extras of
/// some hundred bytes.
pub(crate) const MESSAGE_OF_TRUSTED: usize = 16 << 20;
/// And from everybody else, who may only ask.
pub(crate) const MESSAGE_OF_OTHERS: usize = 64 << 10;
/// So many runs, events or minutes are in one answer.
pub const PIECE: u32 = 1000;
/// So many attempts or histories are in one answer: each has up to some kilobytes of evidence.
pub const PIECE_OF_HISTORY: u32 = 250;

/// Refuses what is too much.
pub(crate) fn check(runs: &[Submit]) -> Result<(), Refusal> {
    if runs.len() > RUNS_AT_ONCE {
        return Err(too_many(runs.len()));
    }
    let mut sum = 0;
    for run in runs {
        if run.extras.len() > EXTRAS {
            let text = format!(
                "{}: what is laid over the definition has {}, more than the {} that it may have",
                run.experiment,
                bytes(run.extras.len()),
                bytes(EXTRAS)
            );
            return Err(Refusal::new(RefusalKind::Invalid, text)
                .remedy("put it into a file and name that as the config"));
        }
        // What a run takes on the wire besides.
        sum += run.extras.len() + 512;
    }
    if sum > MESSAGE_OF_TRUSTED {
        let text = format!(
            "{} runs of {} are too much for one submission, which takes {}",
            runs.len(),
            bytes(sum),
            bytes(MESSAGE_OF_TRUSTED)
        );
        return Err(Refusal::new(RefusalKind::Invalid, text).remedy("submit them in several parts"));
    }
    Ok(())
}

/// The refusal of so many runs at once.
pub(crate) fn too_many(runs: usize) -> Refusal {
    let text = format!("{runs} runs are too many for one submission, which takes {RUNS_AT_ONCE}");
    Refusal::new(RefusalKind::Invalid, text).remedy("submit them in several parts")
}

fn bytes(count: usize) -> Bytes {
    Bytes::new(u64::try_from(count).unwrap_or(u64::MAX))
}
