//! One attempt, from its opening in the ledger to its end there.

mod conclude;
mod handle;
mod prepare;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bij_core::port::{DefinitionSource, LedgerError, Opened, Opening};
use bij_core::spec::ExperimentSpec;
use bij_core::{
    ActiveState, AttemptEnd, AttemptKey, Exit, LeftBehind, Order, RunId, ServiceResult, StartKind,
    SubState, Timestamp, error_chain,
};
use bij_host::uptime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use crate::control::{Control, StopCommand};
use crate::event::{EventSink, SupervisorEvent};
use crate::log_file::{LogLine, LogStream};
use crate::notify_socket::NotifyMessage;
use crate::phase::{AttemptPhase, AttemptRules, AttemptStateMachine};
use crate::resource_guard::GuardEvent;
use crate::shim::ShimReport;
use crate::supervisor::SupervisorContext;
use prepare::Prepared;

/// What all attempts of one experiment share.
pub(crate) struct ExperimentContext {
    pub(crate) supervisor: Arc<SupervisorContext>,
    pub(crate) definitions: Arc<dyn DefinitionSource>,
    pub(crate) control: Control,
    pub(crate) sink: EventSink,
    pub(crate) orders: UnboundedReceiver<StopCommand>,
}

/// The result of an attempt, from which the supervisor decides about a restart.
#[derive(Debug)]
pub(crate) struct AttemptOutcome {
    pub(crate) run: RunId,
    pub(crate) result: ServiceResult,
    pub(crate) exit: Option<Exit>,
    pub(crate) end: AttemptEnd,
    /// Stop orders that came during the attempt, not answered yet.
    pub(crate) stopped: Vec<StopCommand>,
}

/// Something that happened to an attempt.
enum AttemptEvent {
    ShimReported(ShimReport),
    Notified(Vec<NotifyMessage>),
    Exited(Exit),
    Guard(GuardEvent),
    StopOrdered(StopCommand),
    DeadlinePassed,
}

/// An attempt under way.
pub(crate) struct RunningAttempt {
    opened: Opened,
    key: AttemptKey,
    machine: AttemptStateMachine,
    /// When the main process was started.
    launched: Option<Instant>,
    /// When the attempt was up.
    ready: Option<Timestamp>,
    ran_for: Option<std::time::Duration>,
    order: Option<Order>,
    stopped: Vec<StopCommand>,
    status_text: Option<String>,
    meaning: Option<String>,
    left_behind: Option<LeftBehind>,
    notes: Vec<String>,
}

