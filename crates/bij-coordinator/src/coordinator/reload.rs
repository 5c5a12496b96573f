//! Reloads the settings.

use bij_core::CoordinatorSettings;
use bij_core::port::DefinitionError;
use bij_core::queue::EventKind;

use super::Coordinator;
use crate::{Now, Ports};

impl<P: Ports> Coordinator<P> {
    /// Applies settings that were read again. If reading failed, the old ones stay in force, and the event
    /// names the error in the file.
    pub fn reload(
        &mut self,
        read: Result<CoordinatorSettings, &DefinitionError>,
        by: &str,
        now: Now,
    ) {
        self.seen.now = now;
        let by = ("by", by.to_owned());
        match read {
            Ok(settings) => {
                self.state.settings = settings;
                // The new interval counts from now.
                self.health_due = now.uptime;
                self.undecided = true;
                self.report_is_fresh = false;
                self.note(EventKind::Reloaded, None, [by], now);
            }
            Err(error) => {
                let text = format!("the old settings stay in force: {error}");
                self.note(EventKind::Reloaded, None, [by, ("text", text)], now);
            }
        }
    }
}
