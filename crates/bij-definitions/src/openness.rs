//! Everything of an installation that privileged code takes at its word, looked at together.

use std::path::{Path, PathBuf};

use bij_core::{Authority, TooOpen};

use crate::Definitions;
use crate::walk::{WalkError, judge_directory, open_trusted, walk_directory};

impl Definitions {
    /// Returns the places that another account than the installation's could write, each once: the
    /// directories of definitions, extras, orders and records, the settings, and the directory of older
    /// configs. Definitions and what is laid over them are judged when they are
    /// [found](bij_core::port::DefinitionSource::find).
    ///
    /// What the caller may not look at is not judged.
    pub fn too_open(&self) -> Vec<TooOpen> {
        let layout = &self.layout;
        let runtime = layout.runtime();
        let mut found = Vec::new();
        for directory in [
            layout.config().to_owned(),
            layout.definitions(),
            layout.state().to_owned(),
            layout.submitted(),
            layout.extras(),
            runtime.to_owned(),
            layout.spool(),
            runtime.join("attempts"),
            runtime.join("orders"),
            runtime.join("stop"),
        ] {
            take(&mut found, judge_directory(&directory, self.authority));
        }
        for file in [layout.settings(), layout.settings_env(), layout.database()] {
            take(&mut found, open_trusted(&file, self.authority).map(drop));
        }
        if let Some(directory) = self.config_directory() {
            take(&mut found, self.judge_configs(&directory));
        }
        found
    }

    /// Where older configs lie, as far as usable settings say so.
    pub(crate) fn config_directory(&self) -> Option<PathBuf> {
        let runner = self.settings_file().ok()?.runner?;
        Some(PathBuf::from(runner.config_directory?.as_str()))
    }

    /// The directory may belong to another account, which alone decides what is in it.
    fn judge_configs(&self, directory: &Path) -> Result<(), WalkError> {
        if self.authority != Authority::ROOT {
            return judge_directory(directory, self.authority);
        }
        let Some(owner) = walk_directory(directory)? else { return Ok(()) };
        judge_directory(directory, Authority::user(owner.uid))
    }
}

fn take(found: &mut Vec<TooOpen>, judged: Result<(), WalkError>) {
    if let Err(WalkError::TooOpen(error)) = judged
        && !found.contains(&error)
    {
        found.push(error);
    }
}
