//! What is laid over an image's root: the staged tree, the agent with its unit, and a plan.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use bij_e2e::{PLAN_PATH, Plan};

use super::Wishes;
use crate::shell;
use crate::stage::{self, Linking, Profile};
use crate::workspace::Metadata;

/// The agent runs once the boot is over. Should it die, it comes back and says what it was doing.
const AGENT_UNIT: &str = "[Unit]
Description=Agent of the laboratory of bij
After=multi-user.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=/usr/lib/bij-lab/agent
Restart=on-failure
OOMScoreAdjust=-900
";

/// A staged tree with the agent in it; the same for every machine with the same C library.
#[derive(Debug)]
pub(super) struct Payload(PathBuf);

/// A payload with one machine's plan beside it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) tree: PathBuf,
    pub(super) plan: PathBuf,
}

impl Payload {
    /// Builds and stages everything, or takes what is staged already, and adds the agent.
    pub(super) fn build(linking: Linking, wishes: Wishes<'_>, directory: &Path) -> Result<Self> {
        let tree = directory.join(match linking {
            Linking::Native => "payload",
            Linking::Portable => "payload-portable",
        });
        // Tests execute some programs by the path where they were built, wherever that is.
        if tree.exists() {
            fs::remove_dir_all(&tree)
                .with_context(|| format!("cannot clear {}", tree.display()))?;
        }
        if let Some(staged) = wishes.staged {
            stage::copy(staged, &tree)?;
        } else {
            println!("building and staging the tree that the machines get");
            stage::stage_with(linking, Profile::Machines, &tree)?;
        }
        let programs =
            stage::build_programs(linking, Profile::Machines, &Metadata::read()?, &["bij-e2e"])?;
        stage::install(
            &programs.join("bij-lab-agent"),
            &tree.join("usr/lib/bij-lab/agent"),
            0o755,
        )?;
        install_tests(linking, &tree)?;
        for peer in wishes.peers {
            let name = peer.file_name().context("a peer's program has no name")?;
            let to = Path::new(bij_e2e::PEERS_PATH).strip_prefix("/")?.join(name);
            stage::install(peer, &tree.join(to), 0o755)?;
        }
        let units = tree.join("etc/systemd/system");
        fs::create_dir_all(units.join("multi-user.target.wants"))?;
        fs::write(units.join("bij-lab-agent.service"), AGENT_UNIT)?;
        symlink(
            "../bij-lab-agent.service",
            units.join("multi-user.target.wants/bij-lab-agent.service"),
        )?;
        enable_coordinator(&units)?;
        Ok(Self(tree))
    }

    /// Puts a plan beside the tree, in the machine's own directory.
    pub(super) fn with_plan(&self, plan: &Plan, directory: &Path) -> Result<Loaded> {
        let layer = directory.join("plan");
        let file = layer.join(PLAN_PATH.trim_start_matches('/'));
        fs::create_dir_all(file.parent().expect("the plan's path has a directory"))?;
        fs::write(&file, serde_json::to_vec_pretty(plan)?)?;
        Ok(Loaded { tree: self.0.clone(), plan: layer })
    }
}

/// Adds the test programs whose tests ask for a machine with systemd: the contract suite, and those of the
/// crates that make control groups.
fn install_tests(linking: Linking, tree: &Path) -> Result<()> {
    for program in stage::build_tests(linking, "bij-systemd")? {
        const WANTED: [&str; 5] =
            ["real_systemd", "any_unit", "watch_unit", "limited_service", "list_units"];
        if WANTED.contains(&program.name.as_str()) {
            let name = program.name.replace('_', "-");
            stage::install(&program.path, &tree.join("usr/lib/bij-lab").join(name), 0o755)?;
        }
    }
    for package in ["bij-cgroup", "bij-local"] {
        for program in stage::build_tests(linking, package)? {
            let path = if program.runs_tests {
                Path::new(bij_e2e::UNIT_TESTS_PATH).join(format!("{package}-{}", program.name))
            } else {
                program.path.clone()
            };
            stage::install(&program.path, &tree.join(path.strip_prefix("/")?), 0o755)?;
        }
    }
    Ok(())
}

/// What `systemctl enable brain-experiment-coordinator` does, as installing a package may have done.
fn enable_coordinator(units: &Path) -> Result<()> {
    const UNIT: &str = "brain-experiment-coordinator.service";
    let wants = units.join("brain-experiment.target.wants");
    fs::create_dir_all(&wants)?;
    let link = wants.join(UNIT);
    if !link.is_symlink() {
        symlink(Path::new("/usr/lib/systemd/system").join(UNIT), link)?;
    }
    Ok(())
}

impl Loaded {
    /// Both as one tar file, owned by root whoever built it.
    pub(super) fn pack(&self, directory: &Path) -> Result<PathBuf> {
        let file = directory.join("payload.tar");
        shell::run_quietly(
            Command::new("tar")
                .arg("--create")
                .arg("--file")
                .arg(&file)
                .args(["--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"])
                .arg("--directory")
                .arg(&self.tree)
                .arg(".")
                .arg("--directory")
                .arg(&self.plan)
                .arg("."),
        )?;
        Ok(file)
    }
}
