//! The laboratory: boots real machines with the staged tree in them and has their agent run scenarios.
//!
//! The way through it: [`packages`] sees that the host has the tools; [`image`] builds a distribution's
//! tree and disk once and caches them outside the repository; [`payload`] is the staged tree plus the
//! agent and its plan; [`nspawn`] and [`qemu`] boot a [`machine`] with it; [`session`] follows its
//! results port through reboots and power cuts, with time limits, and [`report`] says one line a
//! scenario. What runs inside is the crate `bij-e2e`, which says how to add a scenario.
//!
//! Nothing outlives us: every machine's process asks the kernel to be killed when we die.

mod image;
mod machine;
mod nspawn;
mod packages;
mod payload;
pub(crate) mod portable;
mod qemu;
pub(crate) mod report;
mod session;
mod suite;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail};
use bij_e2e::{Lane, Plan, Scenario};

use crate::stage::Linking;
use crate::workspace::Metadata;
use machine::Machine;
use payload::Payload;
use report::Tally;
use session::{Session, Verdict};
pub(crate) use suite::{BOOKWORM, BULLSEYE, Suite, TRIXIE, cache_directory};

/// Emulated instructions take about this many times longer than native ones, two machines side by side.
const EMULATION_SLOWNESS: u32 = 8;

/// At most this many machines run at a time: an emulated one keeps a processor busy.
const SIDE_BY_SIDE: usize = 2;

/// One machine to boot.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) suite: &'static Suite,
    pub(crate) lane: Lane,
}

impl Job {
    /// What its lines begin with, and where its files lie.
    fn name(&self) -> String {
        format!("{}-{}", self.suite.name, self.lane)
    }

    fn full_name(&self, scenario: &str) -> String {
        format!("{}: {scenario}", self.name())
    }

    fn scenarios(&self, patterns: &[String]) -> Vec<&'static Scenario> {
        let wanted = |scenario: &Scenario| {
            let is_named = patterns.iter().any(|pattern| scenario.name.contains(pattern));
            is_named || patterns.is_empty() && !scenario.on_request
        };
        bij_e2e::all_scenarios()
            .filter(|scenario| scenario.lanes.contains(&self.lane))
            .filter(|scenario| wanted(scenario))
            .collect()
    }

    /// Returns the scenarios that are left out unless they are named.
    fn scenarios_on_request(&self) -> impl Iterator<Item = &'static Scenario> {
        let lane = self.lane;
        bij_e2e::all_scenarios()
            .filter(move |scenario| scenario.on_request && scenario.lanes.contains(&lane))
    }

    fn plan(&self, scenarios: &[&Scenario], rounds: Option<u32>) -> Plan {
        Plan {
            lane: self.lane,
            systemd: self.suite.systemd,
            slowness: if self.lane == Lane::Machine { 1 } else { EMULATION_SLOWNESS },
            rounds,
            scenarios: scenarios.iter().map(|scenario| scenario.name.to_owned()).collect(),
        }
    }
}

/// What is wanted of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes<'a> {
    /// Scenarios whose name contains this.
    pub(crate) patterns: &'a [String],
    /// The tree that machines get, instead of one that is staged for them.
    pub(crate) staged: Option<&'a Path>,
    /// Whether what fails is tried once more.
    pub(crate) retry: bool,
    /// How often scenarios repeat what they repeat, in place of their own number.
    pub(crate) rounds: Option<u32>,
    /// Programs of peers that machines get as well.
    pub(crate) peers: &'a [PathBuf],
}

