//! Runs experiments under systemd until they have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bij_core::port::{Started, UnitError, UnitManager as _};
use bij_core::{ExperimentId, UnitStatus};
use bij_systemd::{Journal, RuntimeScope};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::queued_runs::QueuedRuns;
use super::screen::{Screen, StdoutReader};
use super::signals::{Interrupt, Interrupts};
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::log_source::JournalFollower;
use crate::scope::Scope;
use crate::units::{ScopeUnits, record_stop};
use crate::view::LogRow;

/// If more runs than this wait, the units are listed first, so that only the units that are up are queried.
const SINGLE_QUERIES: usize = 8;

/// The time between two queries of the manager, and between two redraws.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Starts the experiments and waits until each is down for good, showing their output. Ctrl-C stops them.
pub(super) async fn run(context: &Context, ids: &[ExperimentId]) -> Result<(), CliError> {
    let units = context.units().await?;
    for id in ids {
        let unit = units.status(id).await?;
        if !is_down(&unit) {
            return Err(CliError::new(Kind::Failed, format!("{id} is already up"))
                .hint(format!("`{} logs -f {id}` follows its output", context.bij_command)));
        }
    }
    let mut interrupts = Interrupts::new()?;
    let mut lines = JournalFollower::start(&journal(context), ids)?;
    let mut session = SystemdSession {
        screen: Screen::new(context, ids),
        pids: BTreeMap::new(),
        active: ids.iter().cloned().collect(),
        queued: QueuedRuns::default(),
    };
    let mut starts = start(&units, ids);
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !(session.active.is_empty() && starts.is_empty()) {
        // Each branch is cancel-safe: it waits for a job set, a channel, a signal or a clock.
        tokio::select! {
            Some(started) = starts.join_next() => {
                let (id, started) =
                    started.map_err(|error| CliError::from_error(Kind::Internal, &error))?;
                session.started(context, &id, started).await?;
            }
            line = lines.next() => if session.show_line(&line?)? == StdoutReader::Closed {
                stop(context, &units, &session.active, "a closed pipe");
                session.cancel(context).await;
            },
            interrupt = interrupts.next() => match interrupt {
                Interrupt::Stop(why) => {
                    session.screen.end();
                    context.terminal.status("Stopping in good order; Ctrl-C again kills.");
                    stop(context, &units, &session.active, why);
                    session.cancel(context).await;
                }
                Interrupt::Kill => session.kill(),
            },
            _ = ticks.tick() => session.observe(&units, starts.is_empty()).await?,
        }
    }
    // The last lines may not have passed through the journal yet.
    for line in lines.rest().await? {
        session.show_line(&line)?;
    }
    session.screen.end();
    Ok(())
}

fn journal(context: &Context) -> Journal {
    Journal::new(if context.scope == Scope::User {
        RuntimeScope::User
    } else {
        RuntimeScope::System
    })
}

/// A foreground session under systemd.
struct SystemdSession<'a> {
    screen: Screen<'a>,
    pids: BTreeMap<ExperimentId, u32>,
    /// The experiments that are not down for good, also if they wait in the queue.
    active: BTreeSet<ExperimentId>,
    /// The runs of active experiments that wait in the queue.
    queued: QueuedRuns<'a>,
}

type Starts = JoinSet<(ExperimentId, Result<Started, UnitError>)>;

/// Starts all experiments at once; each task waits for its own job.
fn start(units: &Arc<ScopeUnits>, ids: &[ExperimentId]) -> Starts {
    let mut starts = JoinSet::new();
    for id in ids {
        let (units, id) = (Arc::clone(units), id.clone());
        starts.spawn(async move {
            let started = units.start(&id).await;
            (id, started)
        });
    }
    starts
}

/// Requests the stop of all experiments; their ends are observed.
fn stop(context: &Context, units: &Arc<ScopeUnits>, ids: &BTreeSet<ExperimentId>, why: &str) {
    for id in ids {
        // The unit is up, so the order is never taken back.
        let _ = record_stop(units, &context.layout, id, why);
        let (units, id) = (Arc::clone(units), id.clone());
        tokio::spawn(async move { units.stop(&id).await });
    }
}

impl<'a> SystemdSession<'a> {
    async fn started(
        &mut self,
        context: &'a Context,
        id: &ExperimentId,
        started: Result<Started, UnitError>,
    ) -> Result<(), CliError> {
        match started {
            Ok(Started::Skipped) => {
                if let Some(queued) = self.queued.add(context, id).await {
                    self.screen.status(id, &format!("queued as {queued}"));
                } else {
                    self.screen.status(id, "not started: a condition of its unit is not met");
                    self.active.remove(id);
                }
            }
            // An experiment whose first attempt failed may be restarted.
            Ok(Started::Up | Started::AlreadyUp) | Err(UnitError::Job { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Removes the waiting runs of the session from the queue.
    async fn cancel(&mut self, context: &Context) {
        if let Err(error) = self.queued.cancel(context).await {
            self.screen.error(&error);
        }
    }

    /// Shows a line: the experiment's own as output, other writers' as a status line.
    fn show_line(&mut self, line: &LogRow) -> Result<StdoutReader, CliError> {
        match &line.writer {
            None => self.screen.output(&line.id, &line.message),
            Some(writer) => {
                self.screen.status(&line.id, &format!("{writer}: {}", line.message));
                Ok(StdoutReader::Open)
            }
        }
    }

    /// Reads the status of the active experiments. Once all start jobs have ended (`settled`), a unit that is down
    /// is down for good.
    async fn observe(&mut self, units: &ScopeUnits, settled: bool) -> Result<(), CliError> {
        self.queued.catch_up().await;
        let waiting = self.active.iter().filter(|id| self.queued.contains(id)).count();
        // Most runs of a long queue are not up, and one listing shows which are.
        let up = if waiting > SINGLE_QUERIES { Some(list_up(units).await?) } else { None };
        for id in self.active.clone() {
            if self.queued.contains(&id) && up.as_ref().is_some_and(|up| !up.contains(&id)) {
                continue;
            }
            let unit = units.status(&id).await?;
            self.screen.observe(&unit);
            match unit.main_pid {
                Some(pid) => self.pids.insert(id.clone(), pid),
                None => self.pids.remove(&id),
            };
            if !is_down(&unit) {
                self.queued.remove(&id);
            } else if settled && !self.queued.contains(&id) {
                self.active.remove(&id);
            }
        }
        self.screen.draw();
        Ok(())
    }

    /// Kills the main processes; the manager kills the other processes of their units.
    fn kill(&self) {
        for pid in self.pids.values().filter_map(|pid| i32::try_from(*pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Returns the experiments whose units are not down.
async fn list_up(units: &ScopeUnits) -> Result<BTreeSet<ExperimentId>, CliError> {
    let all = units.list().await?;
    Ok(all.into_iter().filter(|unit| !is_down(unit)).map(|unit| unit.id).collect())
}

fn is_down(unit: &UnitStatus) -> bool {
    unit.active_state.is_down()
}
