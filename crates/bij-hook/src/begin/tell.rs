//! What the process gets as its environment, its place in history included.

use bij_core::definition::ExperimentSpec;
use bij_core::port::{DefinitionSource, Ledger, Opened};
use bij_core::{Attempt, Cause, ExperimentId, RunEnd};
use bij_host::{files, logged, read_progress};

use super::{Begin, BeginError};
use crate::owner::{Reader, reader};
use crate::{Journal, Manager, attempt_env};

impl<D: DefinitionSource, L: Ledger, M: Manager, J: Journal> Begin<'_, D, L, M, J> {
    /// Writes the environment of the attempt where only the experiment's user can read it.
    pub(super) fn write_environment(
        &self,
        spec: &ExperimentSpec,
        opened: Option<&Opened>,
        recent: &[Attempt],
    ) -> Result<(), BeginError> {
        let layout = self.host.layout();
        let reader = reader(self.host, spec)?;
        let told = self.told_of(&spec.id, opened, recent);
        let is_dynamic = matches!(reader, Reader::Namespace);
        let text = attempt_env::render(spec, layout, is_dynamic, &told);
        let path = match reader {
            Reader::User(_) => layout.environment(&spec.id),
            Reader::Namespace => layout.sealed_environment(&spec.id),
        };
        let write = || match reader {
            Reader::User(uid) => files::put_for(uid, &path, &text),
            Reader::Namespace => files::put_sealed(&path, &text),
        };
        write().map_err(|source| BeginError::Environment { path: path.clone(), source })
    }

    /// What changes from attempt to attempt.
    fn told_of(
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
        let path = self.host.layout().progress(id);
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
