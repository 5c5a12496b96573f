//! What happens to an attempt becomes inputs of its machine; what the machine wants is done.

use std::ffi::OsStr;
use std::sync::Arc;

use bij_core::definition::ExperimentSpec;
use bij_core::port::Ledger;
use nix::sys::signal::Signal;

use super::prepare::Prepared;
use super::{Happening, Life, Surroundings};
use crate::event::Event;
use crate::jar::Sight;
use crate::kill_signal::KillSignal;
use crate::notify_socket::Message;
use crate::phase::{Act, Input};
use crate::shim::{Failure, Report};

impl Life {
    /// Turns what happened into inputs of the machine, and keeps what is evidence.
    pub(super) async fn take<L: Ledger + Send + 'static>(
        &mut self,
        happening: Happening,
        around: &Surroundings<L>,
        prepared: &mut Prepared,
        spec: &ExperimentSpec,
    ) -> Vec<Input> {
        match happening {
            Happening::Reported(report) => {
                prepared.report = None;
                self.hear_report(report, around, spec).await
            }
            Happening::Said(messages) => self.listen(messages, around),
            Happening::Exited(exit) => {
                // What it did and said before it died comes first.
                let mut inputs = match prepared.report.take() {
                    // Its end of the channel has closed with it, so this comes at once.
                    Some(report) => {
                        let report = report.await.unwrap_or(Report::Silent);
                        self.hear_report(report, around, spec).await
                    }
                    None => Vec::new(),
                };
                inputs.extend(self.listen(prepared.notify.drain(), around));
                self.ran_for = self.launched.map(|launched| launched.elapsed());
                // One that was asked to leave may do so before its children.
                if self.machine.is_up() {
                    self.left_behind = prepared.jar.left_behind().await;
                }
                let kills = prepared.jar.read().await.oom_kills;
                prepared.jar.main_ended();
                let for_memory = kills.is_some_and(|kills| kills > 0);
                inputs.push(Input::Exited { exit, for_memory });
                inputs
            }
            Happening::Saw(Sight::KilledForMemory) => vec![Input::KilledForMemory],
            Happening::Saw(Sight::OverLimit) => vec![Input::OverLimit],
            Happening::Saw(Sight::Empty) => vec![Input::Empty],
            Happening::Ordered(command) => {
                // An order that comes after its end has not ended it.
                if self.machine.exit().is_none() {
                    self.order.get_or_insert_with(|| command.order.clone());
                }
                self.stopped.push(command);
                vec![Input::Stop]
            }
            Happening::Due => vec![Input::Tick],
        }
    }

    async fn hear_report<L: Ledger + Send + 'static>(
        &mut self,
        report: Report,
        around: &Surroundings<L>,
        spec: &ExperimentSpec,
    ) -> Vec<Input> {
        match report {
            Report::Executed => return vec![Input::Executed],
            Report::Silent => {
                self.notes.push("the shim ended before it could execute the command".to_owned());
            }
            Report::Failed(failure) => {
                let Failure { status, meaning, message } = failure;
                let reason = obstacle(around, spec, &meaning).await.unwrap_or(message);
                self.log(around, format!("{reason} (status {status}/{meaning})")).await;
                self.meaning = Some(format!("{meaning}: {reason}"));
            }
        }
        Vec::new()
    }

    fn listen<L>(&mut self, messages: Vec<Message>, around: &Surroundings<L>) -> Vec<Input> {
        let mut inputs = Vec::new();
        for message in messages {
            inputs.push(match message {
                Message::Ready => Input::Ready,
                Message::Fed => Input::Fed,
                Message::FeedRefused => Input::FeedRefused,
                Message::Status(text) => {
                    around.desk.show(|state| state.status_text = Some(text.clone()));
                    let run = self.opened.run.clone();
                    around.sink.offer(Event::Status { run, text: text.clone() });
                    self.status_text = Some(text);
                    continue;
                }
            });
        }
        inputs
    }

    pub(super) async fn act<L: Ledger + Send + 'static>(
        &self,
        act: Act,
        around: &Surroundings<L>,
        prepared: &Prepared,
        spec: &ExperimentSpec,
    ) {
        match act {
            Act::AskByFile => {
                if let Err(error) = std::fs::write(&prepared.stop_file, "") {
                    self.log(around, format!("cannot make the stop file: {error}")).await;
                }
            }
            Act::Terminate => {
                // Definitions are checked; one from elsewhere gets what systemd would send.
                let term = KillSignal::Standard(Signal::SIGTERM);
                prepared.jar.signal(KillSignal::parse(&spec.stop.signal).unwrap_or(term));
            }
            Act::Abort => prepared.jar.signal(KillSignal::Standard(Signal::SIGABRT)),
            Act::Kill => prepared.jar.kill(),
        }
    }
}

/// Returns what the machine lacks for the step of the start that has failed, as far as that can be told.
async fn obstacle<L>(
    around: &Surroundings<L>,
    spec: &ExperimentSpec,
    meaning: &str,
) -> Option<String> {
    let key = match meaning {
        "CHDIR" => "directory",
        "EXEC" => "command",
        _ => return None,
    };
    let (definitions, spec) = (Arc::clone(&around.definitions), spec.clone());
    let path = around.shared.base_environment.get(OsStr::new("PATH"));
    let path = path.and_then(|path| path.to_str()).map(ToOwned::to_owned);
    let look = move || definitions.obstacles(&spec, path.as_deref());
    let obstacles = tokio::task::spawn_blocking(look).await.ok()?;
    obstacles.iter().find(|obstacle| obstacle.key() == key).map(ToString::to_string)
}
