//! Whether anything that a definition is made from has changed, without reading it.

use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bij_core::ExperimentId;
use fnv::FnvHasher;

use crate::Definitions;

impl Definitions {
    /// What the system knows of all files that a definition may be made from.
    pub(crate) fn fingerprint_of_files(&self, id: &ExperimentId) -> u64 {
        let mut hasher = FnvHasher::default();
        let mut is_defined = false;
        for directory in [self.layout.definitions(), self.layout.submitted()] {
            for ending in ["toml", "json"] {
                is_defined |= look(&directory.join(format!("{id}.{ending}")), &mut hasher);
            }
        }
        for path in [self.env_path(id), self.extras_path(id), self.layout.settings()] {
            look(&path, &mut hasher);
        }
        // Where the older tool's configs lie only the settings tell, so they are read for those alone.
        if !is_defined && let Ok(Some(path)) = self.config_path(id) {
            look(&path, &mut hasher);
        }
        hasher.finish()
    }
}

/// Takes in a file; says whether it is there. A link counts by what it leads to, as it is read.
fn look(path: &Path, hasher: &mut FnvHasher) -> bool {
    let metadata = path.metadata().ok();
    let facts = metadata.as_ref().map(|it| {
        // The last of them nobody can set back, as an editor or a copy does with the one before.
        let modified = (it.mtime(), it.mtime_nsec());
        let modes = (it.uid(), it.gid(), it.mode());
        (it.dev(), it.ino(), it.size(), modified, (it.ctime(), it.ctime_nsec()), modes)
    });
    facts.hash(hasher);
    facts.is_some()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bij_core::Layout;
    use bij_core::definition::SpecOverlay;
    use bij_core::port::DefinitionSource as _;

    use super::*;

    #[test]
    fn it_changes_with_each_file_that_a_definition_is_made_from() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::system(root.path());
        let definitions = Definitions::new(layout.clone());
        let id = ExperimentId::new("x").unwrap();
        let configs = root.path().join("configs");
        for directory in [&layout.definitions(), &layout.submitted(), &configs] {
            fs::create_dir_all(directory).unwrap();
        }
        let settings = format!("[runner]\ncommand = [\"x\"]\nconfig_directory = {configs:?}\n");
        let mut seen = vec![definitions.fingerprint(&id)];
        let mut look = |what: &str| {
            let now = definitions.fingerprint(&id);
            assert_eq!(now, definitions.fingerprint(&id), "{what}: nothing has changed");
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        for (path, text) in [
            (layout.settings(), settings.as_str()),
            (configs.join("x.json"), "{}"),
            (layout.submitted().join("x.json"), "{}"),
            (layout.submitted().join("x.toml"), "command = [\"a\"]"),
            (layout.definitions().join("x.toml"), "command = [\"a\"]"),
            (layout.definitions().join("x.toml"), "command = [\"a\", \"b\"]"),
            (layout.definitions().join("x.env"), "MAX_TEMP_CELSIUS=80"),
        ] {
            fs::write(&path, text).unwrap();
            look(&path.display().to_string());
        }
        let overlay: &[u8] = b"limits.tasks = 7\n";
        let overlay = bij_core::definition::SourceFile::new("extras", overlay);
        definitions.set_extras(&id, &SpecOverlay::parse(overlay).unwrap()).unwrap();
        look("what holds for this run only");
        fs::remove_file(layout.definitions().join("x.env")).unwrap();
        look("a file that has gone");
    }
}
