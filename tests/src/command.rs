//! Runs programs inside the machine; whatever goes wrong names the command and shows its output.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::Failure;

/// No single command of a scenario may take longer than this, unless it says so by [`run_for`].
const PATIENCE: Duration = Duration::from_secs(120);

/// `timeout(1)` ends with this code when it had to step in.
const TIMED_OUT: i32 = 124;

/// Reports travel over a serial port: of a long output its end is kept, where errors stand.
const SHOWN: usize = 4000;

/// What a finished command left.
#[derive(Clone, Debug)]
pub struct Output {
    line: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a program to its end.
///
/// # Errors
///
/// When it cannot be started, or runs for more than two minutes. A failing exit code is no error here:
/// ask for the code you expect by [`Output::success`] or [`Output::code`].
pub fn run<S: AsRef<OsStr>>(
    program: &str,
    args: impl IntoIterator<Item = S>,
) -> Result<Output, Failure> {
    run_for(PATIENCE, program, args)
}

/// Runs a shell script to its end, as [`run`] does a program; it stops at its first failing command.
///
/// # Errors
///
/// As [`run`].
pub fn sh(script: &str) -> Result<Output, Failure> {
    run("sh", ["-euc", script])
}

/// [`run`] with a patience of one's own.
///
/// # Errors
///
/// As [`run`].
pub fn run_for<S: AsRef<OsStr>>(
    patience: Duration,
    program: &str,
    args: impl IntoIterator<Item = S>,
) -> Result<Output, Failure> {
    let mut command = Command::new("timeout");
    command.arg("--kill-after=5").arg(patience.as_secs().to_string()).arg(program);
    let mut line = program.to_owned();
    for arg in args {
        let arg = arg.as_ref();
        line.push(' ');
        line.push_str(&shown(&arg.to_string_lossy()));
        command.arg(arg);
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::new(format!("`{line}` did not start: {error}")))?;
    let output = Output {
        line,
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    if output.code == Some(TIMED_OUT) {
        return Err(output.unexpected(&format!("to end within {} s", patience.as_secs())));
    }
    Ok(output)
}

fn shown(arg: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+*".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) { arg.to_owned() } else { format!("{arg:?}") }
}

impl Output {
    /// The command must have ended with exit code 0.
    ///
    /// # Errors
    ///
    /// When it did not.
    pub fn success(self) -> Result<Self, Failure> {
        self.code(0)
    }

    /// The command must have ended with this exit code.
    ///
    /// # Errors
    ///
    /// When it did not.
    pub fn code(self, expected: i32) -> Result<Self, Failure> {
        if self.code == Some(expected) {
            Ok(self)
        } else {
            Err(self.unexpected(&format!("exit code {expected}")))
        }
    }

    /// Whether the command ended with exit code 0.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// The exit code; absent when a signal ended it.
    pub fn exit_code(&self) -> Option<i32> {
        self.code
    }

    /// What it wrote to its standard output.
    pub fn stdout(&self) -> &str {
        &self.stdout
    }

    /// What it wrote to its standard error.
    pub fn stderr(&self) -> &str {
        &self.stderr
    }

    /// Its standard output, read as JSON.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn json(&self) -> Result<Value, Failure> {
        serde_json::from_str(&self.stdout)
            .map_err(|error| self.unexpected(&format!("JSON ({error})")))
    }

    /// The output must hold this text, in either stream.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn says(self, text: &str) -> Result<Self, Failure> {
        if self.stdout.contains(text) || self.stderr.contains(text) {
            Ok(self)
        } else {
            Err(self.unexpected(&format!("its output to say {text:?}")))
        }
    }

    /// The failure that this command is when something else was expected of it.
    pub fn unexpected(&self, expected: &str) -> Failure {
        let code = self.code.map_or_else(|| "a signal".to_owned(), |code| format!("code {code}"));
        let mut text = format!("expected {expected} of `{}`; it ended with {code}", self.line);
        for (name, stream) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !stream.trim().is_empty() {
                text.push_str("\n--- ");
                text.push_str(name);
                text.push('\n');
                text.push_str(tail(stream.trim_end(), SHOWN));
            }
        }
        Failure::new(text)
    }
}

/// At most the last `limit` bytes of a text, cut between characters.
fn tail(text: &str, limit: usize) -> &str {
    let mut from = text.len().saturating_sub(limit);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_exit_code_shows_the_command_and_both_streams() {
        let failure = sh("echo out; echo err >&2; exit 3").unwrap().success().unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("`sh -euc \"echo out; echo err >&2; exit 3\"`"), "{text}");
        assert!(text.contains("ended with code 3"), "{text}");
        assert!(text.contains("--- stdout\nout\n--- stderr\nerr"), "{text}");
    }

    #[test]
    fn a_command_that_hangs_is_ended_and_named() {
        let failure = run_for(Duration::from_secs(1), "sleep", ["60"]).unwrap_err();
        assert!(failure.to_string().contains("to end within 1 s of `sleep 60`"), "{failure}");
    }

    #[test]
    fn a_long_output_keeps_its_end_and_whole_characters() {
        assert_eq!(tail("\u{e9}\u{e9}\u{e9}", 3), "\u{e9}");
        assert_eq!(tail("short", 100), "short");
    }
}