/// Boots these machines, at most two at a time, and counts what held.
pub(crate) fn run(jobs: &[Job], wishes: Wishes<'_>) -> Result<Tally> {
    let vm = jobs.iter().any(|job| job.lane != Lane::Machine);
    packages::provide(vm).context("the machine and vm lanes cannot run")?;
    let directory = Metadata::read()?.target_directory.join("lab");
    std::fs::create_dir_all(&directory)?;
    let _turn = take_turn(&directory)?;
    for job in jobs {
        job.suite.image()?;
        if wishes.patterns.is_empty() {
            for scenario in job.scenarios_on_request() {
                println!("{:<18} only on request: {}", job.name(), scenario.name);
            }
        }
    }
    let native = payload_for(jobs, Linking::Native, wishes, &directory)?;
    let portable = payload_for(jobs, Linking::Portable, wishes, &directory)?;
    let queue = Mutex::new(jobs.iter());
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                let next = || queue.lock().expect("no machine's thread panics").next();
                while let Some(job) = next() {
                    let payload = match job.suite.linking() {
                        Linking::Native => &native,
                        Linking::Portable => &portable,
                    };
                    let counted = payload
                        .as_ref()
                        .ok_or_else(|| anyhow!("no payload was built for it"))
                        .and_then(|payload| run_one(job, wishes, payload, &directory));
                    let mut tally = tally.lock().expect("no machine's thread panics");
                    match counted {
                        Ok(counted) => tally.add(counted),
                        Err(error) => {
                            report::broken(&job.name(), &error);
                            tally.failed.push(job.name());
                        }
                    }
                }
            });
        }
    });
    let tally = tally.into_inner().expect("no machine's thread panics");
    if tally == Tally::default() {
        bail!("no scenario's name contains {}", wishes.patterns.join(" or "));
    }
    Ok(tally)
}

/// Machines read the payload while they run: a second run in the same target directory waits.
fn take_turn(directory: &Path) -> Result<std::fs::File> {
    let file = std::fs::File::create(directory.join("lock"))?;
    if file.try_lock().is_err() {
        println!("another run of the laboratory is under way; waiting for it");
        file.lock()?;
    }
    Ok(file)
}

fn payload_for(
    jobs: &[Job],
    linking: Linking,
    wishes: Wishes<'_>,
    directory: &Path,
) -> Result<Option<Payload>> {
    if !jobs.iter().any(|job| job.suite.linking() == linking) {
        return Ok(None);
    }
    Payload::build(linking, wishes, directory).map(Some)
}

/// Two containers at once would share their control groups on a host without namespaces for them.
static ONE_CONTAINER: Mutex<()> = Mutex::new(());

fn run_one(job: &Job, wishes: Wishes<'_>, payload: &Payload, directory: &Path) -> Result<Tally> {
    let Wishes { patterns, retry, rounds, .. } = wishes;
    let scenarios = job.scenarios(patterns);
    if scenarios.is_empty() {
        return Ok(Tally::default());
    }
    let _turn = (job.lane == Lane::Machine)
        .then(|| ONE_CONTAINER.lock().unwrap_or_else(PoisonError::into_inner));
    let Verdict { passed, failed } = boot(job, &job.name(), scenarios, rounds, payload, directory)?;
    if failed.is_empty() || !retry {
        let failed = failed.iter().map(|scenario| job.full_name(scenario)).collect();
        return Ok(Tally { passed, failed, flaky: Vec::new() });
    }
    let name = format!("{}-again", job.name());
    let mut scenarios = job.scenarios(patterns);
    scenarios.retain(|scenario| failed.iter().any(|failed| failed == scenario.name));
    let again = boot(job, &name, scenarios, rounds, payload, directory)?;
    let mut tally = Tally { passed: passed + again.passed, ..Tally::default() };
    for scenario in &failed {
        if again.failed.contains(scenario) {
            tally.failed.push(job.full_name(scenario));
        } else {
            report::flaky(&name, scenario);
            tally.flaky.push(job.full_name(scenario));
        }
    }
    Ok(tally)
}

/// Boots one machine for these scenarios.
fn boot(
    job: &Job,
    name: &str,
    scenarios: Vec<&'static Scenario>,
    rounds: Option<u32>,
    payload: &Payload,
    directory: &Path,
) -> Result<Verdict> {
    let directory = directory.join(name);
    if directory.exists() {
        std::fs::remove_dir_all(&directory)
            .with_context(|| format!("cannot clear {}", directory.display()))?;
    }
    std::fs::create_dir_all(&directory)?;
    let image = job.suite.image()?;
    let plan = job.plan(&scenarios, rounds);
    let payload = payload.with_plan(&plan, &directory)?;
    let machine: Box<dyn Machine> = if job.lane == Lane::Machine {
        Box::new(nspawn::Container::prepare(&image, &payload, &directory)?)
    } else {
        Box::new(qemu::Emulator::prepare(job.suite, job.lane, &image, &payload, &directory)?)
    };
    // What is repeated more often than usual has ten times as long.
    let slowness = plan.slowness * if rounds.is_some() { 10 } else { 1 };
    Session::new(name.to_owned(), machine, slowness, scenarios).run()
}
