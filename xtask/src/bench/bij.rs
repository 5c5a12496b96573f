//! Our own queue, below a directory of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::contender::{Contender, Daemon, wait_until};

/// The coordinator and its queue; admission is paused.
#[derive(Debug)]
pub(super) struct Bij {
    // Ended before its directory goes.
    daemon: Daemon,
    root: tempfile::TempDir,
    program: PathBuf,
}

impl Bij {
    /// Starts a coordinator on an empty queue.
    pub(super) fn start(programs: &Path) -> Result<Self> {
        let root = tempfile::Builder::new().prefix("bij-bench-").tempdir()?;
        let definitions = root.path().join("etc/brain-in-jar/experiments");
        std::fs::create_dir_all(&definitions)?;
        std::fs::write(definitions.join("bench.toml"), "command = [\"/bin/true\"]\n")?;
        lend_proc(root.path())?;
        let mut coordinator = Command::new(programs.join("bijd"));
        // As its unit has it.
        coordinator.arg("--root").arg(root.path());
        coordinator.env("MALLOC_MMAP_THRESHOLD_", "131072").env("MALLOC_ARENA_MAX", "1");
        let daemon = Daemon::start(&mut coordinator)?;
        let bij = Self { daemon, root, program: programs.join("bij") };
        wait_until(|| bij.call(&["pause"]))?;
        Ok(bij)
    }

    /// The command that adds so many runs in one call.
    pub(super) fn fill(&self, runs: usize) -> Command {
        let mut command = self.call(&["submit"]);
        command.args(std::iter::repeat_n("bench", runs));
        command
    }

    fn call(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.root.path()).arg("--quiet").args(words);
        command
    }
}

impl Contender for Bij {
    fn name(&self) -> String {
        "bij".to_owned()
    }

    fn add(&self) -> Command {
        self.call(&["submit", "bench"])
    }

    fn list(&self) -> Command {
        self.call(&["queue"])
    }

    fn daemon(&self) -> u32 {
        self.daemon.id()
    }
}

/// What a coordinator reads of the kernel, below its own root.
fn lend_proc(root: &Path) -> Result<()> {
    for file in ["proc/sys/kernel/random/boot_id", "proc/meminfo"] {
        let to = root.join(file);
        std::fs::create_dir_all(to.parent().unwrap_or(root))?;
        std::fs::write(to, std::fs::read(Path::new("/").join(file))?)?;
    }
    Ok(())
}
