//! `[runner]`: what carries older configs.

use std::collections::BTreeMap;

use crate::definition::spec::{AbsolutePath, ExperimentSpec};
use crate::definition::template;

/// `[runner]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Runner {
    /// Program and arguments; `{config}` is replaced by the config's path, which otherwise
    /// becomes the last argument.
    pub command: Vec<String>,
    /// Where else the older configs lie.
    pub config_directory: Option<AbsolutePath>,
    /// The working directory.
    pub directory: Option<AbsolutePath>,
    /// The user they run as; a dynamic user of their own if absent.
    pub user: Option<String>,
    /// Added to their environment.
    pub environment: BTreeMap<String, String>,
    /// Paths that they may write besides their state.
    pub writable: Vec<AbsolutePath>,
}

impl Runner {
    /// Takes the runner's part of an older config's definition.
    pub(crate) fn lend(&self, config: &str, spec: &mut ExperimentSpec) {
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
