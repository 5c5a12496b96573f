//! The tools of a board, and what has come of using them.

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

/// How soon is tried again what has failed.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// What the files told, and the mode that was in force then.
type Asked = (PowerModes, Option<u32>);

/// The tools of a board. They are called where they hold up nobody, one at a time.
pub(super) struct Tools {
    /// Taken by whoever calls one: the call goes on though nobody waits for it any more.
    one_at_a_time: Arc<Mutex<()>>,
    control: PowerControl,
    /// Keeps the number of the mode that was in force before the first switch, up to the next boot.
    before: PathBuf,
    /// nvpmodel is asked only if the files tell that something has changed.
    last: Option<Asked>,
    /// Switches that have failed, how and when.
    failed: BTreeMap<u32, (String, Instant)>,
    /// The clocks could not be held, or let go.
    clocks_failed: Option<ClocksFailed>,
    /// The clocks are held, and not only stored: whoever did it was not killed in the middle of it.
    holds_clocks: bool,
}

/// The clocks could not be held, or let go.
struct ClocksFailed {
    are_wanted: bool,
    text: String,
    at: Instant,
}

impl Tools {
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

    /// Whether there are clocks that could be held.
    pub(super) fn have_clocks(&self) -> bool {
        self.control.clocks().is_installed()
    }

