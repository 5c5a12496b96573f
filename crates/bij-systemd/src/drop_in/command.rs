//! The command line of an experiment, as `ExecStart=` takes it.

use std::path::Path;

use super::quote::word;

/// The launcher, which adds the experiment's environment to the unit's and executes the command.
pub(crate) const LAUNCHER: &str = "/usr/libexec/brain-in-jar/bij-exec";

/// Returns the value of `ExecStart=` that passes exactly `command` to the process, with the variables of the
/// file `environment`.
///
/// The prefix `:` (systemd 244) switches off `$` expansion. Every argument is quoted, so that a lone `;` and an
/// empty text are arguments (systemd.service(5), "Command lines").
pub(super) fn exec_start(environment: &Path, command: &[String]) -> String {
    let environment = environment.to_string_lossy();
    let words =
        [&environment, "--"].into_iter().chain(command.iter().map(String::as_str)).map(word);
    std::iter::once(format!(":{LAUNCHER}")).chain(words).collect::<Vec<_>>().join(" ")
}