impl RunningAttempt {
    /// Opens an attempt in the ledger.
    pub(crate) async fn open(
        context: &ExperimentContext,
        spec: &ExperimentSpec,
        start: StartKind,
    ) -> Result<Self, LedgerError> {
        let key = context.supervisor.new_key();
        let at = Timestamp::from(SystemTime::now());
        let uptime = uptime();
        let opening = Opening { experiment: spec.id.clone(), key, at, uptime, start };
        let opened = context.supervisor.recorder.open(opening).await?;
        context.control.update(|state| {
            state.active = ActiveState::Activating;
            state.sub = SubState::Start;
            state.invocation = Some(key.invocation);
            (state.result, state.main_pid, state.status_text) = (None, None, None);
            state.became_ready = false;
            state.since = at;
        });
        Ok(Self {
            opened,
            key,
            machine: AttemptStateMachine::new(AttemptRules::from_spec(spec), Instant::now()),
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

    /// Runs the attempt to its end and closes it in the ledger.
    pub(crate) async fn run(
        mut self,
        context: &mut ExperimentContext,
        spec: &ExperimentSpec,
        started: Timestamp,
    ) -> AttemptOutcome {
        let counters = match self.prepare(context, spec).await {
            Ok(mut prepared) => {
                self.notes.extend_from_slice(&prepared.notes);
                self.supervise(context, &mut prepared, spec).await;
                prepared.clean_up().await
            }
            Err(error) => {
                // The attempt ends with systemd's result `resources`.
                self.notes.push(error_chain(&error));
                crate::resource_guard::Counters::default()
            }
        };
        context.control.set_guard(None);
        self.close(context, spec, started, counters).await
    }

    async fn supervise(
        &mut self,
        context: &mut ExperimentContext,
        prepared: &mut Prepared,
        spec: &ExperimentSpec,
    ) {
        self.launched = Some(Instant::now());
        let pid = prepared.pid;
        context.control.set_guard(Some(&prepared.guard));
        context.control.update(|state| {
            state.main_pid = Some(pid);
            state.cgroup_procs.clone_from(&prepared.cgroup_procs);
        });
        context.sink.send(SupervisorEvent::Started {
            run: self.opened.run.clone(),
            attempt: self.opened.attempt,
            pid,
            invocation: self.key.invocation,
            notes: prepared.notes.clone(),
        });
        self.log(context, format!("started as process {pid}")).await;
        while self.machine.phase() != AttemptPhase::Dead {
            let event = self.next_event(&mut context.orders, prepared).await;
            let before = (self.machine.phase(), self.machine.is_ready());
            for input in self.inputs_from(event, context, prepared, spec).await {
                for action in self.machine.handle(input, Instant::now()) {
                    self.execute(action, context, prepared, spec).await;
                }
            }
            if (self.machine.phase(), self.machine.is_ready()) != before {
                self.publish(context);
            }
        }
    }

    /// Waits for the next event. Handles nothing itself, so that every arm is cancel-safe: a task
    /// handle, a datagram, waitpid and two queues.
    async fn next_event(
        &self,
        orders: &mut UnboundedReceiver<StopCommand>,
        prepared: &mut Prepared,
    ) -> AttemptEvent {
        let deadline = async {
            match self.machine.next_deadline() {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        // Not biased: an experiment that sends messages without pause must not delay stop orders.
        tokio::select! {
            report = next_report(&mut prepared.report) => AttemptEvent::ShimReported(report),
            messages = prepared.notify.receive() => AttemptEvent::Notified(messages),
            exit = prepared.child.wait(), if self.machine.exit().is_none() => {
                AttemptEvent::Exited(conclude::exit_from_status(&exit))
            }
            event = prepared.guard.next_event() => AttemptEvent::Guard(event),
            Some(command) = orders.recv() => AttemptEvent::StopOrdered(command),
            () = deadline => AttemptEvent::DeadlinePassed,
        }
    }

    /// Publishes the phase to clients and to the embedding program.
    fn publish(&mut self, context: &ExperimentContext) {
        let now = Timestamp::from(SystemTime::now());
        if self.machine.is_ready() && self.ready.is_none() {
            self.ready = Some(now);
            let (run, attempt) = (self.opened.run.clone(), self.opened.attempt);
            context.sink.send(SupervisorEvent::Ready { run, attempt });
        }
        let phase = self.machine.phase();
        let active = match phase {
            AttemptPhase::Start => ActiveState::Activating,
            AttemptPhase::Running => ActiveState::Active,
            AttemptPhase::StopWatchdog | AttemptPhase::StopSigterm | AttemptPhase::StopSigkill => {
                ActiveState::Deactivating
            }
            // What follows is published by the supervised experiment.
            AttemptPhase::Dead => return,
        };
        if context.control.state().active != active {
            context.control.update(|state| state.since = now);
        }
        let ready = self.machine.is_ready();
        context.control.update(|state| {
            state.became_ready = ready;
            state.active = active;
            state.sub = phase.sub_state();
        });
    }

    /// Writes a line of the supervisor into the experiment's log.
    async fn log(&self, context: &ExperimentContext, text: String) {
        let line = self.line(text);
        context.supervisor.log.write(line.clone()).await;
        context.sink.send(SupervisorEvent::Output(line));
    }

    /// Returns `text` as a log line of the supervisor.
    fn line(&self, text: String) -> LogLine {
        LogLine {
            experiment: self.opened.run.experiment.clone(),
            at: Timestamp::from(SystemTime::now()),
            run: self.opened.run.number,
            attempt: self.opened.attempt,
            stream: LogStream::Bij,
            continued: false,
            text,
        }
    }
}

/// Waits for the shim's report; never returns if it has been taken already.
async fn next_report(report: &mut Option<JoinHandle<ShimReport>>) -> ShimReport {
    match report {
        Some(report) => report.await.unwrap_or(ShimReport::Silent),
        None => std::future::pending().await,
    }
}
