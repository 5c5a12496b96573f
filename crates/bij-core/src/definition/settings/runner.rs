//! `[runner]`: the command of older configs.

use std::collections::BTreeMap;

use crate::definition::spec::{AbsolutePath, ExperimentSpec};
use crate::definition::template;

/// `[runner]`: command, user and environment of all older configs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Runner {
    /// Program and arguments; `{config}` is replaced by the path of the config, which is otherwise appended
    /// as the last argument.
    pub command: Vec<String>,
    /// The directory of older configs.
    pub config_directory: Option<AbsolutePath>,
    /// The working directory; the experiment's state directory if absent.
    pub directory: Option<AbsolutePath>,
    /// The user to run as; a dynamic user for each experiment if absent.
    pub user: Option<String>,
    /// Variables to add to the environment.
    pub environment: BTreeMap<String, String>,
    /// Paths to write to, beside the experiment's state.
    pub writable: Vec<AbsolutePath>,
}

impl Runner {
    /// Applies the runner to the definition of an older config.
    pub(crate) fn apply(&self, config: &str, spec: &mut ExperimentSpec) {
        spec.command.clone_from(&self.command);
        if !spec.command.iter().any(|argument| template::has_placeholder(argument)) {
            spec.command.push("{config}".to_owned());
        }
        spec.config = Some(config.to_owned());
        spec.directory.clone_from(&self.directory);
        spec.user.clone_from(&self.user);
        spec.environment.clone_from(&self.environment);
        spec.writable.clone_from(&self.writable);
    }
}
