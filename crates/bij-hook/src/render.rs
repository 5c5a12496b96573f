//! Rendering: every definition becomes the drop-in of its unit.
//!
//! Drop-ins lie in a directory that systemd reads and never empties, and each is replaced as a whole.
//! So any reload of the service manager finds the settings that the active units were started with, even if
//! their definitions have changed since (ADR 0022). A drop-in is written only at boot, if it is missing, and by the
//! start of its own unit.

mod facts;

use std::num::NonZero;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io, thread};

use bij_core::port::{DefinitionSource, FindError, FoundDefinition};
use bij_core::spec::ExperimentSpec;
use bij_core::{ExperimentId, Outcome, error_chain};
use bij_host::{HostContext, files, logged};
use bij_systemd::experiment::DropIn;
use thiserror::Error;

use crate::HookManager;
use crate::adapters::runtime_scope;
use facts::RenderFacts;

pub(crate) use facts::may_use_gpu;

/// The result of rendering all definitions.
#[derive(Debug, Default)]
pub struct Rendered {
    /// Number of drop-ins that were written.
    pub written: usize,
    /// One error for each definition without a drop-in.
    pub failures: Vec<RenderError>,
}

/// Why an experiment has no drop-in.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The definitions cannot be listed.
    #[error("the definitions cannot be listed")]
    List(#[source] FindError),
    /// The definition cannot be used.
    #[error("{id} has no drop-in")]
    Definition {
        /// The experiment of the definition.
        id: ExperimentId,
        /// What is wrong with the definition.
        #[source]
        source: FindError,
    },
    /// The drop-in cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The path of the drop-in.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
}

/// Renders definitions for one machine.
#[derive(Debug)]
pub(crate) struct Renderer<'a> {
    host: &'a HostContext,
    facts: RenderFacts,
}

/// The unit that a definition describes, with its stamp.
#[derive(Debug)]
pub(crate) struct DesiredUnit {
    found: FoundDefinition,
    /// Changes whenever the text of the drop-in changes.
    pub(crate) stamp: String,
}

impl DesiredUnit {
    pub(crate) const fn spec(&self) -> &ExperimentSpec {
        &self.found.spec
    }

    pub(crate) fn into_spec(self) -> ExperimentSpec {
        self.found.spec
    }
}

impl<'a> Renderer<'a> {
    /// Returns a renderer for the machine of `host`, whose facts are read when they are needed.
    pub(crate) fn new(host: &'a HostContext) -> Self {
        Self { host, facts: RenderFacts::default() }
    }

    /// Returns the unit that a definition describes on this machine.
    pub(crate) fn desired_unit(&self, found: FoundDefinition) -> DesiredUnit {
        let stamp = self.facts.stamp(self.host, &found);
        DesiredUnit { found, stamp }
    }

    /// Writes the drop-in of an experiment, unless it already has the same text.
    ///
    /// # Errors
    /// [`RenderError::Write`]; the previous drop-in is then unchanged.
    pub(crate) fn write(&self, desired: &DesiredUnit) -> Result<Outcome, RenderError> {
        let spec = desired.spec();
        let path = self.host.layout().drop_in(&spec.id);
        put_drop_in(&path, &self.text(desired))
            .map_err(|source| RenderError::Write { path, source })
    }

    fn text(&self, desired: &DesiredUnit) -> String {
        let DesiredUnit { found, stamp } = desired;
        let drop_in = DropIn {
            spec: &found.spec,
            source: &found.source,
            stamp,
            layout: self.host.layout(),
            scope: runtime_scope(self.host),
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
        self.write(&self.desired_unit(found))
    }
}

/// systemd also switches to the unit's user for the hooks. If that user does not exist, the condition fails, which skips
/// the start silently; without a condition the start fails and says why (217/USER). A user that only a directory
/// service knows is still found, and its experiment starts without asking the coordinator.
const UNKNOWN_USER: &str = "
# This machine's own files do not know the user: without a condition, a start fails and says so.
[Service]
ExecCondition=
ExecStartPre=+/usr/libexec/brain-in-jar/bij-hook begin %i
";

/// Smallest share of a thread: fewer definitions are rendered faster than a thread starts.
const DEFINITIONS_PER_THREAD: usize = 64;

/// Returns the number of threads: some processors are left to other services of the boot.
fn worker_count() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(4)
}

