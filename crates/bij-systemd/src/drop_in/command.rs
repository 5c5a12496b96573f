//! The command line of an experiment, as `ExecStart=` takes it.

use std::path::Path;

use super::quote::word;

/// Lays the experiment's environment over the unit's own and executes the command in its place.
pub(crate) const LAUNCHER: &str = "/usr/libexec/brain-in-jar/bij-exec";

/// The value of `ExecStart=` by which the process gets exactly `command`, with the variables of the
/// file `environment`.
///
/// The prefix `:` (systemd 244) switches off `$` expansion. Every argument is quoted, so that a
/// lone `;` is an argument and an empty one is one too (systemd.service(5), "Command lines").
pub(super) fn exec_start(environment: &Path, command: &[String]) -> String {
    let environment = environment.to_string_lossy();
    let words =
        [&environment, "--"].into_iter().chain(command.iter().map(String::as_str)).map(word);
    std::iter::once(format!(":{LAUNCHER}")).chain(words).collect::<Vec<_>>().join(" ")
}
