//! Runs experiments under systemd and stays with them until they have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bij_core::port::{Started, UnitError, UnitManager as _};
use bij_core::{ExperimentId, Order, UnitStatus};
use bij_systemd::{Journal, RuntimeScope};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::in_queue::InQueue;
use super::screen::{Reader, Screen};
use super::signals::{Interrupts, Wish};
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::log_source::Lines;
use crate::orders;
use crate::scope::Scope;
use crate::units::{Units, puts_down_orders};
use crate::view::LogRow;
use crate::who::who;

/// Of more runs that wait than this, one listing tells which units are up.
const ASKED_ONE_BY_ONE: usize = 8;
/// How often the manager is asked; at most two redraws a second.
const LOOK: Duration = Duration::from_millis(500);

/// Starts them and waits until each is down for good, showing what they print. Ctrl-C stops them.
pub(super) async fn run(context: &Context, ids: &[ExperimentId]) -> Result<(), CliError> {
    let units = context.units().await?;
    for id in ids {
        let unit = units.status(id).await?;
        if !is_down(&unit) {
            return Err(CliError::new(Kind::Failed, format!("{id} is already up"))
                .hint(format!("`{} logs -f {id}` follows it", context.again)));
        }
    }
    let mut interrupts = Interrupts::new()?;
    let mut lines = Lines::follow(&journal(context), ids)?;
    let mut session = Session {
        screen: Screen::new(context, ids),
        pids: BTreeMap::new(),
        up: ids.iter().cloned().collect(),
        queue: InQueue::default(),
    };
    let mut starts = start(&units, ids);
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !(session.up.is_empty() && starts.is_empty()) {
        // Each branch is cancel-safe: a set, a queue, a signal and a clock are waited for.
        tokio::select! {
            Some(started) = starts.join_next() => {
                let (id, started) =
                    started.map_err(|error| CliError::of(Kind::Internal, &error))?;
                session.started(context, &id, started).await?;
            }
            line = lines.next() => if session.line(&line?)? == Reader::Gone {
                stop(context, &units, &session.up, "a closed pipe");
                session.cancel(context).await;
            },
            wish = interrupts.next() => match wish {
                Wish::Stop(why) => {
                    session.screen.end();
                    context.terminal.status("Stopping in good order; Ctrl-C again kills.");
                    stop(context, &units, &session.up, why);
                    session.cancel(context).await;
                }
                Wish::Kill => session.kill(),
            },
            _ = ticks.tick() => session.look(&units, starts.is_empty()).await?,
        }
    }
    // What they printed last may still be on its way through the journal.
    for line in lines.rest().await? {
        session.line(&line)?;
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

/// One foreground session.
struct Session<'a> {
    screen: Screen<'a>,
    pids: BTreeMap<ExperimentId, u32>,
    /// Those that are not down for good.
    up: BTreeSet<ExperimentId>,
    /// Those of them that a closed gate keeps from starting.
    queue: InQueue<'a>,
}

type Starts = JoinSet<(ExperimentId, Result<Started, UnitError>)>;

/// All at once: each waits for its own job.
fn start(units: &Arc<Units>, ids: &[ExperimentId]) -> Starts {
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

/// Orders all of them to stop; what becomes of it is seen by looking.
fn stop(context: &Context, units: &Arc<Units>, ids: &BTreeSet<ExperimentId>, why: &str) {
    for id in ids {
        if puts_down_orders(units) {
            orders::write_order(&context.layout, id, &Order::stop(format!("{why} by {}", who())));
        }
        let (units, id) = (Arc::clone(units), id.clone());
        tokio::spawn(async move { units.stop(&id).await });
    }
}

impl<'a> Session<'a> {
    async fn started(
        &mut self,
        context: &'a Context,
        id: &ExperimentId,
        started: Result<Started, UnitError>,
    ) -> Result<(), CliError> {
        match started {
            Ok(Started::Skipped) => {
                if let Some(queued) = self.queue.take_in(context, id).await {
                    self.screen.say(id, &format!("queued as {queued}"));
                } else {
                    self.screen.say(id, "not started now: a condition said no");
                    self.up.remove(id);
                }
            }
            // Where the first attempt failed, it may be brought back all the same.
            Ok(Started::Up | Started::AlreadyUp) | Err(UnitError::Job { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Takes out of the queue what waits there: who gives up waiting does not want it later.
    async fn cancel(&mut self, context: &Context) {
        if let Err(error) = self.queue.cancel(context).await {
            self.screen.error(&error);
        }
    }

    /// The experiment's own lines are output; what others say about it is said of it.
    fn line(&mut self, line: &LogRow) -> Result<Reader, CliError> {
        match &line.writer {
            None => self.screen.output(&line.id, &line.message),
            Some(writer) => {
                self.screen.say(&line.id, &format!("{writer}: {}", line.message));
                Ok(Reader::There)
            }
        }
    }

    /// Asks the manager how they are; once their jobs are done, those that are down are down for
    /// good.
    async fn look(&mut self, units: &Units, settled: bool) -> Result<(), CliError> {
        self.queue.catch_up().await;
        let waiting = self.up.iter().filter(|id| self.queue.awaits(id)).count();
        // One answer tells of all units which are up; most runs of a long queue are not.
        let up = if waiting > ASKED_ONE_BY_ONE { Some(up(units).await?) } else { None };
        for id in self.up.clone() {
            if self.queue.awaits(&id) && up.as_ref().is_some_and(|up| !up.contains(&id)) {
                continue;
            }
            let unit = units.status(&id).await?;
            self.screen.look(&unit);
            match unit.main_pid {
                Some(pid) => self.pids.insert(id.clone(), pid),
                None => self.pids.remove(&id),
            };
            if !is_down(&unit) {
                self.queue.is_up(&id);
            } else if settled && !self.queue.awaits(&id) {
                self.up.remove(&id);
            }
        }
        self.screen.draw();
        Ok(())
    }

    /// Kills the main processes; the manager ends the rest.
    fn kill(&self) {
        for pid in self.pids.values().filter_map(|pid| i32::try_from(*pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// The experiments whose units are not down.
async fn up(units: &Units) -> Result<BTreeSet<ExperimentId>, CliError> {
    let all = units.list().await?;
    Ok(all.into_iter().filter(|unit| !is_down(unit)).map(|unit| unit.id).collect())
}

fn is_down(unit: &UnitStatus) -> bool {
    unit.active_state.is_down()
}