/// Renders every usable definition that has no drop-in. An existing drop-in may belong to a running
/// unit, and is left to the next start of that unit.
///
/// A definition that cannot be rendered does not affect the others.
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
        let share = ids.len().div_ceil(worker_count()).max(DEFINITIONS_PER_THREAD);
        let running: Vec<_> =
            ids.chunks(share).map(|ids| scope.spawn(|| render_some(ids))).collect();
        for results in running {
            // A panic of a thread loses its share, but does not stop the boot.
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

/// Renders at boot, before any experiment starts, and reloads the service manager if it has already loaded a unit.
/// Errors are logged, because each start also renders its own unit.
///
/// `manager` is `None` for another tree than this machine's.
pub fn render_at_boot(
    host: &HostContext,
    definitions: &impl DefinitionSource,
    manager: Option<&impl HookManager>,
) {
    let Rendered { written, failures } = render_missing(host, definitions);
    for failure in &failures {
        log::warn!(BIJ_EVENT = "not-rendered"; "{}", error_chain(failure));
    }
    log::info!(BIJ_EVENT = "rendered"; "{written} definitions rendered, {} not", failures.len());
    let Some(manager) = manager.filter(|_| written > 0) else { return };
    // Without an answer, units may be loaded.
    let has_loaded = manager.has_loaded_experiments();
    if logged(has_loaded, "cannot list the loaded units") == Some(false) {
        return;
    }
    logged(manager.reload(), "cannot reload the drop-ins; each start reloads its own");
}

/// Largest drop-in that is compared, in bytes; a definition has at most a megabyte.
const MAX_LEN: u64 = 4 << 20;

/// Replaces a drop-in by renaming a file over it, so that the service manager reads the old text or
/// the new one, even if the writer is killed.
///
/// Its mode is 0644, independent of the umask. A drop-in with the same text is not touched, because systemd takes
/// a new date for a change on disk.
///
/// # Errors
/// The error of the system; the drop-in is then unchanged.
fn put_drop_in(path: &Path, text: &str) -> io::Result<Outcome> {
    if matches!(files::read_small(path, MAX_LEN), Ok(Some(there)) if there == text) {
        return Ok(Outcome::Unchanged);
    }
    if ensure_directory(path)? == Outcome::Unchanged {
        remove_leftover_drafts(path);
    }
    files::put(path, text.as_bytes(), 0o644)?;
    Ok(Outcome::Changed)
}

/// Makes the directory of a drop-in, with mode 0755 independent of the umask: `UMask=` of the unit also applies to its
/// hooks.
fn ensure_directory(path: &Path) -> io::Result<Outcome> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if directory.is_dir() {
        return Ok(Outcome::Unchanged);
    }
    files::make_directory(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    Ok(Outcome::Changed)
}

/// Removes a drop-in, and its directory if that is then empty.
///
/// # Errors
/// The error of the system; a missing drop-in is no error.
pub(crate) fn remove_drop_in(path: &Path) -> io::Result<Outcome> {
    let outcome = match fs::remove_file(path) {
        Ok(()) => Outcome::Changed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Outcome::Unchanged,
        Err(error) => return Err(error),
    };
    remove_leftover_drafts(path);
    if let Some(directory) = path.parent() {
        // This fails, as intended, if an operator has drop-ins there.
        drop(fs::remove_dir(directory));
    }
    Ok(outcome)
}

/// Removes the temporary files that killed writers have left beside a drop-in. Their names do not end in `.conf`, so
/// systemd ignores them (systemd.unit(5)).
fn remove_leftover_drafts(path: &Path) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    let directory = path.parent().unwrap_or(Path::new("/"));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests;
