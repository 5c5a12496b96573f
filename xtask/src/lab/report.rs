//! One line a scenario, a console's tail where one failed, and the count at the end.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Error;

/// So much of a console is shown when a scenario failed; the whole file is kept.
const CONSOLE_LINES: usize = 25;

/// How many tests passed, and which did not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    /// The names of the tests that failed, each with its lane.
    pub(crate) failed: Vec<String>,
    /// The names of those tests that passed only when they were tried again.
    pub(crate) flaky: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.flaky.extend(other.flaky);
    }
}

/// A scenario has measured something.
pub(super) fn told(machine: &str, scenario: &str, text: &str) {
    println!("{machine:<18} tells   {scenario}: {text}");
}

pub(super) fn passed(machine: &str, scenario: &str, took: Duration) {
    println!("{machine:<18} ok      {scenario} ({:.1} s)", took.as_secs_f64());
}

pub(super) fn failed(machine: &str, scenario: &str, took: Duration, reason: &str) {
    let reason = reason.replace('\n', "\n    ");
    println!("{machine:<18} FAILED  {scenario} ({:.1} s)\n    {reason}", took.as_secs_f64());
}

/// A scenario that failed has held in a machine of its own.
pub(super) fn flaky(machine: &str, scenario: &str) {
    println!("{machine:<18} FLAKY   {scenario}: failed, and held when it was tried again");
}

/// The machine as such failed, beyond any scenario.
pub(super) fn broken(machine: &str, error: &Error) {
    println!("{machine:<18} FAILED  {error:#}");
}

/// Shows the end of a console's log.
pub(super) fn console(machine: &str, log: &Path) {
    let Ok(bytes) = fs::read(log) else { return };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return;
    }
    let from = lines.len().saturating_sub(CONSOLE_LINES);
    println!("{machine:<18} console, of {}:", log.display());
    for line in &lines[from..] {
        println!("    | {}", line.trim_end_matches('\r'));
    }
}
