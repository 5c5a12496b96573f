//! Calls `bij` below a temporary root.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A temporary root, and calls of `bij --root` below it.
pub(crate) struct Bij {
    root: TempDir,
}

/// The exit code and the output of a call.
#[derive(Debug)]
pub(crate) struct CallResult {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for CallResult {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl CallResult {
    /// Returns its stdout as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Bij {
    pub(crate) fn new() -> Self {
        Self { root: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Writes a file below the root.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(&path).unwrap().write_all(bytes.as_ref()).unwrap();
        path
    }

    /// Writes a definition by hand.
    pub(crate) fn define(&self, file: &str, text: impl AsRef<[u8]>) -> PathBuf {
        self.write(&format!("etc/brain-in-jar/experiments/{file}"), text)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bij"));
        command.arg("--root").arg(self.root.path()).args(words).stdin(Stdio::null());
        command
    }

    /// Calls `bij` and waits for its end.
    pub(crate) fn call(&self, words: &[&str]) -> CallResult {
        self.command(words).output().unwrap().into()
    }

    /// Starts `bij` and returns at once.
    pub(crate) fn spawn(&self, words: &[&str]) -> Child {
        self.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Returns all paths below the root, to detect changes.
    pub(crate) fn listing(&self) -> Vec<PathBuf> {
        fn walk(directory: &Path, all: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, all);
                }
                all.push(path);
            }
        }
        let mut all = Vec::new();
        walk(self.root.path(), &mut all);
        all.sort();
        all
    }
}

/// Waits until a condition holds; the limit of a minute is for a machine under heavy load.
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
