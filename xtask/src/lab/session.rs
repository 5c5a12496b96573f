//! Follows one machine from its first boot to its last scenario.
//!
//! The agent keeps its own books on the machine's disk, so a machine that hangs or dies is simply booted
//! again: the agent reports the scenario it died in and goes on with the next. A scenario without a
//! verdict at the end counts as failed.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bij_e2e::{Message, Restart, Scenario};

use super::machine::{Boot, Machine};
use super::report;

/// From power to the agent's first word, at native speed.
const BOOT_LIMIT: Duration = Duration::from_secs(30);

/// From the wish to reboot to the end of the shutdown, at native speed.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(30);

/// A machine as a whole, whatever its scenarios are allowed.
const MACHINE_LIMIT: Duration = Duration::from_secs(45 * 60);

/// So many boots may fail to bring up the agent, or end in mid-scenario, before the machine is given up.
const FAILED_BOOTS: u32 = 3;

/// How often the results file is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Why a boot was over.
#[derive(Debug, PartialEq, Eq)]
enum BootEnd {
    Finished,
    Rebooted,
    PowerCut,
    /// It hung or died; the sentence says which.
    Lost(String),
}

/// A scenario that has begun and has no verdict yet.
#[derive(Debug)]
struct Running {
    name: String,
    since: Instant,
    limit: Duration,
}

/// What came of a machine's scenarios.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) passed: u32,
    pub(super) failed: Vec<String>,
}

/// One machine's run.
pub(super) struct Session {
    name: String,
    machine: Box<dyn Machine>,
    slowness: u32,
    scenarios: Vec<&'static Scenario>,
    open: Vec<&'static str>,
    running: Option<Running>,
    verdict: Verdict,
    consoles: Vec<PathBuf>,
    started: Instant,
}

impl Session {
    pub(super) fn new(
        name: String,
        machine: Box<dyn Machine>,
        slowness: u32,
        scenarios: Vec<&'static Scenario>,
    ) -> Self {
        let open = scenarios.iter().map(|scenario| scenario.name).collect();
        Self {
            name,
            machine,
            slowness,
            scenarios,
            open,
            running: None,
            verdict: Verdict::default(),
            consoles: Vec::new(),
            started: Instant::now(),
        }
    }

    /// Boots until the plan is done or the machine is given up.
    pub(super) fn run(mut self) -> Result<Verdict> {
        let mut lost = 0;
        loop {
            let mut boot = self.machine.boot()?;
            self.consoles.push(boot.console.clone());
            match self.follow(&mut boot)? {
                BootEnd::Finished => break,
                BootEnd::Rebooted | BootEnd::PowerCut => {}
                BootEnd::Lost(why) => {
                    boot.cut_power()?;
                    lost += 1;
                    println!("{:<18} {why}", self.name);
                    if lost >= FAILED_BOOTS || self.is_out_of_time() {
                        break;
                    }
                }
            }
        }
        for scenario in std::mem::take(&mut self.open) {
            self.verdict.failed.push(scenario.to_owned());
            let took = Duration::ZERO;
            report::failed(&self.name, scenario, took, "no verdict: the machine was given up");
        }
        if self.verdict.failed.is_empty() {
            self.machine.discard();
        } else if let Some(console) = self.consoles.last() {
            report::console(&self.name, console);
        }
        Ok(self.verdict)
    }

    fn is_out_of_time(&self) -> bool {
        self.started.elapsed() > MACHINE_LIMIT
    }

    /// Reads messages until the boot is over.
    fn follow(&mut self, boot: &mut Boot) -> Result<BootEnd> {
        let mut reader: Option<BufReader<File>> = None;
        let mut line = String::new();
        let mut deadline = Some(Instant::now() + BOOT_LIMIT * self.slowness);
        let mut rebooting = false;
        loop {
            if reader.is_none() {
                reader = File::open(&boot.results).ok().map(BufReader::new);
            }
            // Asked before the file is read, so that a last message is not overlooked.
            let ended = boot.has_ended()?;
            while let Some(message) = next_message(reader.as_mut(), &mut line)? {
                deadline = None;
                match message {
                    Message::Finished => return Ok(BootEnd::Finished),
                    Message::Restart { how: Restart::PowerCut } => {
                        boot.cut_power()?;
                        return Ok(BootEnd::PowerCut);
                    }
                    Message::Restart { how: Restart::Reboot } => {
                        deadline = Some(Instant::now() + SHUTDOWN_LIMIT * self.slowness);
                        rebooting = true;
                    }
                    Message::Hello { .. } => {}
                    verdict => self.note(verdict),
                }
            }
            if ended {
                let lost = || BootEnd::Lost("the machine went down by itself".to_owned());
                return Ok(if rebooting { BootEnd::Rebooted } else { lost() });
            }
            if let Some(why) = self.overdue(deadline, rebooting) {
                return Ok(BootEnd::Lost(why));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Which time limit is over, if one is.
    fn overdue(&self, deadline: Option<Instant>, rebooting: bool) -> Option<String> {
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            let what = if rebooting { "did not shut down" } else { "did not bring up the agent" };
            return Some(format!("the machine {what} in time"));
        }
        if let Some(running) = &self.running
            && running.since.elapsed() > running.limit
        {
            return Some(format!("{} took more than {:?}", running.name, running.limit));
        }
        self.is_out_of_time().then(|| format!("the machine took more than {MACHINE_LIMIT:?}"))
    }

    /// Takes in what a scenario says.
    fn note(&mut self, message: Message) {
        match message {
            Message::Started { scenario } => {
                // After a restart the clock of the first phase goes on.
                if self.running.as_ref().is_some_and(|running| running.name == scenario) {
                    return;
                }
                let limit = self
                    .scenarios
                    .iter()
                    .find(|known| known.name == scenario)
                    .map_or(BOOT_LIMIT, |known| known.time_limit);
                let limit = limit * self.slowness;
                self.running = Some(Running { name: scenario, since: Instant::now(), limit });
            }
            Message::Told { scenario, text } => report::told(&self.name, &scenario, &text),
            Message::Passed { scenario } => {
                self.verdict.passed += 1;
                let took = self.close(&scenario);
                report::passed(&self.name, &scenario, took);
            }
            Message::Failed { scenario, reason } => {
                let took = self.close(&scenario);
                report::failed(&self.name, &scenario, took, &reason);
                self.verdict.failed.push(scenario);
            }
            Message::Hello { .. } | Message::Restart { .. } | Message::Finished => {}
        }
    }

    fn close(&mut self, scenario: &str) -> Duration {
        self.open.retain(|open| *open != scenario);
        self.running.take().map_or(Duration::ZERO, |running| running.since.elapsed())
    }
}

/// The next whole line that is a message. Half a line stays in `line` until its end arrives; a line that
/// is no message (a stray kernel word on the port) is passed over.
fn next_message(
    reader: Option<&mut BufReader<File>>,
    line: &mut String,
) -> Result<Option<Message>> {
    let Some(reader) = reader else { return Ok(None) };
    loop {
        let mut bytes = Vec::new();
        reader.read_until(b'\n', &mut bytes).context("cannot read the results")?;
        line.push_str(&String::from_utf8_lossy(&bytes));
        if !line.ends_with('\n') {
            return Ok(None);
        }
        let message = std::mem::take(line).parse::<Message>();
        if let Ok(message) = message {
            return Ok(Some(message));
        }
    }
}
