//! The power tools of a board, and the results of their last calls.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bij_coordinator::policy::{PowerModeOption, PowerModeStatus, PowerModesUnknown};
use bij_core::{Outcome, RunId, error_chain};
use bij_host::files;
use bij_jetson::{ModeSet, ModeSince, OfferedMode, PowerControl, PowerModes, SwitchError, WhyNot};
use tokio::task::spawn_blocking;

/// How soon a failed call is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(600);

/// The modes from the files, and the mode that was in force at that time.
type LastModes = (PowerModes, Option<u32>);

/// The power tools of a board. They are called one at a time on a blocking thread.
pub(super) struct PowerTools {
    /// Held during a call, which completes even if its caller is dropped.
    one_at_a_time: Arc<Mutex<()>>,
    control: PowerControl,
    /// The file with the number of the mode from before the first switch of this boot.
    before: PathBuf,
    /// The last reading: nvpmodel is called only if the files have changed.
    last: Option<LastModes>,
    /// The failed switches, with error and time.
    failed: BTreeMap<u32, (String, Instant)>,
    /// The last failure to hold or release the clocks.
    clocks_failed: Option<ClocksFailed>,
    /// Whether this process holds the clocks. A stored state alone may come from a process that was killed meanwhile.
    holds_clocks: bool,
}

/// A failure to hold or release the clocks.
struct ClocksFailed {
    are_wanted: bool,
    text: String,
    at: Instant,
}

impl PowerTools {
    pub(super) fn new(control: PowerControl, before: PathBuf) -> Self {
        Self {
            one_at_a_time: Arc::default(),
            control,
            before,
            last: None,
            failed: BTreeMap::new(),
            clocks_failed: None,
            holds_clocks: false,
        }
    }

    /// Returns whether the board has clocks that can be held.
    pub(super) fn have_clocks(&self) -> bool {
        self.control.clocks().is_installed()
    }

    /// Reads the power modes and the one in force.
    pub(super) async fn read_modes(&mut self) -> PowerModeStatus {
        self.failed.retain(|_, (_, at)| at.elapsed() < RETRY_AFTER);
        let (control, last) = (self.control.clone(), self.last.take());
        let (modes, in_force) = self
            .run_blocking(move || {
                let modes = control.modes();
                let in_force = match last {
                    Some((before, in_force)) if before == modes => in_force,
                    _ if modes.offered.is_err() => None,
                    _ => control.in_force(&modes),
                };
                (modes, in_force)
            })
            .await;
        let seen = match &modes.offered {
            Ok(offered) => self.to_seen(offered, &modes, in_force),
            Err(WhyNot::Absent) => PowerModeStatus::default(),
            Err(why) => {
                let text = format!("/etc/nvpmodel.conf is {why}");
                let trouble = match why {
                    WhyNot::Unparsable(_) => PowerModesUnknown::NoneUnderstood(text),
                    _ => PowerModesUnknown::Unread(text),
                };
                PowerModeStatus { trouble: Some(trouble), ..PowerModeStatus::default() }
            }
        };
        self.last = Some((modes, in_force));
        seen
    }

    fn to_seen(
        &self,
        offered: &[OfferedMode],
        modes: &PowerModes,
        current: Option<u32>,
    ) -> PowerModeStatus {
        let offers = offered.iter().map(|mode| PowerModeOption {
            // For an unreadable mask, nvpmodel itself decides.
            needs_reboot: mode.needs_reboot == Ok(true) && current != Some(mode.id),
            id: mode.id,
            name: mode.name.clone(),
        });
        let before = fs::read_to_string(&self.before).ok().and_then(|id| id.trim().parse().ok());
        PowerModeStatus {
            offered: offers.collect(),
            current,
            at_next_boot: modes.recorded.as_ref().ok().map(|mode| mode.id),
            before,
            failed: self.failed.iter().map(|(id, (why, _))| (*id, why.clone())).collect(),
            ..PowerModeStatus::default()
        }
    }

    /// Finds a mode by its name or number.
    pub(super) async fn find(&self, wanted: &str) -> Result<OfferedMode, SwitchError> {
        let (control, wanted) = (self.control.clone(), wanted.to_owned());
        self.run_blocking(move || control.find(&wanted)).await
    }

    /// Switches the board for a run; returns the text of the event.
    pub(super) async fn switch(&mut self, to: u32, from: Option<u32>) -> String {
        let (control, name) = (self.control.clone(), self.name(to));
        let switched = self.run_blocking(move || control.switch(to)).await;
        match self.record_result(to, switched) {
            Ok(Outcome::Changed | Outcome::Unchanged) => {
                self.remember(to, from);
                format!("the board is in power mode {name}")
            }
            Err(error) => cannot_switch(&name, &error),
        }
    }

    /// Returns the name of a mode by the last reading.
    fn name(&self, id: u32) -> String {
        let offered = self.last.as_ref().and_then(|(modes, _)| modes.offered.as_ref().ok());
        let found = offered.and_then(|all| all.iter().find(|mode| mode.id == id));
        found.map_or_else(|| id.to_string(), |mode| mode.name.clone())
    }

