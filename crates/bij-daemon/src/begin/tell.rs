//! What the process is told of its place in history.

use bij_core::port::{DefinitionSource, Ledger, Opened};
use bij_core::{Attempt, Cause, ExperimentId, RunEnd};

use super::{Begin, logged};
use crate::progress_file::read_progress;
use crate::{Journal, Manager, attempt_env, files};

impl<D: DefinitionSource, L: Ledger, M: Manager, J: Journal> Begin<'_, D, L, M, J> {
    /// Writes what the process is told.
    pub(super) fn tell(&self, id: &ExperimentId, opened: Option<&Opened>, recent: &[Attempt]) {
        let layout = self.place.layout();
        let path = layout.attempt_env(id);
        let text = attempt_env::render(self.assignments(id, opened, recent));
        let told = files::put(&path, &text, 0o644);
        if logged(told, "the experiment cannot be told its place in history").is_none() {
            // Better told nothing than told what held for another attempt.
            logged(files::remove(&path), "what the last attempt was told is still there");
        }
    }

    /// What changes from attempt to attempt; what does not stands in the drop-in.
    fn assignments(
        &self,
        id: &ExperimentId,
        opened: Option<&Opened>,
        recent: &[Attempt],
    ) -> Vec<(&'static str, String)> {
        let Some(opened) = opened else { return Vec::new() };
        let mut told = vec![
            ("BIJ_RUN", opened.run.to_string()),
            ("BIJ_ATTEMPT", opened.attempt.to_string()),
            ("BIJ_CRASHES", opened.before.crashes.to_string()),
        ];
        if let Some(cause) = opened.before.last_cause {
            told.push(("BIJ_LAST_CAUSE", cause.to_string()));
        }
        if let Some(checkpoint) = self.resume_point(id, opened, recent) {
            told.push(("BIJ_RESUME_FROM", checkpoint));
        }
        told
    }

    /// The newest checkpoint, unless the work it belongs to was finished.
    fn resume_point(
        &self,
        id: &ExperimentId,
        opened: &Opened,
        recent: &[Attempt],
    ) -> Option<String> {
        let path = self.place.layout().progress(id);
        let anew = opened.attempt.0 == 1 && opened.before.last_run_end == Some(RunEnd::Success);
        if anew {
            logged(files::remove(&path), "progress of the last run is still there");
            return None;
        }
        let newest = read_progress(&path).and_then(|progress| progress.checkpoint);
        newest.or_else(|| last_checkpoint(recent))
    }
}

/// The newest checkpoint that an attempt ended with since the work was finished last.
fn last_checkpoint(recent: &[Attempt]) -> Option<String> {
    let ends = recent.iter().rev().filter_map(|attempt| attempt.end.as_ref());
    ends.take_while(|end| end.cause != Cause::Success)
        .find_map(|end| end.evidence.progress.as_ref()?.checkpoint.clone())
}
