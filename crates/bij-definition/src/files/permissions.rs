//! Checks the permissions of all files that privileged code trusts.

use std::path::{Path, PathBuf};

use bij_core::{Authority, TooOpen};

use super::Definitions;
use super::walk::{WalkError, check_directory, directory_owner, open_trusted};

impl Definitions {
    /// Returns the paths that an untrusted account could write, each once. Checked are the directories of
    /// definitions, extras, orders and records, the settings, the database, and the directory of older
    /// configs. Definitions and extras themselves are checked when they are
    /// [found](bij_core::port::DefinitionSource::find).
    ///
    /// Paths that the caller may not see are not checked.
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
            collect(&mut found, check_directory(&directory, self.authority));
        }
        for file in [layout.settings(), layout.settings_env(), layout.database()] {
            collect(&mut found, open_trusted(&file, self.authority).map(drop));
        }
        if let Some(directory) = self.config_directory() {
            collect(&mut found, self.check_configs(&directory));
        }
        found
    }

    /// Returns the directory of older configs, if the settings are valid and name one.
    pub(crate) fn config_directory(&self) -> Option<PathBuf> {
        let runner = self.settings_file().ok()?.runner?;
        Some(PathBuf::from(runner.config_directory?.as_str()))
    }

    /// Checks the directory of older configs. It may belong to another account, which alone may write it.
    fn check_configs(&self, directory: &Path) -> Result<(), WalkError> {
        if self.authority != Authority::ROOT {
            return check_directory(directory, self.authority);
        }
        let Some(owner) = directory_owner(directory)? else { return Ok(()) };
        check_directory(directory, Authority::user(owner.uid))
    }
}

fn collect(found: &mut Vec<TooOpen>, checked: Result<(), WalkError>) {
    if let Err(WalkError::TooOpen(error)) = checked
        && !found.contains(&error)
    {
        found.push(error);
    }
}
