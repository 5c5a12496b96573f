//! How changes are detected: the fingerprint of definition files, and the stamp of a rendered definition.

use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bij_core::ExperimentId;
use bij_core::spec::{ExperimentSpec, RENDERING};
use fnv::FnvHasher;

use super::Definitions;

impl Definitions {
    /// Returns a hash of the metadata of all files that a definition may be made from.
    pub(crate) fn fingerprint_of_files(&self, id: &ExperimentId) -> u64 {
        let mut hasher = FnvHasher::default();
        let mut is_defined = false;
        for directory in [self.layout.definitions(), self.layout.submitted()] {
            for ending in ["toml", "json"] {
                is_defined |= hash_metadata(&directory.join(format!("{id}.{ending}")), &mut hasher);
            }
        }
        for path in [self.env_path(id), self.extras_path(id), self.layout.settings()] {
            hash_metadata(&path, &mut hasher);
        }
        // Only the settings name the directory of older configs, so they are read only for experiments
        // without another definition.
        if !is_defined && let Ok(Some(path)) = self.config_path(id) {
            hash_metadata(&path, &mut hasher);
        }
        hasher.finish()
    }
}

/// Hashes the metadata of a file, following links; returns whether the file exists.
fn hash_metadata(path: &Path, hasher: &mut FnvHasher) -> bool {
    let metadata = path.metadata().ok();
    let facts = metadata.as_ref().map(|it| {
        // Editors and copies can set the modification time back; the change time cannot be set.
        let modified = (it.mtime(), it.mtime_nsec());
        let modes = (it.uid(), it.gid(), it.mode());
        (it.dev(), it.ino(), it.size(), modified, (it.ctime(), it.ctime_nsec()), modes)
    });
    facts.hash(hasher);
    facts.is_some()
}

/// Returns the stamp of a rendered definition: FNV-1a, 64 bits, 16 hexadecimal digits.
///
/// It distinguishes an edited definition from the loaded one and is no protection, because an account that
/// can write a definition needs no collision. All users can read it, so the environment and the config are
/// not part of it: each start reads them again, and a stamp of a secret would make guesses possible.
pub(crate) fn stamp(source: &str, spec: &ExperimentSpec) -> String {
    let mut rendered = spec.clone();
    rendered.environment.clear();
    rendered.config = None;
    let mut hasher = FnvHasher::default();
    RENDERING.hash(&mut hasher);
    source.hash(&mut hasher);
    format!("{rendered:?}").hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::SpecOverlay;
    use bij_core::Layout;
    use bij_core::port::DefinitionSource as _;

    use super::*;

    #[test]
    fn the_fingerprint_changes_with_each_file_of_a_definition() {
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
        let mut check_change = |what: &str| {
            let now = definitions.fingerprint(&id);
            assert_eq!(now, definitions.fingerprint(&id), "{what}: unchanged files");
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
            check_change(&path.display().to_string());
        }
        let overlay: &[u8] = b"limits.tasks = 7\n";
        let overlay = crate::SourceFile::new("extras", overlay);
        definitions.set_extras(&id, &SpecOverlay::parse(overlay).unwrap()).unwrap();
        check_change("extras");
        fs::remove_file(layout.definitions().join("x.env")).unwrap();
        check_change("a removed file");
    }
}
