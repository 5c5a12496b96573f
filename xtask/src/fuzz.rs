//! `cargo xtask fuzz`: gives every reader of foreign text hostile input for a while.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::shell;

/// Every target and the crate that has it as its test `fuzz_<target>`, with `_` for `-`.
const TARGETS: &[(&str, &str)] = &[
    ("definition-toml", "bij-definition"),
    ("definition-json", "bij-definition"),
    ("extras", "bij-definition"),
    ("settings", "bij-definition"),
    ("env-file", "bij-definition"),
    ("nvpmodel", "bij-jetson"),
    ("board", "bij-jetson"),
    ("message-body", "bij-api"),
    ("framing", "bij-api"),
    ("journal-record", "bij-systemd"),
    ("spool-record", "bij-store"),
    ("import", "bij-store"),
    ("notice", "bijd"),
    ("log-line", "bij-local"),
];

/// What to give hostile input, and for how long.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Only this target (may be given several times); all of them without it
    #[arg(long = "target", value_name = "NAME", value_parser = TARGETS.iter().map(|it| it.0).collect::<Vec<_>>())]
    targets: Vec<String>,
    /// For how long, each
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Try the inputs of this seed; others each time without it
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

impl Options {
    /// All targets for this long together, with inputs that are the same each time: a change is not
    /// refused for a defect that it does not have.
    pub(crate) fn all_within(time: Duration) -> Self {
        let targets = u64::try_from(TARGETS.len()).unwrap_or(u64::MAX);
        Self { targets: Vec::new(), seconds: time.as_secs().div_ceil(targets), seed: Some(1) }
    }
}

/// Runs the targets one after the other; an input that fails is in the target's corpus afterwards.
pub(crate) fn fuzz(options: &Options) -> Result<()> {
    let wanted =
        |name: &str| options.targets.is_empty() || options.targets.iter().any(|it| it == name);
    let mut failed = Vec::new();
    for (name, package) in TARGETS.iter().filter(|(name, _)| wanted(name)) {
        println!("==> {name} of {package}, {} s", options.seconds);
        let test = format!("fuzz_{}", name.replace('-', "_"));
        let status = shell::cargo()
            .args(["test", "--quiet", "--package", package, "--lib", "--", &test])
            .env("BIJ_FUZZ_SECONDS", options.seconds.to_string())
            .envs(options.seed.map(|seed| ("BIJ_FUZZ_SEED", seed.to_string())))
            .status()?;
        if !status.success() {
            failed.push(*name);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {}; the inputs are in crates/*/fuzz/*/failed-*", failed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_corpus_and_every_corpus_a_target() {
        let crates = crate::workspace::root().join("crates");
        let mut found = Vec::new();
        for package in std::fs::read_dir(crates).unwrap() {
            let package = package.unwrap();
            let corpora = std::fs::read_dir(package.path().join("fuzz")).into_iter().flatten();
            for corpus in corpora {
                let name = corpus.unwrap().file_name().into_string().unwrap();
                found.push((name, package.file_name().into_string().unwrap()));
            }
        }
        let mut known: Vec<_> =
            TARGETS.iter().map(|(name, package)| ((*name).into(), (*package).into())).collect();
        found.sort();
        known.sort();
        assert_eq!(found, known);
    }
}
