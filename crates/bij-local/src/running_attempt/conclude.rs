//! The end of an attempt: evidence, cause, and its record in the ledger.

use std::io;
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use bij_core::port::Closing;
use bij_core::spec::ExperimentSpec;
use bij_core::{
    AttemptEnd, Evidence, Exit, Limit, PeakSource, ServiceResult, TimeSpan, Timestamp, Witness,
    error_chain,
};
use bij_host::read_progress;

use super::{AttemptOutcome, ExperimentContext, RunningAttempt};
use crate::event::SupervisorEvent;
use crate::resource_guard::Counters;

impl RunningAttempt {
    /// Gathers the evidence, proves the cause and closes the attempt in the ledger.
    pub(super) async fn close(
        mut self,
        context: &ExperimentContext,
        spec: &ExperimentSpec,
        started: Timestamp,
        counters: Counters,
    ) -> AttemptOutcome {
        let result = if self.launched.is_some() {
            self.machine.result().clone()
        } else {
            ServiceResult::Resources
        };
        if self.machine.has_survivors() {
            self.notes.push("some of its processes survived SIGKILL".to_owned());
        }
        self.note_killed_children(&counters);
        let evidence = self.evidence(context, spec, &result, counters);
        let cause = evidence.prove();
        let end = AttemptEnd { at: Timestamp::from(SystemTime::now()), cause, evidence };
        self.log(context, format!("ended: {}", describe(&end))).await;
        let closing = Closing {
            experiment: spec.id.clone(),
            key: self.key,
            ready: self.ready,
            end: end.clone(),
            started,
        };
        let recorded = context.supervisor.recorder.close(closing).await;
        let unrecorded = recorded.err().map(|error| error_chain(&error));
        if let Some(error) = &unrecorded {
            self.log(context, format!("cannot record this end in the ledger: {error}")).await;
        }
        if let Err(error) = context.supervisor.log.flush(&spec.id).await {
            // The log cannot be written, so only the event reports it.
            let lost = self.line(format!("cannot write the log, some lines are lost: {error}"));
            context.sink.send(SupervisorEvent::Output(lost));
        }
        context.sink.send(SupervisorEvent::Died {
            run: self.opened.run.clone(),
            attempt: self.opened.attempt,
            end: Box::new(end.clone()),
            unrecorded,
        });
        let (run, exit) = (self.opened.run, self.machine.exit());
        AttemptOutcome { run, result, exit, end, stopped: self.stopped }
    }

    fn note_killed_children(&mut self, counters: &Counters) {
        let kills = counters.oom_kills.unwrap_or(0);
        if kills > 0 && self.machine.exit() == Some(Exit::Code(0)) {
            self.notes.push(format!(
                "{kills} of its processes were killed for memory although its main process succeeded"
            ));
        }
    }

    fn evidence(
        &self,
        context: &ExperimentContext,
        spec: &ExperimentSpec,
        result: &ServiceResult,
        counters: Counters,
    ) -> Evidence {
        let resources = counters.resources;
        let mut evidence = Evidence::default();
        evidence.witness = Some(Witness::Supervisor);
        evidence.service_result = Some(result.clone());
        evidence.exit = self.machine.exit();
        evidence.exit_meaning.clone_from(&self.meaning);
        evidence.became_ready = self.machine.is_ready();
        evidence.ran_for = self.ran_for.map(span);
        evidence.time_limit = spec.limits.time.and_then(Limit::at);
        evidence.order.clone_from(&self.order);
        evidence.oom_kills = counters.oom_kills;
        evidence.memory_limit_hits = counters.memory_limit_hits;
        evidence.memory_peak = resources.memory_peak;
        evidence.memory_peak_source = counters.peak_source;
        evidence.memory_max = resources.memory_max;
        evidence.cpu_usage_nsec = resources.cpu_usage_nsec;
        evidence.kernel_line = counters.kernel_line;
        evidence.status_text.clone_from(&self.status_text);
        evidence.progress = read_progress(&context.supervisor.layout.progress(&spec.id));
        evidence.restarts = Some(context.control.state().restarts);
        evidence.left_behind.clone_from(&self.left_behind);
        evidence.notes.clone_from(&self.notes);
        evidence
    }
}

/// Returns how a process ended, from its wait status.
pub(super) fn exit_from_status(status: &io::Result<ExitStatus>) -> Exit {
    let exit = status.as_ref().ok().and_then(|status| Exit::from_status(*status));
    // Other code of this program may have reaped the process, so that its status is unknown.
    exit.unwrap_or(Exit::Signal(0))
}

/// Returns an end as one line: `oom-kill, signal 9, after 3s, memory peak 64.0M`.
fn describe(end: &AttemptEnd) -> String {
    let evidence = &end.evidence;
    let exit = evidence.exit.map(|exit| match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::CoreDump(signal) => format!("signal {signal}, core dumped"),
    });
    let sampled = evidence.memory_peak_source == Some(PeakSource::Sampled);
    let how = if sampled { " (sampled)" } else { "" };
    let parts = [
        Some(end.cause.to_string()),
        exit,
        evidence.exit_meaning.clone(),
        evidence.ran_for.map(|ran| format!("after {ran}")),
        evidence.order.as_ref().map(|order| order.by.clone()),
        evidence.memory_peak.map(|peak| format!("memory peak {peak}{how}")),
        evidence.left_behind.as_ref().map(ToString::to_string),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Rounds down to milliseconds, which is precise enough for a reader.
fn span(duration: Duration) -> TimeSpan {
    TimeSpan::from(duration).truncated_to(TimeSpan::from_millis(1))
}
