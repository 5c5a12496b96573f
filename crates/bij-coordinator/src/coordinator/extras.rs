//! Checks extras that group members add to a definition: at submission, and again when the run starts.

use bij_core::Requester;
use bij_core::port::{Change, DefinitionSource};
use bij_core::queue::{QueueState, QueuedRun};
use bij_core::spec::ExperimentSpec;
use bij_definition::{DeniedExtra, SourceFile, SpecOverlay, check_extras};

use super::Coordinator;
use crate::Ports;

/// Holder of a run whose extras its definition no longer allows.
const HOLDER: &str = "bij-coordinator";

impl<P: Ports> Coordinator<P> {
    /// Judges extras that an account, by its name in the ledger, lays over a definition.
    pub(super) fn check_extras(
        &self,
        spec: &ExperimentSpec,
        extras: &SpecOverlay,
        by: &str,
    ) -> Result<(), DeniedExtra> {
        let asker = Requester::from_name(by, self.owner);
        let total = self.seen.sample.memory_total.as_ref().ok().copied();
        check_extras(spec, extras, &asker, &self.state.settings.policy, total)
    }

    /// Returns the change that holds a queued run, and the reason, if its definition no longer allows its
    /// extras.
    ///
    /// A definition or extras that cannot be read are left to the start, which reports the error.
    pub(super) fn hold_for_extras(&self, run: &QueuedRun) -> Option<(Change, String)> {
        if run.extras.is_empty() {
            return None;
        }
        let extras = SpecOverlay::parse(SourceFile::new("extras", run.extras.as_bytes())).ok()?;
        let found = self.adapters.definitions.find_without_extras(&run.run.experiment).ok()?;
        let denied = self.check_extras(&found.spec, &extras, &run.by).err()?;
        let text = format!("{} {denied}; {}", run.by, denied.remedy());
        let change = Change::State {
            run: run.run.clone(),
            from: Some(run.state.clone()),
            state: QueueState::Held { by: HOLDER.to_owned() },
            why: text.clone(),
        };
        Some((change, text))
    }
}
