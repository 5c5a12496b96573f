//! Sees that the host has the laboratory's tools: installs what is missing when it may, and names it in
//! one line when it may not.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// A tool: what to look for (a program, or a file when it begins with a slash), the package it is in.
type Tool = (&'static str, &'static str);

const CONTAINER_TOOLS: &[Tool] = &[
    ("mmdebstrap", "mmdebstrap"),
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
    ("systemd-nspawn", "systemd-container"),
    ("mke2fs", "e2fsprogs"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
];

const EMULATOR_TOOLS: &[Tool] = &[("qemu-system-x86_64", EMULATOR)];

/// The package that other packages of the same source may stand in the way of.
const EMULATOR: &str = "qemu-system-x86";

/// Makes sure that every tool is there.
///
/// # Errors
///
/// When one is missing and cannot be installed; the error names all that are missing.
pub(super) fn provide(emulator: bool) -> Result<()> {
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        bail!(
            "they mount file systems and boot containers, which takes root: \
             run `sudo -E cargo xtask test`, or leave them out with `--lane unit`"
        );
    }
    let missing = missing(emulator);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if shell::find_program("apt-get").is_none() {
        bail!("these packages are missing and there is no apt-get to install them: {list}");
    }
    println!("installing packages: {list}");
    install(&missing).with_context(|| format!("these packages are missing: {list}"))?;
    let still = self::missing(emulator);
    if !still.is_empty() {
        bail!("these packages were installed, yet their tools are not there: {}", still.join(" "));
    }
    Ok(())
}

fn missing(emulator: bool) -> Vec<&'static str> {
    let tools = CONTAINER_TOOLS.iter().chain(EMULATOR_TOOLS.iter().filter(|_| emulator));
    let mut packages: Vec<&str> = tools
        .filter(|(what, _)| {
            if what.starts_with('/') {
                !Path::new(what).exists()
            } else {
                shell::find_program(what).is_none()
            }
        })
        .map(|(_, package)| *package)
        .collect();
    packages.dedup();
    packages
}

/// Installs by the first way that apt's own simulation says will work.
fn install(packages: &[&str]) -> Result<()> {
    let plain = arguments(packages);
    if simulate(&plain).is_err() {
        // The lists may be missing or old.
        shell::run_quietly(Command::new("apt-get").args(["update", "--quiet"]))?;
    }
    let ways = [Some(plain), backports(packages), same_version(packages)];
    let mut first_error = None;
    for way in ways.into_iter().flatten() {
        match simulate(&way) {
            Ok(()) => {
                return shell::run_quietly(
                    Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(&way),
                );
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.expect("there was at least one way to try"))
}

fn arguments(packages: &[&str]) -> Vec<String> {
    ["install", "--yes", "--no-install-recommends"]
        .iter()
        .chain(packages)
        .map(|&argument| argument.to_owned())
        .collect()
}

fn simulate(arguments: &[String]) -> Result<()> {
    shell::run_quietly(Command::new("apt-get").arg("--simulate").args(arguments))
}

/// Everything from backports, where the host uses them.
fn backports(packages: &[&str]) -> Option<Vec<String>> {
    let policy = shell::read(Command::new("apt-cache").arg("policy")).ok()?;
    let release = policy
        .split([',', ' ', '\n'])
        .find_map(|word| word.strip_prefix("n=").filter(|name| name.ends_with("-backports")))?;
    let mut arguments = arguments(packages);
    arguments.push(format!("--target-release={release}"));
    Some(arguments)
}

/// The emulator's sister packages brought to the emulator's version. A host that once got one of them
/// from backports, and has backports no longer, holds a newer sister which breaks the older emulator.
fn same_version(packages: &[&str]) -> Option<Vec<String>> {
    if !packages.contains(&EMULATOR) {
        return None;
    }
    let policy = shell::read(Command::new("apt-cache").args(["policy", EMULATOR])).ok()?;
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    let format = "--showformat=${source:Package} ${binary:Package} ${db:Status-Abbrev}\n";
    let installed = shell::read(Command::new("dpkg-query").args(["--show", format])).ok()?;
    let sisters = installed.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("qemu")).then(|| words.next())?.filter(|_| words.next() == Some("ii"))
    });
    let mut arguments = arguments(packages);
    arguments.push("--allow-downgrades".to_owned());
    arguments.extend(sisters.map(|sister| format!("{sister}={version}")));
    Some(arguments)
}
