//! Writes the environment of an attempt, with its numbers and its checkpoint.

use bij_core::port::{DefinitionSource, Ledger, Opened};
use bij_core::spec::ExperimentSpec;
use bij_core::{Attempt, Cause, ExperimentId, RunEnd};
use bij_host::{files, logged, read_progress};

use super::{Begin, BeginError};
use crate::owner::{EnvironmentReader, environment_reader};
use crate::{Journal, Manager, attempt_env};

impl<D: DefinitionSource, L: Ledger, M: Manager, J: Journal> Begin<'_, D, L, M, J> {
    /// Writes the environment of the attempt into a file that only the experiment's user can read.
    pub(super) fn write_environment(
        &self,
        spec: &ExperimentSpec,
        opened: Option<&Opened>,
        recent: &[Attempt],
    ) -> Result<(), BeginError> {
        let layout = self.host.layout();
        let reader = environment_reader(self.host, spec)?;
        let variables = self.attempt_variables(&spec.id, opened, recent);
        let is_dynamic = matches!(reader, EnvironmentReader::Namespace);
        let text = attempt_env::render(spec, layout, is_dynamic, &variables);
        let path = match reader {
            EnvironmentReader::User(_) => layout.environment(&spec.id),
            EnvironmentReader::Namespace => layout.sealed_environment(&spec.id),
        };
        let write = || match reader {
            EnvironmentReader::User(uid) => files::put_for(uid, &path, &text),
            EnvironmentReader::Namespace => files::put_sealed(&path, &text),
        };
        write().map_err(|source| BeginError::Environment { path: path.clone(), source })
    }

    /// Returns the variables that change with each attempt.
    fn attempt_variables(
        &self,
        id: &ExperimentId,
        opened: Option<&Opened>,
        recent: &[Attempt],
    ) -> Vec<(&'static str, String)> {
        let Some(opened) = opened else { return Vec::new() };
        let mut variables = vec![
            ("BIJ_RUN", opened.run.to_string()),
            ("BIJ_ATTEMPT", opened.attempt.to_string()),
            ("BIJ_CRASHES", opened.before.crashes.to_string()),
        ];
        if let Some(cause) = opened.before.last_cause {
            variables.push(("BIJ_LAST_CAUSE", cause.to_string()));
        }
        if let Some(checkpoint) = self.resume_point(id, opened, recent) {
            variables.push(("BIJ_RESUME_FROM", checkpoint));
        }
        variables
    }

    /// Returns the newest checkpoint, unless its run has succeeded.
    fn resume_point(
        &self,
        id: &ExperimentId,
        opened: &Opened,
        recent: &[Attempt],
    ) -> Option<String> {
        let path = self.host.layout().progress(id);
        let begins_anew =
            opened.attempt.0 == 1 && opened.before.last_run_end == Some(RunEnd::Success);
        if begins_anew {
            logged(files::remove(&path), "cannot remove the progress of the last run");
            return None;
        }
        let newest = read_progress(&path).and_then(|progress| progress.checkpoint);
        newest.or_else(|| last_checkpoint(recent))
    }
}

/// Returns the newest checkpoint of an attempt since the last success.
fn last_checkpoint(recent: &[Attempt]) -> Option<String> {
    let ends = recent.iter().rev().filter_map(|attempt| attempt.end.as_ref());
    ends.take_while(|end| end.cause != Cause::Success)
        .find_map(|end| end.evidence.progress.as_ref()?.checkpoint.clone())
}
