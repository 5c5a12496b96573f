//! Which variables an experiment inherits from the environment of its caller.
//!
//! A command typed at a shell inherits [the variables that locate tools](is_tool_variable), with and without
//! systemd. Nothing else is inherited: a shell's environment holds secrets, and definitions are kept on disk.

/// Variables that locate programs and libraries: `PATH`, and those that activating an environment of Python,
/// conda or CUDA sets.
pub const TOOLS: [&str; 12] = [
    "PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "CONDA_EXE",
    "CONDA_PYTHON_EXE",
    "CONDA_SHLVL",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "CUDA_HOME",
    "CUDA_PATH",
    "CUDA_VISIBLE_DEVICES",
];

/// The default `PATH` of a service of PID 1 (systemd.exec(5), "$PATH").
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables that a login sets (environ(7), locale(7), file-hierarchy(7)).
const SESSION: [&str; 8] = ["HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"];
const SESSION_PREFIXES: [&str; 2] = ["LC_", "XDG_"];

/// Returns whether a variable locates programs and libraries.
pub fn is_tool_variable(name: &str) -> bool {
    TOOLS.contains(&name)
}

/// Returns whether a variable describes the user's session: home, locale, time zone, directories. An
/// experiment without systemd runs in the session of its caller and inherits these too.
pub fn is_session_variable(name: &str) -> bool {
    SESSION.contains(&name) || SESSION_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_with_secrets_are_not_inherited() {
        for name in ["AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "WANDB_API_KEY", "SSH_AUTH_SOCK", "PATHS"]
        {
            assert!(!is_tool_variable(name) && !is_session_variable(name), "{name}");
        }
        assert!(
            is_tool_variable("VIRTUAL_ENV")
                && is_session_variable("LC_ALL")
                && is_session_variable("HOME")
        );
    }
}
