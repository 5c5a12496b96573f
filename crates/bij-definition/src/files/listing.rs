//! Lists definitions, and the files that no definition uses.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use bij_core::ExperimentId;
use bij_core::port::{FindError, SourceLocation, Warning};

use super::Definitions;
use super::definitions::name_of;
use crate::names::nearest;

impl Definitions {
    /// Returns the existing experiment with the most similar id, for a mistyped id.
    ///
    /// # Errors
    /// [`FindError::Unreadable`] if a directory of definitions cannot be read.
    pub fn similar(&self, id: &ExperimentId) -> Result<Option<ExperimentId>, FindError> {
        let ids = self.list()?;
        let near = nearest(id.as_str(), ids.iter().map(ExperimentId::as_str));
        Ok(ids.iter().find(|id| Some(id.as_str()) == near).cloned())
    }

    /// Returns warnings about files that no definition uses: a name that is not an id, an `.env` without a
    /// definition, a submitted definition that is hidden.
    ///
    /// # Errors
    /// [`FindError::Unreadable`] if a directory cannot be read.
    pub fn unused_files(&self) -> Result<Vec<Warning>, FindError> {
        let mut unused = Vec::new();
        let ids: BTreeSet<_> = self.list()?.into_iter().collect();
        for directory in [self.layout.definitions(), self.layout.submitted()] {
            for name in names(&directory)? {
                let path = directory.join(&name);
                let message = match file_role(&name) {
                    FileRole::Definition(Err(message)) | FileRole::Env(Err(message)) => message,
                    FileRole::Env(Ok(id)) if !ids.contains(&id) => {
                        format!(
                            "nothing defines {id}; write its command to {id}.toml in the same directory"
                        )
                    }
                    FileRole::Definition(Ok(_)) | FileRole::Env(Ok(_)) | FileRole::Other => {
                        continue;
                    }
                };
                unused.push(Warning {
                    location: SourceLocation { file: name_of(&path), line: None },
                    message,
                });
            }
        }
        unused.extend(self.hidden()?);
        Ok(unused)
    }

    /// Returns warnings about submitted definitions that are hidden by one written by hand.
    fn hidden(&self) -> Result<Vec<Warning>, FindError> {
        let by_hand: BTreeSet<_> = defined(&self.layout.definitions())?.into_keys().collect();
        let submitted = defined(&self.layout.submitted())?;
        let hidden = submitted.into_iter().filter(|(id, _)| by_hand.contains(id));
        Ok(hidden
            .map(|(id, path)| Warning {
                location: SourceLocation { file: name_of(&path), line: None },
                message: format!(
                    "is not read: {id} is also defined by hand, which takes precedence"
                ),
            })
            .collect())
    }

    /// Returns the ids of all definitions.
    pub(crate) fn list(&self) -> Result<Vec<ExperimentId>, FindError> {
        let mut ids = BTreeSet::new();
        let mut directories = vec![self.layout.definitions(), self.layout.submitted()];
        // Broken settings must not hide the definitions that do not need them.
        directories.extend(self.config_directory());
        for (index, directory) in directories.iter().enumerate() {
            let only_json = index > 1;
            let found = defined(directory)?;
            ids.extend(found.into_iter().filter_map(|(id, path)| {
                let is_json = path.extension().is_some_and(|extension| extension == "json");
                (is_json || !only_json).then_some(id)
            }));
        }
        Ok(ids.into_iter().collect())
    }
}

/// The role of a file according to its name.
enum FileRole {
    Definition(Result<ExperimentId, String>),
    Env(Result<ExperimentId, String>),
    Other,
}

fn file_role(name: &OsString) -> FileRole {
    let path = Path::new(name);
    let stem = || {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        ExperimentId::new(&stem).map_err(|error| format!("is not read: {error}"))
    };
    match path.extension().and_then(|extension| extension.to_str()) {
        // Editors and bij itself write hidden temporary files.
        _ if name.as_encoded_bytes().starts_with(b".") => FileRole::Other,
        Some("toml" | "json") => FileRole::Definition(stem()),
        Some("env") => FileRole::Env(stem()),
        _ => FileRole::Other,
    }
}

fn defined(directory: &Path) -> Result<BTreeMap<ExperimentId, PathBuf>, FindError> {
    let definitions = names(directory)?.into_iter().filter_map(|name| match file_role(&name) {
        FileRole::Definition(Ok(id)) => Some((id, directory.join(name))),
        _ => None,
    });
    Ok(definitions.collect())
}

/// Returns the names in a directory in alphabetical order; none if the directory does not exist.
fn names(directory: &Path) -> Result<Vec<OsString>, FindError> {
    let unreadable = |source| FindError::Unreadable { path: name_of(directory), source };
    let entries = match directory.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let names: Result<Vec<_>, _> =
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let mut names = names.map_err(unreadable)?;
    names.sort_unstable();
    Ok(names)
}
