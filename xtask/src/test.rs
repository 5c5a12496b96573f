//! `cargo xtask test`: the lanes of the laboratory, one after the other.
//!
//! A lane that cannot run is an error, never skipped in silence; `--lane` leaves one out on purpose.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::lab::report::Tally;
use crate::lab::{self, BOOKWORM, BULLSEYE, Job, Suite, TRIXIE};
use crate::{shell, workspace};

/// What to test.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Run only this lane (may be given several times); all of them without it
    #[arg(long = "lane", value_enum)]
    lanes: Vec<Lane>,
    /// Boot this Debian release (may be given several times)
    #[arg(long = "suite", value_enum, default_value = "bookworm")]
    suites: Vec<Release>,
    /// Boot every Debian release
    #[arg(long, conflicts_with = "suites")]
    all_suites: bool,
    /// Run only the scenarios whose name contains this (may be given several times); the unit lane ignores it.
    /// Without it, scenarios that run on request only are left out and listed
    #[arg(long = "scenario", value_name = "TEXT")]
    scenarios: Vec<String>,
    /// Test this staged tree in the machines, instead of staging what the sources make
    #[arg(long, value_name = "DIR")]
    staged: Option<PathBuf>,
    /// Try scenarios that fail once more, in a fresh machine; those that hold then are told as flaky
    #[arg(long)]
    pub(crate) retry: bool,
    /// Repeat this often what scenarios repeat, such as killed hooks and runs that are waited for
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lane {
    /// Unit tests, contract suites and documentation's examples, on this machine
    Unit,
    /// Scenarios in a container booted with the distribution's systemd
    Machine,
    /// Scenarios in emulated machines, with cgroup v2 and with v1
    Vm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Release {
    /// Debian 11: systemd 247
    Bullseye,
    /// Debian 12: systemd 252
    Bookworm,
    /// Debian 13: systemd 257
    Trixie,
}

impl Release {
    fn suite(self) -> &'static Suite {
        match self {
            Self::Bullseye => &BULLSEYE,
            Self::Bookworm => &BOOKWORM,
            Self::Trixie => &TRIXIE,
        }
    }
}

impl Options {
    fn has(&self, lane: Lane) -> bool {
        self.lanes.is_empty() || self.lanes.contains(&lane)
    }

    fn jobs(&self) -> Vec<Job> {
        let releases = if self.all_suites { Release::value_variants() } else { &self.suites };
        let mut jobs = Vec::new();
        for (of, lanes) in [
            (Lane::Machine, [bij_e2e::Lane::Machine].as_slice()),
            (Lane::Vm, &[bij_e2e::Lane::VmV2, bij_e2e::Lane::VmV1]),
        ] {
            if !self.has(of) {
                continue;
            }
            for suite in releases.iter().map(|release| release.suite()) {
                let bootable = lanes.iter().filter(|lane| suite.boots(**lane));
                jobs.extend(bootable.map(|lane| Job { suite, lane: *lane }));
            }
        }
        jobs
    }
}

/// Runs the lanes; ends with the count of everything that held and did not.
pub(crate) fn test(options: &Options) -> Result<()> {
    let mut tally = Tally::default();
    if options.has(Lane::Unit) {
        tally.add(unit_tests(options.retry)?);
    }
    let jobs = options.jobs();
    if !jobs.is_empty() {
        let wishes = lab::Wishes {
            patterns: &options.scenarios,
            staged: options.staged.as_deref(),
            retry: options.retry,
            rounds: options.rounds,
            peers: &[],
        };
        tally.add(lab::run(&jobs, wishes)?);
    }
    let Tally { passed, failed, flaky } = tally;
    for (kind, names) in [("flaky", &flaky), ("failed", &failed)] {
        for name in names {
            println!("{kind}: {name}");
        }
    }
    println!("{passed} passed ({} flaky), {} failed", flaky.len(), failed.len());
    if !failed.is_empty() {
        bail!("tests failed");
    }
    Ok(())
}

/// Runs the scenario that waits for this many runs, with these programs of peers beside bij.
pub(crate) fn bench_of_waiting(runs: u32, peers: &[PathBuf], staged: Option<&Path>) -> Result<()> {
    let job = Job { suite: &BOOKWORM, lane: bij_e2e::Lane::Machine };
    let patterns = ["speed_of_waiting".to_owned()];
    let wishes =
        lab::Wishes { patterns: &patterns, staged, retry: false, rounds: Some(runs), peers };
    if !lab::run(&[job], wishes)?.failed.is_empty() {
        bail!("the runs were not all carried out");
    }
    Ok(())
}

/// Features that only other programs than ours switch on, and that have tests.
const FEATURES: [&str; 2] = ["--features", "bij-jetson/serde"];

