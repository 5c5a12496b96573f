//! The queues of others that do the same work: pueue and qex.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use super::contender::{Contender, Daemon, wait_until};
use crate::lab::cache_directory;
use crate::shell;

/// pueue, as its users install it.
const PUEUE: &str = "4.0.4";
/// qex, as its users install it.
const QEX: &str = "0.33.0";

/// Builds a program of crates.io once; where it lies then.
fn provide(package: &str, version: &str) -> Result<PathBuf> {
    let place = cache_directory()?.join("peers").join(format!("{package}-{version}"));
    if !place.join("bin").is_dir() {
        println!("building {package} {version}, once");
        shell::run_quietly(
            shell::cargo()
                .args(["install", "--quiet", "--locked", "--version", version, "--root"])
                .arg(&place)
                .arg(package),
        )?;
    }
    Ok(place.join("bin"))
}

/// The programs of pueue.
pub(super) fn pueue() -> Result<[PathBuf; 2]> {
    let programs = provide("pueue", PUEUE)?;
    Ok(["pueue", "pueued"].map(|name| programs.join(name)))
}

/// A command that takes a directory of ours for its user's home.
fn at_home(program: PathBuf, home: &TempDir) -> Command {
    let mut command = Command::new(program);
    command.env("HOME", home.path()).env("XDG_RUNTIME_DIR", home.path().join("run"));
    for variable in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
        command.env(variable, home.path().join(variable));
    }
    command
}

fn home() -> Result<TempDir> {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::Builder::new().prefix("bij-bench-").tempdir()?;
    let run = home.path().join("run");
    std::fs::create_dir(&run)?;
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o700))?;
    Ok(home)
}

/// pueue with its default group paused.
#[derive(Debug)]
pub(super) struct Pueue {
    // Ended before its directory goes.
    daemon: Daemon,
    home: TempDir,
    programs: PathBuf,
}

impl Pueue {
    pub(super) fn start() -> Result<Self> {
        let (programs, home) = (provide("pueue", PUEUE)?, home()?);
        let daemon = Daemon::start(&mut at_home(programs.join("pueued"), &home))?;
        let pueue = Self { daemon, home, programs };
        wait_until(|| pueue.call(&["pause"]))?;
        Ok(pueue)
    }

    fn call(&self, words: &[&str]) -> Command {
        let mut command = at_home(self.programs.join("pueue"), &self.home);
        command.args(words);
        command
    }
}

impl Contender for Pueue {
    fn name(&self) -> String {
        format!("pueue {PUEUE}")
    }

    fn add(&self) -> Command {
        self.call(&["add", "--", "true"])
    }

    fn list(&self) -> Command {
        self.call(&["status"])
    }

    fn daemon(&self) -> u32 {
        self.daemon.id()
    }
}

/// qex with its queue paused.
#[derive(Debug)]
pub(super) struct Qex {
    // Ended before its directory goes.
    daemon: Daemon,
    home: TempDir,
    programs: PathBuf,
}

impl Qex {
    pub(super) fn start() -> Result<Self> {
        let (programs, home) = (provide("qex", QEX)?, home()?);
        let daemon = Daemon::start(at_home(programs.join("qex"), &home).arg("daemon"))?;
        let qex = Self { daemon, home, programs };
        wait_until(|| qex.call(&["pause", "queue"]))?;
        Ok(qex)
    }

    fn call(&self, words: &[&str]) -> Command {
        let mut command = at_home(self.programs.join("qex"), &self.home);
        command.args(words);
        command
    }
}

impl Contender for Qex {
    fn name(&self) -> String {
        format!("qex {QEX}")
    }

    fn add(&self) -> Command {
        self.call(&["submit", "--cpu", "1", "--mem", "10MB", "--", "true"])
    }

    fn list(&self) -> Command {
        self.call(&["list"])
    }

    fn daemon(&self) -> u32 {
        self.daemon.id()
    }
}
