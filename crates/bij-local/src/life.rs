//! One attempt, from its opening in the ledger to its end there.

mod hear;
mod prepare;
mod verdict;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bij_core::definition::ExperimentSpec;
use bij_core::port::{DefinitionSource, Ledger, LedgerError, Opened, Opening};
use bij_core::{
    ActiveState, AttemptEnd, AttemptKey, Exit, LeftBehind, Order, RunId, ServiceResult, StartKind,
    Timestamp,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use crate::control_socket::Handler as _;
use crate::desk::{Desk, StopCommand};
use crate::event::{Event, EventSink};
use crate::jar::Sight;
use crate::log_line::{LogLine, Stream};
use crate::notify_socket::Message;
use crate::phase::{Machine, Phase, Rules};
use crate::shim::Report;
use crate::supervisor::Shared;
use crate::uptime::uptime;

pub(crate) use verdict::chain;

use prepare::Prepared;

/// What all attempts of one experiment share.
pub(crate) struct Surroundings<L> {
    pub(crate) shared: Arc<Shared<L>>,
    pub(crate) definitions: Arc<dyn DefinitionSource>,
    pub(crate) desk: Desk,
    pub(crate) sink: EventSink,
    pub(crate) orders: UnboundedReceiver<StopCommand>,
}

/// What follows from an attempt that has ended.
#[derive(Debug)]
pub(crate) struct Lived {
    pub(crate) run: RunId,
    pub(crate) result: ServiceResult,
    pub(crate) exit: Option<Exit>,
    pub(crate) end: AttemptEnd,
    /// Kept until the experiment is left alone: whoever gave the order waits for it.
    pub(crate) stopped: Vec<StopCommand>,
}

/// Something that happened to an attempt.
enum Happening {
    Reported(Report),
    Said(Vec<Message>),
    Exited(Exit),
    Saw(Sight),
    Ordered(StopCommand),
    Due,
}

/// An attempt under way.
pub(crate) struct Life {
    opened: Opened,
    key: AttemptKey,
    machine: Machine,
    /// When the main process was started.
    launched: Option<Instant>,
    /// When it was up.
    ready: Option<Timestamp>,
    ran_for: Option<std::time::Duration>,
    order: Option<Order>,
    stopped: Vec<StopCommand>,
    status_text: Option<String>,
    meaning: Option<String>,
    left_behind: Option<LeftBehind>,
    notes: Vec<String>,
}

impl Life {
    /// Opens an attempt in the ledger.
    pub(crate) async fn open<L: Ledger + Send + 'static>(
        around: &Surroundings<L>,
        spec: &ExperimentSpec,
        start: StartKind,
    ) -> Result<Self, LedgerError> {
        let key = around.shared.new_key();
        let at = Timestamp::from(SystemTime::now());
        let uptime = uptime();
        let opening = Opening { experiment: spec.id.clone(), key, at, uptime, start };
        let opened = around.shared.recorder.open(opening).await?;
        around.desk.update(|state| {
            state.active = ActiveState::Activating;
            "start".clone_into(&mut state.sub);
            state.invocation = Some(key.invocation);
            (state.result, state.main_pid, state.status_text) = (None, None, None);
            state.became_ready = false;
            state.since = at;
        });
        Ok(Self {
            opened,
            key,
            machine: Machine::new(Rules::of(spec), Instant::now()),
            launched: None,
            ready: None,
            ran_for: None,
            order: None,
            stopped: Vec::new(),
            status_text: None,
            meaning: None,
            left_behind: None,
            notes: Vec::new(),
        })
    }

    /// Lives it to its end and closes it in the ledger.
    pub(crate) async fn live<L: Ledger + Send + 'static>(
        mut self,
        around: &mut Surroundings<L>,
        spec: &ExperimentSpec,
        started: Timestamp,
    ) -> Lived {
        let counters = match self.prepare(around, spec).await {
            Ok(mut prepared) => {
                self.notes.extend_from_slice(&prepared.notes);
                self.go_through(around, &mut prepared, spec).await;
                prepared.clear_away().await
            }
            Err(error) => {
                // systemd's result for "could not get what the start needed".
                self.notes.push(chain(&error));
                crate::jar::Counters::default()
            }
        };
        around.desk.set_jar(None);
        self.conclude(around, spec, started, counters).await
    }

    async fn go_through<L: Ledger + Send + 'static>(
        &mut self,
        around: &mut Surroundings<L>,
        prepared: &mut Prepared,
        spec: &ExperimentSpec,
    ) {
        self.launched = Some(Instant::now());
        let pid = prepared.pid;
        around.desk.set_jar(Some(&prepared.jar));
        around.desk.update(|state| {
            state.main_pid = Some(pid);
            state.cgroup_procs.clone_from(&prepared.cgroup_procs);
        });
        around.sink.send(Event::Started {
            run: self.opened.run.clone(),
            attempt: self.opened.attempt,
            pid,
            invocation: self.key.invocation,
            notes: prepared.notes.clone(),
        });
        self.log(around, format!("started as process {pid}")).await;
        while self.machine.phase() != Phase::Dead {
            let happening = self.happening(&mut around.orders, prepared).await;
            let before = (self.machine.phase(), self.machine.is_ready());
            for input in self.take(happening, around, prepared, spec).await {
                for act in self.machine.handle(input, Instant::now()) {
                    self.act(act, around, prepared, spec).await;
                }
            }
            if (self.machine.phase(), self.machine.is_ready()) != before {
                self.show(around);
            }
        }
    }

    /// Waits for the next thing to happen; only builds it, so that every arm is cancel-safe: a
    /// task handle, a datagram, waitpid and two queues.
    async fn happening(
        &self,
        orders: &mut UnboundedReceiver<StopCommand>,
        prepared: &mut Prepared,
    ) -> Happening {
        let due = async {
            match self.machine.due() {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        // Not biased: who never stops talking must not keep orders from being heard.
        tokio::select! {
            report = hear(&mut prepared.report) => Happening::Reported(report),
            messages = prepared.notify.receive() => Happening::Said(messages),
            exit = prepared.child.wait(), if self.machine.exit().is_none() => {
                Happening::Exited(verdict::exit_of(&exit))
            }
            sight = prepared.jar.sight() => Happening::Saw(sight),
            Some(command) = orders.recv() => Happening::Ordered(command),
            () = due => Happening::Due,
        }
    }

    /// Tells everybody what has changed.
    fn show<L>(&mut self, around: &Surroundings<L>) {
        let now = Timestamp::from(SystemTime::now());
        if self.machine.is_ready() && self.ready.is_none() {
            self.ready = Some(now);
            let (run, attempt) = (self.opened.run.clone(), self.opened.attempt);
            around.sink.send(Event::Ready { run, attempt });
        }
        let phase = self.machine.phase();
        let active = match phase {
            Phase::Start => ActiveState::Activating,
            Phase::Running => ActiveState::Active,
            Phase::StopWatchdog | Phase::StopSigterm | Phase::StopSigkill => {
                ActiveState::Deactivating
            }
            // The experiment's end says what becomes of it.
            Phase::Dead => return,
        };
        if around.desk.state().active != active {
            around.desk.update(|state| state.since = now);
        }
        let ready = self.machine.is_ready();
        around.desk.update(|state| {
            state.became_ready = ready;
            state.active = active;
            phase.as_str().clone_into(&mut state.sub);
        });
    }

    /// Writes a line of the supervisor's own into the experiment's log.
    async fn log<L>(&self, around: &Surroundings<L>, text: String) {
        let line = self.line(text);
        around.shared.log.write(line.clone()).await;
        around.sink.send(Event::Output(line));
    }

    /// A line of the supervisor's own.
    fn line(&self, text: String) -> LogLine {
        LogLine {
            experiment: self.opened.run.experiment.clone(),
            at: Timestamp::from(SystemTime::now()),
            run: self.opened.run.number,
            attempt: self.opened.attempt,
            stream: Stream::Bij,
            continued: false,
            text,
        }
    }
}

/// Waits for the shim's report; forever if there is none to come.
async fn hear(report: &mut Option<JoinHandle<Report>>) -> Report {
    match report {
        Some(report) => report.await.unwrap_or(Report::Silent),
        None => std::future::pending().await,
    }
}