/// The workspace's tests and its documentation's examples.
fn unit_tests(retry: bool) -> Result<Tally> {
    let mut tally = if shell::find_program("cargo-nextest").is_some() {
        nextest(retry)?
    } else {
        libtest(&["--lib", "--bins", "--tests", "--examples"])?
    };
    tally.add(libtest(&["--doc"])?);
    Ok(tally)
}

fn nextest(retry: bool) -> Result<Tally> {
    let metadata = workspace::Metadata::read()?;
    let results = metadata.target_directory.join("nextest/default/junit.xml");
    if results.exists() {
        std::fs::remove_file(&results)?;
    }
    let status = shell::cargo()
        .args(["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests=pass"])
        .args(FEATURES)
        .args(["--status-level=fail", "--final-status-level=flaky", "--cargo-quiet"])
        .args(retry.then_some("--retries=1"))
        .status()
        .context("cannot run cargo nextest")?;
    let Ok(text) = std::fs::read_to_string(&results) else {
        bail!("the workspace's tests did not run: cargo nextest {status}");
    };
    let tally = read_junit(&text);
    if !status.success() && tally.failed.is_empty() {
        bail!("cargo nextest {status}, though no test failed");
    }
    Ok(tally)
}

/// The tests of a `JUnit` report.
fn read_junit(text: &str) -> Tally {
    let mut tally = Tally::default();
    for case in text.split("<testcase ").skip(1) {
        let attribute = |name: &str| {
            let (_, value) = case.split_once(&format!("{name}=\""))?;
            value.split('"').next()
        };
        let name = || {
            let [name, binary] = ["name", "classname"].map(|name| attribute(name).unwrap_or("?"));
            format!("{binary} {name}")
        };
        if ["<failure", "<error"].iter().any(|element| case.contains(element)) {
            tally.failed.push(name());
            continue;
        }
        tally.passed += 1;
        if ["<flakyFailure", "<flakyError"].iter().any(|element| case.contains(element)) {
            tally.flaky.push(name());
        }
    }
    tally
}

/// cargo's own test runner, counted from the summaries that it prints.
fn libtest(kind: &[&str]) -> Result<Tally> {
    let mut child = shell::cargo()
        .args(["test", "--quiet", "--workspace", "--no-fail-fast"])
        .args(FEATURES)
        .args(kind)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo test")?;
    let mut tally = Tally::default();
    let stdout = child.stdout.take().context("cargo test has no output")?;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if let Some(passed) = summary(&line) {
            tally.passed += passed;
        } else if let Some(name) = failed_test(&line) {
            tally.failed.push(name.to_owned());
        } else if !is_noise(&line) {
            println!("{line}");
        }
    }
    let status = child.wait()?;
    if !status.success() && tally.failed.is_empty() {
        bail!("cargo test {} {status}", kind.join(" "));
    }
    Ok(tally)
}

/// What a quiet test runner prints when all is well.
fn is_noise(line: &str) -> bool {
    line.is_empty()
        || line.starts_with("running ")
        || line.starts_with("all doctests ran in ")
        || line.bytes().all(|byte| byte == b'.')
}

/// Reads the number of passed tests in `test result: ok. 7 passed; 0 failed; …`.
fn summary(line: &str) -> Option<u32> {
    let parts = line.strip_prefix("test result: ")?.split([';', '.']).map(str::trim);
    parts.into_iter().find_map(|part| part.strip_suffix(" passed")?.parse().ok())
}

/// Reads the name in `---- NAME stdout ----`, the heading over what a failed test printed.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_of_the_test_runner_is_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered \
                    out; finished in 0.31s";
        assert_eq!(summary(line), Some(12));
        assert_eq!(summary("running 7 tests"), None);
        assert_eq!(failed_test("---- lib::a stdout ----"), Some("lib::a"));
    }

    #[test]
    fn a_junit_report_is_read_test_by_test() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="n" tests="4" errors="0" failures="1">
    <testsuite name="crate" tests="4" failures="1">
        <testcase name="a::passes" classname="crate" time="0.1">
        </testcase>
        <testcase name="a::passes_again" classname="crate" time="0.1">
            <flakyFailure type="test failure">what</flakyFailure>
        </testcase>
        <testcase name="a::fails" classname="crate" time="0.1">
            <failure type="test failure">what</failure>
            <rerunFailure type="test failure">what</rerunFailure>
        </testcase>
        <testcase name="b::passes" classname="crate" time="0.1"/>
    </testsuite>
</testsuites>"#;
        let expected = Tally {
            passed: 3,
            failed: vec!["crate a::fails".to_owned()],
            flaky: vec!["crate a::passes_again".to_owned()],
        };
        assert_eq!(read_junit(text), expected);
    }
}
