//! What a start would certainly fail of.
//!
//! systemd takes a start for done as soon as the launcher of the experiment's command runs, and is told to
//! pass over a directory that is missing. So that `systemctl start` still fails, and says why, the hook
//! looks beforehand.

use std::path::Path;

use bij_core::definition::ExperimentSpec;
use bij_core::{ExperimentId, Obstacle};
use bij_definitions::HostView;

/// Where a unit of its own has another view than the hook (`PrivateTmp=`).
const PRIVATE: [&str; 2] = ["/tmp", "/var/tmp"];

/// The machine below `root` as a unit finds it; `path` is the `$PATH` that the unit gives where the
/// definition gives none.
pub(crate) fn host_view<'a>(root: &'a Path, path: Option<&'a str>) -> HostView<'a> {
    HostView { root, path, hidden: &PRIVATE }
}

/// Returns what is wrong with the places that a definition names.
///
/// systemd does not look for them: it would take the failure of a hook to enter the directory for a
/// condition that says "not now".
pub(crate) fn place_obstacle(root: &Path, spec: &ExperimentSpec) -> Option<Obstacle> {
    let view = host_view(root, None);
    view.directory(spec).or_else(|| view.writable(spec)).or_else(|| {
        // Also one that cannot be looked at.
        let path = spec.directory.as_ref()?.as_str();
        let is_there = root.join(path.trim_start_matches('/')).is_dir();
        (!is_there).then(|| Obstacle::NoDirectory { path: path.to_owned() })
    })
}

/// Returns why the command of a definition certainly cannot be executed.
pub(crate) fn command_obstacle(
    root: &Path,
    spec: &ExperimentSpec,
    path: Option<&str>,
) -> Option<Obstacle> {
    host_view(root, path).command(spec).filter(|_| !has_settings_of_an_operator(root, &spec.id))
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

    #[test]
    fn where_the_unit_may_see_other_files_the_command_is_left_to_the_exec() {
        let tree = tempfile::tempdir().unwrap();
        let told = |program: &str| {
            let id = ExperimentId::new("x").unwrap();
            let spec = ExperimentSpec::new(id, vec![program.to_owned()]);
            command_obstacle(tree.path(), &spec, None).map(|obstacle| obstacle.to_string())
        };
        assert!(told("/opt/none").unwrap().starts_with("/opt/none is not there"));
        for private in ["/tmp/none", "/var/tmp/none"] {
            assert_eq!(told(private), None, "{private}");
        }
        let operators = tree.path().join("etc/systemd/system/brain-experiment@x.service.d");
        std::fs::create_dir_all(operators).unwrap();
        assert_eq!(told("/opt/none"), None, "it may be bound into place");
    }
}