    /// Sets a mode for a client; the previous mode is not restored later.
    pub(super) async fn set(
        &mut self,
        mode: OfferedMode,
        allow_reboot_later: bool,
    ) -> Result<ModeSet, SwitchError> {
        let (control, id) = (self.control.clone(), mode.id);
        let set = match self.run_blocking(move || control.set(&mode, allow_reboot_later)).await {
            // This is a refusal, not a failure.
            Err(error @ SwitchError::NeedsReboot { .. }) => return Err(error),
            set => self.record_result(id, set)?,
        };
        if set.since == ModeSince::Now {
            self.log_forgotten(files::remove(&self.before));
        }
        Ok(set)
    }

    /// Records the result of a switch, and returns it.
    fn record_result<T>(
        &mut self,
        to: u32,
        result: Result<T, SwitchError>,
    ) -> Result<T, SwitchError> {
        self.last = None;
        self.holds_clocks &= self.control.clocks().are_held();
        match &result {
            Ok(_) => {
                self.failed.remove(&to);
            }
            Err(error) => {
                let why = error_chain(error);
                log::warn!("cannot switch the board to power mode {to}: {why}");
                self.failed.insert(to, (why, Instant::now()));
            }
        }
        result
    }

    /// Stores the mode from before the first switch, until the board is back in it.
    fn remember(&self, to: u32, from: Option<u32>) {
        let before = fs::read_to_string(&self.before).ok();
        self.log_forgotten(match (before, from) {
            (Some(before), _) if before.trim() == to.to_string() => files::remove(&self.before),
            (None, Some(from)) if from != to => fs::write(&self.before, format!("{from}\n")),
            (Some(_) | None, _) => Ok(()),
        });
    }

    fn log_forgotten(&self, done: std::io::Result<()>) {
        if let Err(error) = done {
            let path = self.before.display();
            log::warn!("cannot store the previous power mode in {path}: {error}");
        }
    }

    /// Holds the clocks at their highest for these runs, or releases them if there are none. Returns the text of the
    /// event, if there is one.
    pub(super) async fn hold_clocks(&mut self, runs: &[RunId]) -> Option<String> {
        let (are_held, are_wanted) = (self.control.clocks().are_held(), !runs.is_empty());
        let is_so = if are_wanted { are_held && self.holds_clocks } else { !are_held };
        let waits = |failed: &ClocksFailed| {
            failed.are_wanted == are_wanted && failed.at.elapsed() < RETRY_AFTER
        };
        if is_so || self.clocks_failed.as_ref().is_some_and(waits) {
            return None;
        }
        self.set_clocks(runs).await
    }

    /// Releases the clocks after a pending call, even if that failed before.
    pub(super) async fn release(&mut self) -> Option<String> {
        self.set_clocks(&[]).await
    }

    async fn set_clocks(&mut self, runs: &[RunId]) -> Option<String> {
        let (clocks, are_wanted) = (self.control.clocks().clone(), !runs.is_empty());
        let done = self
            .run_blocking(move || if are_wanted { clocks.maximise() } else { clocks.restore() });
        match done.await {
            Ok(outcome) => {
                (self.holds_clocks, self.clocks_failed) = (are_wanted, None);
                (outcome == Outcome::Changed).then(|| describe_clocks(runs))
            }
            Err(error) => {
                let what = if are_wanted { "held at their highest" } else { "released" };
                self.record_clock_failure(
                    are_wanted,
                    format!("the clocks cannot be {what}: {}", error_chain(&error)),
                )
            }
        }
    }

    /// Records a failure of the clocks; returns its text unless it is that of the last failure.
    fn record_clock_failure(&mut self, are_wanted: bool, text: String) -> Option<String> {
        log::warn!("{text}");
        let failed = ClocksFailed { are_wanted, text: text.clone(), at: Instant::now() };
        let before = self.clocks_failed.replace(failed);
        before.is_none_or(|before| before.text != text).then_some(text)
    }

    /// Calls a tool on a blocking thread.
    async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let one_at_a_time = Arc::clone(&self.one_at_a_time);
        let done = spawn_blocking(move || {
            let _alone = one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
            work()
        });
        match done.await {
            Ok(done) => done,
            Err(lost) => match lost.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the runtime cancels it, which also drops this future.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// Returns the text of the event for a failed switch.
pub(super) fn cannot_switch(name: &str, error: &SwitchError) -> String {
    format!("cannot switch the board to power mode {name}: {}", error_chain(error))
}

fn describe_clocks(runs: &[RunId]) -> String {
    if runs.is_empty() {
        return "the clocks follow the load again".to_owned();
    }
    let names: Vec<String> = runs.iter().map(ToString::to_string).collect();
    format!("the clocks are held at their highest for {}", names.join(", "))
}
