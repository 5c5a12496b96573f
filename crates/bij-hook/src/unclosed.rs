//! Recovers the end of an attempt whose `end` hook was killed.

use bij_core::port::Closing;
use bij_core::{Attempt, AttemptEnd, Evidence, Exit, TimeSpan, Witness};
use bij_host::{HostContext, logged, read_progress};

use crate::attempt_record::{AttemptRecord, read_order};
use crate::{Journal, LoggedEnd, describe_end};

/// Difference between the clock of the kernel's log and `CLOCK_MONOTONIC`.
const CLOCKS_DIFFER: TimeSpan = TimeSpan::from_secs(1);

/// Recovers the end of an attempt from the journal; its cause is unknown if the journal has no record of it. The unit
/// of the attempt must be inactive, or in a later invocation. `found_by` names the caller in the evidence.
pub fn find_end(
    host: &HostContext,
    journal: &impl Journal,
    attempt: &Attempt,
    found_by: Witness,
) -> Closing {
    let id = &attempt.run.experiment;
    let found = journal.end_of(attempt.key.invocation);
    let end = logged(found, "cannot read how the attempt ended").flatten();
    let LoggedEnd { at, ready, mut evidence } = end.unwrap_or_else(|| {
        let mut evidence = Evidence::default();
        evidence.witness = Some(found_by);
        evidence.notes.push("no witness says how it ended".to_owned());
        LoggedEnd { at: host.now(), ready: None, evidence }
    });
    let who = if found_by == Witness::Coordinator { "the coordinator" } else { "the next start" };
    evidence.notes.push(format!("its `end` hook did not finish; {who} closed it"));
    // An order names its author, which the journal does not.
    if let Some(order) = read_order(host.layout(), id) {
        evidence.order = Some(order);
    }
    read_kernel_evidence(host, journal, attempt, &mut evidence);
    evidence.progress = read_progress(&host.layout().progress(id));
    Closing::from_evidence(attempt, at, ready, evidence)
}

/// Logs the recovered end of an attempt.
pub fn log_unclosed(attempt: &Attempt, end: &AttemptEnd) {
    log::info!(
        BIJ_EXPERIMENT:% = attempt.run.experiment, BIJ_RUN:% = attempt.run,
        BIJ_ATTEMPT:% = attempt.number, BIJ_CAUSE:% = end.cause, BIJ_EVENT = "attempt-closed-late";
        "{}", describe_end(&attempt.run, attempt.number, end, attempt.started)
    );
}

/// Adds an OOM kill from the kernel's log. The counters were removed with the control group, and on cgroup v1 only this
/// log distinguishes an OOM kill from any other SIGKILL.
fn read_kernel_evidence(
    host: &HostContext,
    journal: &impl Journal,
    attempt: &Attempt,
    evidence: &mut Evidence,
) {
    let killed = evidence.exit.is_none_or(|exit| exit == Exit::Signal(9));
    let record = AttemptRecord::read(host.layout(), &attempt.run.experiment);
    let since = record
        .filter(|record| record.key == attempt.key)
        .and_then(|record| record.started_since_boot);
    let Some(since) = since.filter(|_| killed) else { return };
    let line = journal.oom_line(&attempt.run.experiment, Some(since - CLOCKS_DIFFER));
    if line.is_some() {
        evidence.oom_kills.get_or_insert(1);
        evidence.kernel_line = line;
    }
}
