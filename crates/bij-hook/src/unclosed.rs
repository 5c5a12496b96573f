//! How an attempt ended of which its `end` hook has not told.

use bij_core::port::Closing;
use bij_core::{Attempt, AttemptEnd, Evidence, Exit, TimeSpan, Witness};
use bij_host::{HostContext, logged, read_progress};

use crate::attempt_record::AttemptRecord;
use crate::order_file::read_order;
use crate::{Journal, LoggedEnd, sentence};

/// The clock of the kernel's log is a little off the one that was read.
const CLOCKS_DIFFER: TimeSpan = TimeSpan::from_secs(1);

/// Asks the journal, and takes the cause for unknown only if that does not know either. The unit of
/// the attempt is down, or lives another life by now; `found_by` is who has noticed.
pub fn find_end(
    host: &HostContext,
    journal: &impl Journal,
    attempt: &Attempt,
    found_by: Witness,
) -> Closing {
    let id = &attempt.run.experiment;
    let found = journal.end_of(attempt.key.invocation);
    let end = logged(found, "how it ended is not known").flatten();
    let LoggedEnd { at, ready, mut evidence } = end.unwrap_or_else(|| {
        let mut evidence = Evidence::default();
        evidence.witness = Some(found_by);
        evidence.notes.push("no witness says how it ended".to_owned());
        LoggedEnd { at: host.now(), ready: None, evidence }
    });
    let who = if found_by == Witness::Coordinator { "the coordinator" } else { "the next start" };
    evidence.notes.push(format!("its `end` hook did not finish; {who} closed it"));
    // Who asked for it by name is known better than the journal tells.
    if let Some(order) = read_order(host.layout(), id) {
        evidence.order = Some(order);
    }
    hear_kernel(host, journal, attempt, &mut evidence);
    evidence.progress = read_progress(&host.layout().progress(id));
    Closing::from_evidence(attempt, at, ready, evidence)
}

/// Tells people of an end that its hook has not told of.
pub fn log_unclosed(attempt: &Attempt, end: &AttemptEnd) {
    log::info!(
        BIJ_EXPERIMENT:% = attempt.run.experiment, BIJ_RUN:% = attempt.run,
        BIJ_ATTEMPT:% = attempt.number, BIJ_CAUSE:% = end.cause, BIJ_EVENT = "attempt-closed-late";
        "{}", sentence(&attempt.run, attempt.number, end, attempt.started)
    );
}

/// The counters are gone with the control group; on cgroup v1 only the kernel's log still tells
/// a kill for memory from any other SIGKILL.
fn hear_kernel(
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
    let since = since.as_micros().saturating_sub(CLOCKS_DIFFER.as_micros());
    let line = journal.oom_line(&attempt.run.experiment, Some(TimeSpan::from_micros(since)));
    if line.is_some() {
        evidence.oom_kills.get_or_insert(1);
        evidence.kernel_line = line;
    }
}
