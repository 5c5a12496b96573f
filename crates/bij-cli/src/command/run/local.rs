//! Runs experiments under a supervisor in this process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bij_core::caller_environment::{DEFAULT_PATH, is_tool_variable};
use bij_core::port::UnitManager as _;
use bij_core::{AttemptEnd, ExperimentId, Order, OrderKind};
use bij_definitions::Definitions;
use bij_local::{Ending, Event, Options, RunError, ShimCommand, Stream, Supervisor};
use bij_store::RobustLedger;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{MissedTickBehavior, interval};

use super::cgroup_place::cgroup_place;
use super::screen::{Reader, Screen};
use super::signals::{Interrupts, Wish};
use crate::args::{SHIM, ShellArgs};
use crate::context::Context;
use crate::error::{CliError, Kind, of_file};
use crate::view::{LiveState, describe_end};
use crate::who::who;

/// At most two redraws a second.
const REDRAW: Duration = Duration::from_millis(500);

/// Runs them until each has ended, or was stopped by Ctrl-C.
pub(super) async fn run(
    context: &Context,
    ids: &[ExperimentId],
    shell: &ShellArgs,
) -> Result<BTreeMap<ExperimentId, AttemptEnd>, CliError> {
    let ledger = RobustLedger::at(&context.layout);
    let definitions = context.definitions().clone();
    let shim = ShimCommand::current_program([SHIM]);
    let mut options = Options::default();
    options.place = cgroup_place().await;
    if shell.clean_env {
        options.environment.retain(|name, _| !name.to_str().is_some_and(is_tool_variable));
        options.environment.insert("PATH".into(), DEFAULT_PATH.into());
    }
    let supervisor = Supervisor::new(context.layout.clone(), ledger, definitions, shim, options);
    let supervisor = Arc::new(supervisor.map_err(|error| CliError::of(Kind::Internal, &error))?);
    let mut interrupts = Interrupts::new()?;
    let mut events = supervisor.run(ids).map_err(refused)?;
    let units = context.units().await?;
    let mut show =
        Show { screen: Screen::new(context, ids), pids: BTreeMap::new(), ends: BTreeMap::new() };
    let mut ticks = interval(REDRAW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // Each branch is cancel-safe: a queue, a signal and a clock are waited for.
        tokio::select! {
            event = events.next() => match event {
                Some(event) => if show.event(event)? == Reader::Gone {
                    stop(&supervisor, "a closed pipe");
                },
                None => break,
            },
            wish = interrupts.next() => match wish {
                Wish::Stop(why) => {
                    show.screen.end();
                    context.terminal.status("Stopping in good order; Ctrl-C again kills.");
                    stop(&supervisor, why);
                }
                Wish::Kill => show.kill(),
            },
            _ = ticks.tick(), if context.terminal.is_live() => {
                for id in show.pids.keys().cloned().collect::<Vec<_>>() {
                    if let Ok(unit) = units.status(&id).await {
                        show.screen.look(&unit);
                    }
                }
                show.screen.draw();
            }
        }
    }
    show.screen.end();
    Ok(show.ends)
}

/// Orders all of them to stop; what becomes of it comes as events.
fn stop(supervisor: &Arc<Supervisor<RobustLedger, Definitions>>, why: &str) {
    let order = Order { kind: OrderKind::Stop, by: format!("{why} by {}", who()) };
    let supervisor = Arc::clone(supervisor);
    tokio::spawn(async move { supervisor.stop_all(order).await });
}

/// What is shown of the events, and what is needed to kill.
struct Show<'a> {
    screen: Screen<'a>,
    pids: BTreeMap<ExperimentId, u32>,
    /// How the newest attempt of each ended, also where the ledger could not take it.
    ends: BTreeMap<ExperimentId, AttemptEnd>,
}

impl Show<'_> {
    fn event(&mut self, event: Event) -> Result<Reader, CliError> {
        match event {
            Event::Started { run, attempt, pid, invocation: _, notes } => {
                let id = run.experiment.clone();
                self.screen.update(&id, |live| {
                    live.attempt = Some(attempt.0);
                    live.state = LiveState::Busy;
                });
                self.pids.insert(id.clone(), pid);
                self.screen.say(&id, &format!("attempt {attempt} of run {run}"));
                for note in notes {
                    self.screen.say(&id, &note);
                }
            }
            Event::Ready { run, .. } => {
                self.screen.update(&run.experiment, |live| live.state = LiveState::Up);
            }
            Event::Output(line) if line.stream == Stream::Bij => {}
            Event::Output(line) if line.stream == Stream::Err => {
                self.screen.error_output(&line.experiment, &line.text);
            }
            Event::Output(line) => return self.screen.output(&line.experiment, &line.text),
            Event::Died { run, attempt, end, unrecorded } => {
                self.pids.remove(&run.experiment);
                let text = format!("attempt {attempt} ended: {}", describe_end(&end));
                self.screen.say(&run.experiment, &text);
                if let Some(why) = unrecorded {
                    let text = format!("its end could not be recorded: {why}");
                    self.screen.say(&run.experiment, &text);
                }
                self.ends.insert(run.experiment, *end);
            }
            Event::Waiting { run, delay, .. } => {
                self.screen.update(&run.experiment, |live| {
                    live.state = LiveState::Waiting;
                    live.restarts += 1;
                    (live.memory, live.cpu_percent) = (None, None);
                });
                self.screen.say(&run.experiment, &format!("is brought back in {delay}"));
            }
            Event::GaveUp { id, starts } => {
                self.screen.say(&id, &format!("gave up after {starts} starts"));
            }
            Event::Ended { id, ending } => self.ended(&id, ending),
            // What a newer supervisor tells besides is not for this line of text.
            _ => {}
        }
        Ok(Reader::There)
    }

    fn ended(&mut self, id: &ExperimentId, ending: Ending) {
        let state = match ending {
            Ending::Success | Ending::Stopped { .. } => LiveState::Done,
            Ending::NotRestarted { .. } | Ending::GaveUp { .. } => LiveState::Failed,
            Ending::NotStarted { reason } => {
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

    /// Kills the main processes; the supervisor kills what they leave behind and records it.
    fn kill(&self) {
        for pid in self.pids.values().filter_map(|pid| i32::try_from(*pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn refused(error: RunError) -> CliError {
    match error {
        RunError::Definition { source, .. } => source.into(),
        RunError::AlreadyRunning { ref id } => {
            let hint = format!("see `bij --local status {id}`");
            CliError::of(Kind::Failed, &error).hint(hint)
        }
        RunError::Runtime { path, source } => of_file(&format!("use {}", path.display()), &source),
        error => CliError::of(Kind::Failed, &error),
    }
}
