//! Commands that certainly cannot be executed.
//!
//! systemd takes a start for done as soon as the launcher of the experiment's command runs. So that
//! `systemctl start` still fails for a program that is not there, the hook looks beforehand.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bij_core::ExperimentId;
use bij_core::definition::ExperimentSpec;

/// Where a unit of its own has another view than the hook (`PrivateTmp=`).
const PRIVATE: [&str; 2] = ["/tmp", "/var/tmp"];

/// Says why the command of a definition certainly cannot be executed, and what helps; `None` if it may
/// be possible. `path` is the `$PATH` that the unit gives where the definition gives none.
pub(crate) fn obstacle(root: &Path, spec: &ExperimentSpec, path: Option<&str>) -> Option<String> {
    let program = spec.command.first()?;
    let obstacle = if program.contains('/') {
        let lies = match (program.starts_with('/'), &spec.directory) {
            (true, _) => PathBuf::from(program),
            (false, Some(directory)) => Path::new(directory.as_str()).join(program),
            // Relative to a state directory that systemd makes.
            (false, None) => return None,
        };
        obstacle_at(root, &lies).map(|what| format!("{program} {what}"))
    } else {
        let path = spec.environment.get("PATH").map(String::as_str).or(path)?;
        let directories: Vec<&str> = path.split(':').collect();
        // Another than an absolute directory depends on where the process is.
        let all_absolute = directories.iter().all(|directory| directory.starts_with('/'));
        let missing =
            |directory: &&str| obstacle_at(root, &Path::new(directory).join(program)).is_some();
        (all_absolute && directories.iter().all(missing)).then(|| {
            format!(
                "{program} is no executable file in any directory of the experiment's PATH ({path}); \
                 give its absolute path in `command`"
            )
        })
    };
    obstacle.filter(|_| !has_settings_of_an_operator(root, &spec.id))
}

/// What is wrong with a program's file; `None` also where the hook cannot see what the unit will see.
fn obstacle_at(root: &Path, path: &Path) -> Option<&'static str> {
    if PRIVATE.iter().any(|private| path.starts_with(private)) {
        return None;
    }
    let below = root.join(path.strip_prefix("/").unwrap_or(path));
    match fs::metadata(below) {
        Err(error) => {
            let absent =
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
            absent.then_some("is not there; install it, or change `command`")
        }
        Ok(file) if file.is_dir() => Some("is a directory; name the program in it in `command`"),
        Ok(file) if file.permissions().mode() & 0o111 == 0 => {
            Some("is not executable; chmod +x it, or put its interpreter before it in `command`")
        }
        Ok(_) => None,
    }
}

/// Whether an operator has drop-ins for the unit, which may give it other mounts or another root: then
/// only the unit itself can tell what is there.
fn has_settings_of_an_operator(root: &Path, id: &ExperimentId) -> bool {
    let etc = root.join("etc/systemd/system");
    etc.join(format!("{}.d", id.unit_name())).is_dir()
        || etc.join("brain-experiment@.service.d").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            tree.write("opt/plain", 0o644);
            tree.write("opt/run", 0o755);
            tree
        }

        fn write(&self, name: &str, mode: u32) {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }

        fn spec(program: &str) -> ExperimentSpec {
            ExperimentSpec::new(ExperimentId::new("x").unwrap(), vec![program.to_owned()])
        }

        fn obstacle(&self, program: &str) -> Option<String> {
            obstacle(self.0.path(), &Self::spec(program), Some("/usr/bin:/opt"))
        }
    }

    #[test]
    fn what_certainly_cannot_run_is_told_with_the_remedy() {
        let tree = Tree::new();
        let told = |program: &str| tree.obstacle(program).unwrap();
        assert!(told("/opt/none").starts_with("/opt/none is not there; install it"));
        assert!(told("/opt/run/deeper").contains("is not there"));
        assert!(told("/opt").contains("is a directory"));
        assert!(told("/opt/plain").contains("chmod +x"));
        assert!(told("none").contains("PATH (/usr/bin:/opt)"));
        let mut spec = Tree::spec("./none");
        spec.directory = Some("/opt".parse().unwrap());
        assert!(obstacle(tree.0.path(), &spec, None).unwrap().starts_with("./none is not there"));
        let mut spec = Tree::spec("run");
        spec.environment.insert("PATH".to_owned(), "/usr/bin".to_owned());
        assert!(obstacle(tree.0.path(), &spec, Some("/opt")).is_some(), "its own PATH counts");
    }

    #[test]
    fn what_may_run_is_left_to_the_exec() {
        let tree = Tree::new();
        for program in ["/opt/run", "run", "/tmp/none", "/var/tmp/none", "./none"] {
            assert_eq!(tree.obstacle(program), None, "{program}");
        }
        assert_eq!(obstacle(tree.0.path(), &Tree::spec("none"), None), None);
        assert_eq!(obstacle(tree.0.path(), &Tree::spec("none"), Some("/usr/bin:.")), None);
        let operators = tree.0.path().join("etc/systemd/system/brain-experiment@x.service.d");
        fs::create_dir_all(operators).unwrap();
        assert_eq!(tree.obstacle("/opt/none"), None, "it may be bound into place");
    }
}