    /// Looks at the modes.
    pub(super) async fn look(&mut self) -> PowerModeStatus {
        self.failed.retain(|_, (_, at)| at.elapsed() < TRY_AGAIN_AFTER);
        let (control, last) = (self.control.clone(), self.last.take());
        let (modes, in_force) = self
            .aside(move || {
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
            Ok(offered) => self.seen(offered, &modes, in_force),
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

    fn seen(
        &self,
        offered: &[OfferedMode],
        modes: &PowerModes,
        current: Option<u32>,
    ) -> PowerModeStatus {
        let offers = offered.iter().map(|mode| PowerModeOption {
            // A mask that cannot be read is nvpmodel's to judge.
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

    /// A mode by its name or number.
    pub(super) async fn find(&self, wanted: &str) -> Result<OfferedMode, SwitchError> {
        let (control, wanted) = (self.control.clone(), wanted.to_owned());
        self.aside(move || control.find(&wanted)).await
    }

    /// Switches the board for a run, and returns what is to be told of that.
    pub(super) async fn switch(&mut self, to: u32, from: Option<u32>) -> String {
        let (control, name) = (self.control.clone(), self.name(to));
        let switched = self.aside(move || control.switch(to)).await;
        match self.came_of(to, switched) {
            Ok(Outcome::Changed | Outcome::Unchanged) => {
                self.remember(to, from);
                format!("the board is in power mode {name}")
            }
            Err(error) => cannot_switch(&name, &error),
        }
    }

    /// The name of a mode, as it was last looked at.
    fn name(&self, id: u32) -> String {
        let offered = self.last.as_ref().and_then(|(modes, _)| modes.offered.as_ref().ok());
        let found = offered.and_then(|all| all.iter().find(|mode| mode.id == id));
        found.map_or_else(|| id.to_string(), |mode| mode.name.clone())
    }

    /// Sets a mode because somebody wants it: no other one is to come back after it.
    pub(super) async fn set(
        &mut self,
        mode: OfferedMode,
        allow_reboot_later: bool,
    ) -> Result<ModeSet, SwitchError> {
        let (control, id) = (self.control.clone(), mode.id);
        let set = match self.aside(move || control.set(&mode, allow_reboot_later)).await {
            // It was refused, and has not failed.
            Err(error @ SwitchError::NeedsReboot { .. }) => return Err(error),
            set => self.came_of(id, set)?,
        };
        if set.since == ModeSince::Now {
            self.forgets(files::remove(&self.before));
        }
        Ok(set)
    }

    /// Takes in what has come of a switch.
    fn came_of<T>(&mut self, to: u32, came: Result<T, SwitchError>) -> Result<T, SwitchError> {
        self.last = None;
        self.holds_clocks &= self.control.clocks().are_held();
        match &came {
            Ok(_) => {
                self.failed.remove(&to);
            }
            Err(error) => {
                let why = error_chain(error);
                log::warn!("the board cannot be switched to power mode {to}: {why}");
                self.failed.insert(to, (why, Instant::now()));
            }
        }
        came
    }

    /// Remembers the mode that was in force before bij switched it, until the board is back in it.
    fn remember(&self, to: u32, from: Option<u32>) {
        let before = fs::read_to_string(&self.before).ok();
        self.forgets(match (before, from) {
            (Some(before), _) if before.trim() == to.to_string() => files::remove(&self.before),
            (None, Some(from)) if from != to => fs::write(&self.before, format!("{from}\n")),
            (Some(_) | None, _) => Ok(()),
        });
    }

    fn forgets(&self, done: std::io::Result<()>) {
        if let Err(error) = done {
            let path = self.before.display();
            log::warn!("which power mode was in force before is forgotten: {path}: {error}");
        }
    }

    /// Holds the clocks at their highest for these runs, or lets them go if there are none. Returns what
    /// is to be told of that, if anything.
    pub(super) async fn hold_clocks(&mut self, runs: &[RunId]) -> Option<String> {
        let (are_held, are_wanted) = (self.control.clocks().are_held(), !runs.is_empty());
        let is_so = if are_wanted { are_held && self.holds_clocks } else { !are_held };
        let waits = |failed: &ClocksFailed| {
            failed.are_wanted == are_wanted && failed.at.elapsed() < TRY_AGAIN_AFTER
        };
        if is_so || self.clocks_failed.as_ref().is_some_and(waits) {
            return None;
        }
        self.order_clocks(runs).await
    }

    /// Lets the clocks go, after whatever is under way and whatever has failed before.
    pub(super) async fn let_go(&mut self) -> Option<String> {
        self.order_clocks(&[]).await
    }

    async fn order_clocks(&mut self, runs: &[RunId]) -> Option<String> {
        let (clocks, are_wanted) = (self.control.clocks().clone(), !runs.is_empty());
        let done =
            self.aside(move || if are_wanted { clocks.maximise() } else { clocks.restore() });
        match done.await {
            Ok(outcome) => {
                (self.holds_clocks, self.clocks_failed) = (are_wanted, None);
                (outcome == Outcome::Changed).then(|| so_are_clocks(runs))
            }
            Err(error) => {
                let what = if are_wanted { "held at their highest" } else { "let go" };
                self.cannot(
                    are_wanted,
                    format!("the clocks cannot be {what}: {}", error_chain(&error)),
                )
            }
        }
    }

    /// Remembers what has failed, and returns it if that is news.
    fn cannot(&mut self, are_wanted: bool, text: String) -> Option<String> {
        log::warn!("{text}");
        let failed = ClocksFailed { are_wanted, text: text.clone(), at: Instant::now() };
        let before = self.clocks_failed.replace(failed);
        before.is_none_or(|before| before.text != text).then_some(text)
    }

    /// Does what blocks where it holds up nobody.
    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let one_at_a_time = Arc::clone(&self.one_at_a_time);
        let done = spawn_blocking(move || {
            let _alone = one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
            work()
        });
        match done.await {
            Ok(done) => done,
            Err(lost) => match lost.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the runtime cancels it, and that ends whoever waits as well.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// What is told of a switch that has failed.
pub(super) fn cannot_switch(name: &str, error: &SwitchError) -> String {
    format!("the board cannot be switched to power mode {name}: {}", error_chain(error))
}

fn so_are_clocks(runs: &[RunId]) -> String {
    if runs.is_empty() {
        return "the clocks follow the load again".to_owned();
    }
    let names: Vec<String> = runs.iter().map(ToString::to_string).collect();
    format!("the clocks are held at their highest for {}", names.join(", "))
}
