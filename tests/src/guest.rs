//! What a scenario knows of the machine it runs in, and how long it may wait there.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::check::{Failure, ensure};
use crate::protocol::{Lane, Plan};
use crate::steps::property;

/// Where the agent and its scenarios keep what outlives a boot.
pub(crate) const LAB_STATE: &str = "/var/lib/bij-lab";

/// What a scenario leaves behind when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It held.
    Done,
    /// Shut the machine down in order, boot it again, and call the scenario with the next phase.
    Reboot,
    /// The same, but by taking the power away.
    PowerCut,
}

/// The machine, as a scenario sees it.
#[derive(Clone, Debug)]
pub struct Guest {
    lane: Lane,
    systemd: u32,
    slowness: u32,
    rounds: Option<u32>,
    scenario: String,
    phase: u32,
    messages: RefCell<Vec<String>>,
}

impl Guest {
    pub(crate) fn new(plan: &Plan, scenario: &str, phase: u32) -> Self {
        Self {
            lane: plan.lane,
            systemd: plan.systemd,
            slowness: plan.slowness,
            rounds: plan.rounds,
            scenario: scenario.to_owned(),
            phase,
            messages: RefCell::default(),
        }
    }

    /// The kind of machine.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The major version of systemd that the host asked for.
    pub fn systemd(&self) -> u32 {
        self.systemd
    }

    /// How often the scenario has had the machine restarted.
    pub fn phase(&self) -> u32 {
        self.phase
    }

    /// Has the host show a line, for example a ratio that was measured.
    pub fn tell(&self, text: impl Into<String>) {
        self.messages.borrow_mut().push(text.into());
    }

    /// Returns the lines to show, and forgets them.
    pub(crate) fn take_messages(&self) -> Vec<String> {
        self.messages.take()
    }

    /// How often to repeat something: this often, unless the host wants another number.
    pub fn rounds(&self, own: u32) -> u32 {
        self.rounds.unwrap_or(own)
    }

    /// A wait of this length at native speed, made as long as this machine needs.
    pub fn patience(&self, native: Duration) -> Duration {
        native * self.slowness
    }

    /// A directory of the scenario's own that survives restarts.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn state_dir(&self) -> Result<PathBuf, Failure> {
        let path = Path::new(LAB_STATE).join(&self.scenario);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Asks again and again until the probe finds something, for `native` time at native speed.
    ///
    /// # Errors
    ///
    /// When the time is over, with the probe's last failure if it had one.
    pub fn wait_for<T>(
        &self,
        what: &str,
        native: Duration,
        mut probe: impl FnMut() -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let patience = self.patience(native);
        let started = Instant::now();
        loop {
            let found = probe();
            if let Ok(Some(found)) = found {
                return Ok(found);
            }
            if started.elapsed() >= patience {
                let waited = format!("waited {} s for {what}", patience.as_secs());
                return Err(match found {
                    Err(failure) => failure.during(&waited),
                    Ok(_) => Failure::new(format!("{waited} in vain")),
                });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The memory limit that the kernel itself holds a running unit to.
    ///
    /// # Errors
    ///
    /// When the unit has no control group, or its file cannot be read.
    pub fn kernel_memory_limit(&self, unit: &str) -> Result<String, Failure> {
        let group = property(unit, "ControlGroup")?;
        ensure!(!group.is_empty(), "{unit} has no control group: it is not running");
        let file = match self.lane {
            Lane::VmV1 => format!("/sys/fs/cgroup/memory{group}/memory.limit_in_bytes"),
            Lane::Machine | Lane::VmV2 => format!("/sys/fs/cgroup{group}/memory.max"),
        };
        fs::read_to_string(&file)
            .map(|text| text.trim().to_owned())
            .map_err(|error| Failure::new(format!("{file}: {error}")))
    }
}
