//! Turns events of an attempt into inputs of its state machine, and executes the actions.

use std::ffi::OsStr;
use std::sync::Arc;

use bij_core::spec::ExperimentSpec;
use nix::sys::signal::Signal;

use super::prepare::Prepared;
use super::{AttemptEvent, ExperimentContext, RunningAttempt};
use crate::event::SupervisorEvent;
use crate::kill_signal::KillSignal;
use crate::notify_socket::NotifyMessage;
use crate::phase::{AttemptAction, AttemptInput};
use crate::resource_guard::GuardEvent;
use crate::shim::{ShimFailure, ShimReport};

impl RunningAttempt {
    /// Returns the inputs that follow from an event, and keeps its evidence.
    pub(super) async fn inputs_from(
        &mut self,
        event: AttemptEvent,
        context: &ExperimentContext,
        prepared: &mut Prepared,
        spec: &ExperimentSpec,
    ) -> Vec<AttemptInput> {
        match event {
            AttemptEvent::ShimReported(report) => {
                prepared.report = None;
                self.handle_report(report, context, spec).await
            }
            AttemptEvent::Notified(messages) => self.handle_messages(messages, context),
            AttemptEvent::Exited(exit) => {
                // Reports and messages from before the exit come first.
                let mut inputs = match prepared.report.take() {
                    // The exit closed the shim's end of the channel, so this returns at once.
                    Some(report) => {
                        let report = report.await.unwrap_or(ShimReport::Silent);
                        self.handle_report(report, context, spec).await
                    }
                    None => Vec::new(),
                };
                inputs.extend(self.handle_messages(prepared.notify.drain(), context));
                self.ran_for = self.launched.map(|launched| launched.elapsed());
                // After a stop order the main process may end before its children.
                if self.machine.is_up() {
                    self.left_behind = prepared.guard.left_behind().await;
                }
                let kills = prepared.guard.read().await.oom_kills;
                prepared.guard.main_ended();
                let for_memory = kills.is_some_and(|kills| kills > 0);
                inputs.push(AttemptInput::Exited { exit, for_memory });
                inputs
            }
            AttemptEvent::Guard(GuardEvent::KilledForMemory) => vec![AttemptInput::KilledForMemory],
            AttemptEvent::Guard(GuardEvent::OverLimit) => vec![AttemptInput::OverLimit],
            AttemptEvent::Guard(GuardEvent::Empty) => vec![AttemptInput::Empty],
            AttemptEvent::StopOrdered(command) => {
                // An order that comes after the exit did not cause it.
                if self.machine.exit().is_none() {
                    self.order.get_or_insert_with(|| command.order.clone());
                }
                self.stopped.push(command);
                vec![AttemptInput::Stop]
            }
            AttemptEvent::DeadlinePassed => vec![AttemptInput::Tick],
        }
    }

    async fn handle_report(
        &mut self,
        report: ShimReport,
        context: &ExperimentContext,
        spec: &ExperimentSpec,
    ) -> Vec<AttemptInput> {
        match report {
            ShimReport::Executed => return vec![AttemptInput::Executed],
            ShimReport::Silent => {
                self.notes.push("the shim ended before it could execute the command".to_owned());
            }
            ShimReport::Failed(failure) => {
                let ShimFailure { status, meaning, message } = failure;
                let reason = find_obstacle(context, spec, &meaning).await.unwrap_or(message);
                self.log(context, format!("{reason} (status {status}/{meaning})")).await;
                self.meaning = Some(format!("{meaning}: {reason}"));
            }
        }
        Vec::new()
    }

    fn handle_messages(
        &mut self,
        messages: Vec<NotifyMessage>,
        context: &ExperimentContext,
    ) -> Vec<AttemptInput> {
        let mut inputs = Vec::new();
        for message in messages {
            inputs.push(match message {
                NotifyMessage::Ready => AttemptInput::Ready,
                NotifyMessage::WatchdogPing => AttemptInput::WatchdogPing,
                NotifyMessage::WatchdogTrigger => AttemptInput::WatchdogTrigger,
                NotifyMessage::Status(text) => {
                    context.control.update_live(|state| state.status_text = Some(text.clone()));
                    let run = self.opened.run.clone();
                    context.sink.send_if_room(SupervisorEvent::Status { run, text: text.clone() });
                    self.status_text = Some(text);
                    continue;
                }
            });
        }
        inputs
    }

    pub(super) async fn execute(
        &self,
        action: AttemptAction,
        context: &ExperimentContext,
        prepared: &Prepared,
        spec: &ExperimentSpec,
    ) {
        match action {
            AttemptAction::CreateStopFile => {
                if let Err(error) = std::fs::write(&prepared.stop_file, "") {
                    self.log(context, format!("cannot make the stop file: {error}")).await;
                }
            }
            AttemptAction::Terminate => {
                // Definitions are checked; an unchecked signal falls back to systemd's default.
                let term = KillSignal::Standard(Signal::SIGTERM);
                prepared.guard.signal(KillSignal::parse(&spec.stop.signal).unwrap_or(term));
            }
            AttemptAction::Abort => prepared.guard.signal(KillSignal::Standard(Signal::SIGABRT)),
            AttemptAction::Kill => prepared.guard.kill(),
        }
    }
}

/// Returns what this machine lacks for the failed step `meaning`, if that can be found out.
async fn find_obstacle(
    context: &ExperimentContext,
    spec: &ExperimentSpec,
    meaning: &str,
) -> Option<String> {
    let key = match meaning {
        "CHDIR" => "directory",
        "EXEC" => "command",
        _ => return None,
    };
    let (definitions, spec) = (Arc::clone(&context.definitions), spec.clone());
    let path = context.supervisor.base_environment.get(OsStr::new("PATH"));
    let path = path.and_then(|path| path.to_str()).map(ToOwned::to_owned);
    let search = move || definitions.obstacles(&spec, path.as_deref());
    let obstacles = tokio::task::spawn_blocking(search).await.ok()?;
    obstacles.iter().find(|obstacle| obstacle.key() == key).map(ToString::to_string)
}
