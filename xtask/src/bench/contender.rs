//! What every queue under measurement can do.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A queue that takes additions and starts nothing.
pub(super) trait Contender {
    /// Its name and version.
    fn name(&self) -> String;

    /// The command that adds one run.
    fn add(&self) -> Command;

    /// The command that lists the queue.
    fn list(&self) -> Command;

    /// The process that keeps it.
    fn daemon(&self) -> u32;
}

/// A process that is ended when its owner goes.
#[derive(Debug)]
pub(super) struct Daemon(Child);

impl Daemon {
    /// Starts it; what it says is of no interest.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let program = child.get_program().to_string_lossy().into_owned();
        child.spawn().map(Self).with_context(|| format!("cannot run {program}"))
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended by itself needs no ending.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// How long a daemon may take to answer for the first time.
const UP_WITHIN: Duration = Duration::from_secs(10);

/// Repeats a command until it succeeds: the daemon is up.
pub(super) fn wait_until(mut command: impl FnMut() -> Command) -> Result<()> {
    let begun = Instant::now();
    loop {
        let output = command().stdin(Stdio::null()).output().context("cannot ask the daemon")?;
        if output.status.success() {
            return Ok(());
        }
        if begun.elapsed() > UP_WITHIN {
            bail!("the daemon does not answer: {}", String::from_utf8_lossy(&output.stderr));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A field of a file of /proc, in its own unit.
pub(super) fn proc_field(pid: u32, file: &str, field: &str) -> Result<u64> {
    let path = Path::new("/proc").join(pid.to_string()).join(file);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    text.lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("{} has no {field}", path.display()))
}
