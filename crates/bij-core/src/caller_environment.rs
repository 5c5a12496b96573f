//! Which variables of its caller's environment an experiment gets.
//!
//! A command that is typed at a shell takes [the shell's tools](is_of_tools) along, with and without systemd.
//! Nothing else goes along: a shell's environment holds secrets, and a definition is kept.

/// Where programs and libraries are found: `PATH`, and what activating an environment of Python, conda or
/// CUDA sets.
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

/// `PATH` of a service of PID 1 where nothing else is set (systemd.exec(5), "$PATH").
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a login sets (environ(7), locale(7), file-hierarchy(7)).
const SESSION: [&str; 8] = ["HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"];
const SESSION_PREFIXES: [&str; 2] = ["LC_", "XDG_"];

/// Returns whether a variable says where programs and libraries are found.
pub fn is_of_tools(name: &str) -> bool {
    TOOLS.contains(&name)
}

/// Returns whether a variable describes the user's session: home, locale, time zone, directories. An
/// experiment without systemd runs in the session of its caller and gets these too.
pub fn is_of_session(name: &str) -> bool {
    SESSION.contains(&name) || SESSION_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_of_neither_kind() {
        for name in ["AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "WANDB_API_KEY", "SSH_AUTH_SOCK", "PATHS"]
        {
            assert!(!is_of_tools(name) && !is_of_session(name), "{name}");
        }
        assert!(is_of_tools("VIRTUAL_ENV") && is_of_session("LC_ALL") && is_of_session("HOME"));
    }
}
