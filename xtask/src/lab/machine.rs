//! What containers and emulated machines have in common.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// Something that boots, runs the agent, and can be booted again with the same disk.
pub(super) trait Machine {
    /// Starts the next boot. What the agent reports is read from the boot's results file.
    fn boot(&mut self) -> Result<Boot>;

    /// Frees what the machine keeps on disk and nobody wants to look at.
    fn discard(&mut self);
}

/// One boot of a machine; dropping it takes the power away.
#[derive(Debug)]
pub(super) struct Boot {
    child: Child,
    /// Where the agent's messages arrive; it may not be there yet.
    pub(super) results: PathBuf,
    /// Everything the machine wrote to its console.
    pub(super) console: PathBuf,
}

impl Boot {
    /// Starts the program that is the machine, its output in the console file.
    ///
    /// The kernel kills it when our thread ends, however that happens. (The thread, not the process:
    /// a boot belongs to the thread that started it.)
    pub(super) fn start(machine: &Command, results: PathBuf, console: PathBuf) -> Result<Self> {
        let log = std::fs::File::create(&console)
            .with_context(|| format!("cannot write {}", console.display()))?;
        let child = Command::new("setpriv")
            .arg("--pdeathsig=KILL")
            .arg(machine.get_program())
            .args(machine.get_args())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot run setpriv (package util-linux)")?;
        Ok(Self { child, results, console })
    }

    /// Whether the machine has gone down by itself.
    pub(super) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Takes the power away: SIGKILL, and not a moment to say good-bye.
    pub(super) fn cut_power(&mut self) -> Result<()> {
        if !self.has_ended()? {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Boot {
    fn drop(&mut self) {
        // Nothing is left to do about a process that cannot be killed.
        drop(self.cut_power());
    }
}
