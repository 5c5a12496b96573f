//! Runs experiments under a supervisor in this process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bij_core::caller_environment::{DEFAULT_PATH, is_tool_variable};
use bij_core::port::UnitManager as _;
use bij_core::{AttemptEnd, ExperimentId, Order, OrderKind};
use bij_local::{
    LogStream, Options, RunError, ShimCommand, SupervisionEnd, Supervisor, SupervisorEvent,
};
use bij_store::RobustLedger;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{MissedTickBehavior, interval};

use super::cgroup_location::cgroup_location;
use super::screen::{LiveState, Screen, StdoutReader};
use super::signals::{Interrupt, Interrupts};
use crate::args::ShellArgs;
use crate::command::SHIM;
use crate::context::Context;
use crate::error::{CliError, Kind, file_error};
use crate::units::caller;
use crate::view::proof::describe_end;

/// The time between two redraws of the lines on the terminal.
const REDRAW_INTERVAL: Duration = Duration::from_millis(500);

/// Runs the experiments until each has ended or was stopped. Returns the ends of their newest attempts.
pub(super) async fn run(
    context: &Context,
    ids: &[ExperimentId],
    shell: &ShellArgs,
) -> Result<BTreeMap<ExperimentId, AttemptEnd>, CliError> {
    let ledger = RobustLedger::at(&context.layout);
    let definitions = context.definitions().clone();
    let shim = ShimCommand::current_program([SHIM]);
    let mut options = Options::default();
    options.cgroup_location = cgroup_location().await;
    if shell.clean_env {
        options.environment.retain(|name, _| !name.to_str().is_some_and(is_tool_variable));
        options.environment.insert("PATH".into(), DEFAULT_PATH.into());
    }
    let supervisor = Supervisor::new(context.layout.clone(), ledger, definitions, shim, options);
    let supervisor =
        Arc::new(supervisor.map_err(|error| CliError::from_error(Kind::Internal, &error))?);
    let mut interrupts = Interrupts::new()?;
    let mut events = supervisor.run(ids).map_err(to_cli_error)?;
    let units = context.units().await?;
    let mut session = LocalSession {
        screen: Screen::new(context, ids),
        pids: BTreeMap::new(),
        ends: BTreeMap::new(),
    };
    let mut ticks = interval(REDRAW_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // Each branch is cancel-safe: it waits for a channel, a signal or a clock.
        tokio::select! {
            event = events.next() => match event {
                Some(event) => if session.handle_event(event)? == StdoutReader::Closed {
                    stop(&supervisor, "a closed pipe");
                },
                None => break,
            },
            interrupt = interrupts.next() => match interrupt {
                Interrupt::Stop(why) => {
                    session.screen.end();
                    context.terminal.status("Stopping in good order; Ctrl-C again kills.");
                    stop(&supervisor, why);
                }
                Interrupt::Kill => session.kill(),
            },
            _ = ticks.tick(), if context.terminal.is_live() => {
                for id in session.pids.keys().cloned().collect::<Vec<_>>() {
                    if let Ok(unit) = units.status(&id).await {
                        session.screen.observe(&unit);
                    }
                }
                session.screen.draw();
            }
        }
    }
    session.screen.end();
    Ok(session.ends)
}

/// Requests the stop of all experiments; their ends arrive as events.
fn stop(supervisor: &Arc<Supervisor>, why: &str) {
    let order = Order { kind: OrderKind::Stop, by: format!("{why} by {}", caller()) };
    let supervisor = Arc::clone(supervisor);
    tokio::spawn(async move { supervisor.stop_all(order).await });
}

/// A foreground session without systemd.
struct LocalSession<'a> {
    screen: Screen<'a>,
    pids: BTreeMap<ExperimentId, u32>,
    /// The end of each experiment's newest attempt, also if the ledger could not record it.
    ends: BTreeMap<ExperimentId, AttemptEnd>,
}

impl LocalSession<'_> {
    fn handle_event(&mut self, event: SupervisorEvent) -> Result<StdoutReader, CliError> {
        match event {
            SupervisorEvent::Started { run, attempt, pid, invocation: _, notes } => {
                let id = run.experiment.clone();
                self.screen.update(&id, |live| {
                    live.attempt = Some(attempt.0);
                    live.state = LiveState::Busy;
                });
                self.pids.insert(id.clone(), pid);
                self.screen.status(&id, &format!("attempt {attempt} of run {run}"));
                for note in notes {
                    self.screen.status(&id, &note);
                }
            }
            SupervisorEvent::Ready { run, .. } => {
                self.screen.update(&run.experiment, |live| live.state = LiveState::Up);
            }
            SupervisorEvent::Output(line) if line.stream == LogStream::Bij => {}
            SupervisorEvent::Output(line) if line.stream == LogStream::Err => {
                self.screen.error_output(&line.experiment, &line.text);
            }
            SupervisorEvent::Output(line) => {
                return self.screen.output(&line.experiment, &line.text);
            }
            SupervisorEvent::Died { run, attempt, end, unrecorded } => {
                self.pids.remove(&run.experiment);
                let text = format!("attempt {attempt} ended: {}", describe_end(&end));
                self.screen.status(&run.experiment, &text);
                if let Some(why) = unrecorded {
                    let text = format!("its end could not be recorded: {why}");
                    self.screen.status(&run.experiment, &text);
                }
                self.ends.insert(run.experiment, *end);
            }
            SupervisorEvent::Waiting { run, delay, .. } => {
                self.screen.update(&run.experiment, |live| {
                    live.state = LiveState::Waiting;
                    live.restarts += 1;
                    (live.memory, live.cpu_percent) = (None, None);
                });
                self.screen.status(&run.experiment, &format!("restarts in {delay}"));
            }
            SupervisorEvent::GaveUp { id, starts } => {
                self.screen.status(&id, &format!("gave up after {starts} starts"));
            }
            SupervisorEvent::Ended { id, ending } => self.ended(&id, ending),
            // Other events have no text here.
            _ => {}
        }
        Ok(StdoutReader::Open)
    }

    fn ended(&mut self, id: &ExperimentId, ending: SupervisionEnd) {
        let state = match ending {
            SupervisionEnd::Success | SupervisionEnd::Stopped { .. } => LiveState::Done,
            SupervisionEnd::NotRestarted { .. } | SupervisionEnd::GaveUp { .. } => {
                LiveState::Failed
            }
            SupervisionEnd::NotStarted { reason } => {
                self.screen
                    .error(&CliError::new(Kind::Failed, format!("cannot start {id}: {reason}")));
                LiveState::Failed
            }
        };
        self.screen.update(id, |live| {
            live.state = state;
            (live.memory, live.cpu_percent) = (None, None);
        });
    }

    /// Kills the main processes; the supervisor kills the processes that they leave behind.
    fn kill(&self) {
        for pid in self.pids.values().filter_map(|pid| i32::try_from(*pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn to_cli_error(error: RunError) -> CliError {
    match error {
        RunError::Definition { source, .. } => source.into(),
        RunError::AlreadyRunning { ref id } => {
            let hint = format!("see `bij --local status {id}`");
            CliError::from_error(Kind::Failed, &error).hint(hint)
        }
        RunError::Runtime { path, source } => {
            file_error(&format!("use {}", path.display()), &source)
        }
        error => CliError::from_error(Kind::Failed, &error),
    }
}
