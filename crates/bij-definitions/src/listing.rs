//! Listing what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use bij_core::ExperimentId;
use bij_core::definition::{Place, Warning, nearest};
use bij_core::port::FindError;

use crate::Definitions;
use crate::definitions::name_of;

impl Definitions {
    /// The experiment that was probably meant by an id that nobody has defined.
    ///
    /// # Errors
    /// [`FindError::Unreadable`] if a directory of definitions cannot be read.
    pub fn similar(&self, id: &ExperimentId) -> Result<Option<ExperimentId>, FindError> {
        let ids = self.list()?;
        let near = nearest(id.as_str(), ids.iter().map(ExperimentId::as_str));
        Ok(ids.iter().find(|id| Some(id.as_str()) == near).cloned())
    }

    /// Files that look like part of a definition and are none: a name that is no id, an `.env`
    /// with nothing to go with.
    ///
    /// # Errors
    /// [`FindError::Unreadable`] if a directory cannot be read.
    pub fn strays(&self) -> Result<Vec<Warning>, FindError> {
        let mut strays = Vec::new();
        let ids: BTreeSet<_> = self.list()?.into_iter().collect();
        for directory in [self.layout.definitions(), self.layout.submitted()] {
            for name in names(&directory)? {
                let path = directory.join(&name);
                let message = match part_of(&name) {
                    Part::Definition(Err(message)) | Part::Env(Err(message)) => message,
                    Part::Env(Ok(id)) if !ids.contains(&id) => {
                        format!("nothing defines {id}; write its command into {id}.toml beside it")
                    }
                    Part::Definition(Ok(_)) | Part::Env(Ok(_)) | Part::Other => continue,
                };
                strays.push(Warning { place: Place { file: name_of(&path), line: None }, message });
            }
        }
        strays.extend(self.hidden()?);
        Ok(strays)
    }

    /// Submitted definitions that one written by hand hides.
    fn hidden(&self) -> Result<Vec<Warning>, FindError> {
        let by_hand: BTreeSet<_> = defined(&self.layout.definitions())?.into_keys().collect();
        let submitted = defined(&self.layout.submitted())?;
        let hidden = submitted.into_iter().filter(|(id, _)| by_hand.contains(id));
        Ok(hidden
            .map(|(id, path)| Warning {
                place: Place { file: name_of(&path), line: None },
                message: format!("is not read: {id} is also defined by hand, which is stronger"),
            })
            .collect())
    }

    /// The ids of all definitions.
    pub(crate) fn list(&self) -> Result<Vec<ExperimentId>, FindError> {
        let mut ids = BTreeSet::new();
        let mut directories = vec![self.layout.definitions(), self.layout.submitted()];
        // Broken settings must not hide the definitions that do without them.
        directories.extend(self.config_directory());
        for (index, directory) in directories.iter().enumerate() {
            let only_json = index > 1;
            let found = defined(directory)?;
            ids.extend(found.into_iter().filter_map(|(id, path)| {
                let json = path.extension().is_some_and(|extension| extension == "json");
                (json || !only_json).then_some(id)
            }));
        }
        Ok(ids.into_iter().collect())
    }
}

/// What a file's name says that it is.
enum Part {
    Definition(Result<ExperimentId, String>),
    Env(Result<ExperimentId, String>),
    Other,
}

fn part_of(name: &OsString) -> Part {
    let path = Path::new(name);
    let stem = || {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        ExperimentId::new(&stem).map_err(|error| format!("is not read: {error}"))
    };
    match path.extension().and_then(|extension| extension.to_str()) {
        // Editors and our own writers keep hidden files meanwhile.
        _ if name.as_encoded_bytes().starts_with(b".") => Part::Other,
        Some("toml" | "json") => Part::Definition(stem()),
        Some("env") => Part::Env(stem()),
        _ => Part::Other,
    }
}

fn defined(directory: &Path) -> Result<BTreeMap<ExperimentId, PathBuf>, FindError> {
    let definitions = names(directory)?.into_iter().filter_map(|name| match part_of(&name) {
        Part::Definition(Ok(id)) => Some((id, directory.join(name))),
        _ => None,
    });
    Ok(definitions.collect())
}

/// The names in a directory, in alphabetical order; none if there is no such directory.
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
