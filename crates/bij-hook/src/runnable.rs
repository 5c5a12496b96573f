//! Reasons why a unit cannot run: those that a start checks beforehand, and those that `bij-hook refuse` explains.
//!
//! For systemd, a start has succeeded as soon as the launcher of the experiment's command runs, and the unit ignores a
//! missing directory. The hook checks beforehand, so that `systemctl start` fails and says why.

use std::fmt::Write as _;
use std::path::Path;

use bij_core::port::{DefinitionSource, FindError};
use bij_core::spec::ExperimentSpec;
use bij_core::{ExperimentId, Layout, Obstacle, error_chain};
use bij_definition::HostView;

/// Directories that a unit sees differently from the hook (`PrivateTmp=`).
const PRIVATE: [&str; 2] = ["/tmp", "/var/tmp"];

/// Returns the machine below `root` as a unit sees it; `path` is the `$PATH` of the unit, used if the definition sets
/// none.
pub(crate) fn host_view<'a>(root: &'a Path, path: Option<&'a str>) -> HostView<'a> {
    HostView { root, path, hidden: &PRIVATE }
}

/// Returns the first missing or unusable directory that a definition names.
///
/// systemd cannot check them: if a hook could not enter the directory, it would treat the start as skipped.
pub(crate) fn directory_obstacle(root: &Path, spec: &ExperimentSpec) -> Option<Obstacle> {
    let view = host_view(root, None);
    view.directory(spec).or_else(|| view.writable(spec)).or_else(|| {
        // A directory that cannot be read counts as missing.
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
    host_view(root, path).command(spec).filter(|_| !has_operator_drop_ins(root, &spec.id))
}

/// Returns whether an operator has drop-ins for the unit. They may give it other mounts or another root, in which only
/// the unit itself can find its command.
fn has_operator_drop_ins(root: &Path, id: &ExperimentId) -> bool {
    let etc = root.join("etc/systemd/system");
    etc.join(format!("{}.d", id.unit_name())).is_dir()
        || etc.join("brain-experiment@.service.d").is_dir()
}

/// Why the unit has no command, so that its bare template was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCommand {
    /// The reason, with a hint.
    pub text: String,
    /// Whether the definition must be changed first. Otherwise the same start may succeed the next time.
    pub is_final: bool,
}

impl NoCommand {
    /// Returns why the unit has no command, so that its bare template was started.
    pub fn diagnose(
        definitions: &impl DefinitionSource,
        layout: &Layout,
        id: &ExperimentId,
    ) -> Self {
        let permanent = |text| Self { text, is_final: true };
        let temporary = |text| Self { text, is_final: false };
        match definitions.find(id) {
            Err(error @ FindError::Missing { .. }) => permanent(format!(
                "{error}\nhint: write {}/{id}.toml with a line such as command = [\"/usr/bin/python3\", \"-u\", \"main.py\"]",
                layout.definitions().display()
            )),
            Err(FindError::Invalid { id, source }) => {
                let mut text = format!("the definition of {id} cannot be used:");
                for problem in &source.problems {
                    write!(text, "\n  {problem}").expect("writing to a String cannot fail");
                    if let Some(hint) = &problem.hint {
                        write!(text, " (hint: {hint})").expect("writing to a String cannot fail");
                    }
                }
                write!(
                    text,
                    "\nhint: correct it, check it with `bij check {id}`, then start it again"
                )
                .expect("writing to a String cannot fail");
                permanent(text)
            }
            Err(error) => temporary(error_chain(&error)),
            Ok(found) => temporary(format!(
                "{} is valid, but the unit was started without its settings ({} is not loaded)\nhint: start it again",
                found.source,
                layout.drop_in(id).display()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_not_checked_where_the_unit_may_see_other_files() {
        let tree = tempfile::tempdir().unwrap();
        let obstacle = |program: &str| {
            let id = ExperimentId::new("x").unwrap();
            let spec = ExperimentSpec::new(id, vec![program.to_owned()]);
            command_obstacle(tree.path(), &spec, None).map(|obstacle| obstacle.to_string())
        };
        assert!(obstacle("/opt/none").unwrap().starts_with("/opt/none is not there"));
        for private in ["/tmp/none", "/var/tmp/none"] {
            assert_eq!(obstacle(private), None, "{private}");
        }
        let operators = tree.path().join("etc/systemd/system/brain-experiment@x.service.d");
        std::fs::create_dir_all(operators).unwrap();
        assert_eq!(obstacle("/opt/none"), None, "it may be bound into place");
    }
}
