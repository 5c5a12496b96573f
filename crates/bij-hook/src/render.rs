//! Rendering: every definition becomes the drop-in of its unit.
//!
//! Drop-ins lie in a directory that systemd reads and never empties, and each is replaced as a whole.
//! So a reload of the service manager, whoever asks for it, finds the settings that the units which are
//! up were started with, whatever has become of the definitions since (ADR 0022). A drop-in is written
//! in two places only: at boot, if it is missing, and by the start of its own unit.

mod host_facts;
mod put;

use std::num::NonZero;
use std::path::PathBuf;
use std::{io, thread};

use bij_core::definition::ExperimentSpec;
use bij_core::port::{DefinitionSource, FindError, Found};
use bij_core::{ExperimentId, Outcome, error_chain};
use bij_systemd::DropIn;
use thiserror::Error;

use crate::Manager;
use crate::systemd::scope;
use bij_host::HostContext;

use host_facts::HostFacts;
pub(crate) use put::remove_drop_in;

/// What became of the definitions.
#[derive(Debug, Default)]
pub struct Rendered {
    /// How many drop-ins were written.
    pub written: usize,
    /// Definitions without a drop-in, and why.
    pub failures: Vec<RenderError>,
}

/// Why an experiment has no drop-in.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The definitions cannot be listed.
    #[error("the definitions cannot be listed")]
    List(#[source] FindError),
    /// Its definition cannot be used.
    #[error("{id} has no drop-in")]
    Definition {
        /// The experiment.
        id: ExperimentId,
        /// What is wrong with it.
        #[source]
        source: FindError,
    },
    /// Its drop-in cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The drop-in.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Renders definitions for one machine.
#[derive(Debug)]
pub(crate) struct Renderer<'a> {
    host: &'a HostContext,
    facts: HostFacts,
}

/// A definition, and the stamp of the unit that it describes.
#[derive(Debug)]
pub(crate) struct Wanted {
    found: Found,
    /// Changes whenever the text of the drop-in changes.
    pub(crate) stamp: String,
}

impl Wanted {
    pub(crate) const fn spec(&self) -> &ExperimentSpec {
        &self.found.spec
    }

    pub(crate) fn into_spec(self) -> ExperimentSpec {
        self.found.spec
    }
}

impl<'a> Renderer<'a> {
    /// A renderer for the machine of `host`; facts are read when they are needed.
    pub(crate) fn new(host: &'a HostContext) -> Self {
        Self { host, facts: HostFacts::default() }
    }

    /// Returns the unit that a definition describes on this machine.
    pub(crate) fn wanted(&self, found: Found) -> Wanted {
        let stamp = self.facts.stamp(self.host, &found);
        Wanted { found, stamp }
    }

    /// Writes the drop-in of an experiment, unless the same text is there already.
    ///
    /// # Errors
    /// [`RenderError::Write`]; the drop-in from before is in place then.
    pub(crate) fn write(&self, wanted: &Wanted) -> Result<Outcome, RenderError> {
        let spec = wanted.spec();
        let path = self.host.layout().drop_in(&spec.id);
        put::put_drop_in(&path, &self.text(wanted))
            .map_err(|source| RenderError::Write { path, source })
    }

    fn text(&self, wanted: &Wanted) -> String {
        let Wanted { found, stamp } = wanted;
        let drop_in = DropIn {
            spec: &found.spec,
            source: &found.source,
            stamp,
            layout: self.host.layout(),
            scope: scope(self.host),
            gpu: self.facts.gpu(self.host).as_slice(),
            systemd: self.facts.systemd(self.host),
        };
        let mut text = drop_in.render();
        if self.facts.lacks_user(self.host, &found.spec) {
            text.push_str(UNKNOWN_USER);
        }
        text
    }

    /// Renders an experiment that has no drop-in yet.
    fn render_missing(
        &self,
        definitions: &impl DefinitionSource,
        id: &ExperimentId,
    ) -> Result<Outcome, RenderError> {
        if self.host.layout().drop_in(id).symlink_metadata().is_ok() {
            return Ok(Outcome::Unchanged);
        }
        let found = definitions
            .find(id)
            .map_err(|source| RenderError::Definition { id: id.clone(), source })?;
        self.write(&self.wanted(found))
    }
}

/// systemd becomes the unit's user for the hooks as well. If there is none, it takes a condition's
/// failure for "not now" and skips the start without a word; without a condition the start fails and
/// says why (217/USER). A user that only a directory service knows is found all the same, and its
/// experiment begins without being let.
const UNKNOWN_USER: &str = "
# This machine's own files do not know the user: without a condition, a start fails and says so.
[Service]
ExecCondition=
ExecStartPre=+/usr/libexec/brain-in-jar/bij-hook begin %i
";

/// Fewer definitions are faster rendered than a thread is made.
const WORTH_A_THREAD: usize = 64;

/// How many processors to use: the boot waits, but other services start as well.
fn workers() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(4)
}

/// Renders every usable definition that has no drop-in. A drop-in that is there may be a running
/// unit's, and is left to that unit's own next start.
///
/// A definition that cannot be rendered costs its neighbours nothing.
pub fn render_missing(host: &HostContext, definitions: &impl DefinitionSource) -> Rendered {
    let mut all = Rendered::default();
    let ids = match definitions.ids() {
        Ok(ids) => ids,
        Err(error) => {
            all.failures.push(RenderError::List(error));
            return all;
        }
    };
    let renderer = Renderer::new(host);
    let render_some = |ids: &[ExperimentId]| -> Vec<Result<Outcome, RenderError>> {
        ids.iter().map(|id| renderer.render_missing(definitions, id)).collect()
    };
    thread::scope(|scope| {
        let share = ids.len().div_ceil(workers()).max(WORTH_A_THREAD);
        let running: Vec<_> =
            ids.chunks(share).map(|ids| scope.spawn(|| render_some(ids))).collect();
        for results in running {
            // A definition that makes a worker panic costs its share, never the boot.
            for result in results.join().into_iter().flatten() {
                match result {
                    Ok(Outcome::Changed) => all.written += 1,
                    Ok(Outcome::Unchanged) => {}
                    Err(failure) => all.failures.push(failure),
                }
            }
        }
    });
    all
}

/// Renders at boot, before any experiment starts, and has the service manager read the result if it
/// has loaded a unit without it. What goes wrong is logged: each start renders for itself.
///
/// Without a `manager` the drop-ins are those of another tree than this machine's.
pub fn render_at_boot(
    host: &HostContext,
    definitions: &impl DefinitionSource,
    manager: Option<&impl Manager>,
) {
    let Rendered { written, failures } = render_missing(host, definitions);
    for failure in &failures {
        log::warn!(BIJ_EVENT = "not-rendered"; "{}", error_chain(failure));
    }
    log::info!(BIJ_EVENT = "rendered"; "{written} definitions rendered, {} not", failures.len());
    let Some(manager) = manager.filter(|_| written > 0) else { return };
    // If it does not say which units it has loaded, it may have some.
    let has_loaded = manager.has_loaded_experiments();
    if bij_host::logged(has_loaded, "which units are loaded is not known") == Some(false) {
        return;
    }
    bij_host::logged(manager.reload(), "the drop-ins are not loaded; each start reloads");
}

#[cfg(test)]
mod tests;
