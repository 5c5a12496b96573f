//! The files that pass data between the coordinator and the hooks and processes of an experiment.

use bij_core::port::{Closing, Handover, HandoverError};
use bij_core::{Attempt, ExperimentId, Layout, Order, Progress, Timestamp, Witness};
use bij_definition::{Definitions, write_order};
use bij_definition::{SourceFile, SpecOverlay};
use bij_hook::{AttemptRecord, SystemdJournal, find_end, log_unclosed, read_order};
use bij_host::{HostContext, read_progress};

/// The handover files of one installation.
#[derive(Clone, Debug)]
pub struct HandoverFiles {
    host: HostContext,
    definitions: Definitions,
}

impl HandoverFiles {
    /// Returns the files of an installation.
    pub fn new(host: HostContext) -> Self {
        Self { definitions: Definitions::new(host.layout().clone()), host }
    }

    fn layout(&self) -> &Layout {
        self.host.layout()
    }

    fn set_extras(
        &self,
        id: &ExperimentId,
        extras: &str,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let overlay = if extras.is_empty() {
            SpecOverlay::default()
        } else {
            let name = format!("the settings submitted with the run of {id}");
            SpecOverlay::parse(SourceFile::new(&name, extras.as_bytes()))?
        };
        self.definitions.set_extras(id, &overlay)?;
        Ok(())
    }
}

impl Handover for HandoverFiles {
    fn extras(&self, id: &ExperimentId, extras: &str) -> Result<(), HandoverError> {
        self.set_extras(id, extras).map_err(|source| HandoverError {
            id: id.clone(),
            what: "extra settings",
            source,
        })
    }

    fn stop(&self, id: &ExperimentId, order: &Order) -> Result<(), HandoverError> {
        match write_order(self.layout(), id, order).into_failure() {
            None => Ok(()),
            Some(error) => Err(HandoverError {
                id: id.clone(),
                what: "the order to stop",
                source: error.into(),
            }),
        }
    }

    fn order(&self, id: &ExperimentId) -> Option<Order> {
        read_order(self.layout(), id)
    }

    fn progress(&self, id: &ExperimentId) -> Option<Progress> {
        read_progress(&self.layout().progress(id))
    }

    fn find_end(&self, attempt: &Attempt, _: Timestamp) -> Option<Closing> {
        // An attempt without a record is not a unit's: `bij --local` supervises its own attempts.
        let record = AttemptRecord::read(self.layout(), &attempt.run.experiment);
        record.filter(|record| record.key == attempt.key)?;
        let journal = SystemdJournal::new(&self.host);
        let found = find_end(&self.host, &journal, attempt, Witness::Coordinator);
        log_unclosed(attempt, &found.end);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bij_core::port::DefinitionSource as _;
    use bij_core::{
        AttemptKey, AttemptNumber, BootId, Cause, InvocationId, RunId, RunNumber, Timestamp,
    };

    use super::*;

    #[test]
    fn extra_settings_and_orders_to_stop_are_written() {
        let root = tempfile::tempdir().unwrap();
        let host = HostContext::system(root.path());
        let layout = host.layout().clone();
        let id = ExperimentId::new("x").unwrap();
        fs::create_dir_all(layout.definitions()).unwrap();
        let definition = layout.definitions().join("x.toml");
        fs::write(definition, "command = [\"/bin/true\"]\nlimits.memory = \"1G\"\n").unwrap();
        let files = HandoverFiles::new(host);
        let memory = || {
            let found = files.definitions.find(&id).unwrap();
            found.spec.limits.memory.unwrap().to_string()
        };

        files.extras(&id, "limits.memory = \"2G\"\n").unwrap();
        assert_eq!(memory(), "2.0G");
        files.extras(&id, "").unwrap();
        assert_eq!(memory(), "1.0G");
        let error = files.extras(&id, "no = [").unwrap_err();
        assert!(error.to_string().contains("extra settings"), "{error}");
        assert_eq!(memory(), "1.0G", "nothing was written");

        files.stop(&id, &Order::stop("bij cancel by alice")).unwrap();
        assert!(layout.stop_file(&id).exists());
        assert_eq!(files.order(&id), Some(Order::stop("bij cancel by alice")));
        assert_eq!(files.progress(&id), None);
    }

    #[test]
    fn an_end_is_recovered_only_for_an_attempt_with_a_record() {
        let root = tempfile::tempdir().unwrap();
        let host = HostContext::system(root.path());
        let id = ExperimentId::new("x").unwrap();
        let attempt = |number| Attempt {
            run: RunId { experiment: id.clone(), number: RunNumber(1) },
            number: AttemptNumber(number),
            key: AttemptKey {
                boot: BootId::from_bytes([1; 16]),
                invocation: InvocationId::from_bytes([u8::try_from(number).unwrap(); 16]),
            },
            started: Timestamp::from_micros(1),
            started_uptime: None,
            ready: None,
            end: None,
            board: None,
        };
        let record = AttemptRecord {
            key: attempt(2).key,
            numbers: None,
            started: Timestamp::from_micros(1),
            started_since_boot: None,
            oom_kills_before: None,
            memory_limit_hits_before: None,
            refusal: None,
            left_behind: None,
        };
        record.write(host.layout(), &id).unwrap();
        let files = HandoverFiles::new(host);
        files.stop(&id, &Order::stop("bij stop by alice")).unwrap();
        let now = Timestamp::from_micros(2);
        assert_eq!(files.find_end(&attempt(1), now), None, "bij --local may supervise it");
        let end = files.find_end(&attempt(2), now).unwrap().end;
        assert_eq!(end.cause, Cause::Stopped);
        assert_eq!(end.evidence.witness, Some(Witness::Coordinator));
    }
}
