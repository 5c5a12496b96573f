//! Evidence as JSON: every key is always there, absent values are null.

use bij_core::{
    Bytes, Evidence, Exit, LeftBehind, Limit, Order, PeakSource, Progress, ServiceResult, TimeSpan,
    Witness,
};
use serde::Serialize;

/// The `evidence` of docs/json.md.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EvidenceView {
    witness: Option<Witness>,
    service_result: Option<ServiceResult>,
    exit_meaning: Option<String>,
    core_dumped: bool,
    became_ready: bool,
    ran_for_usec: Option<TimeSpan>,
    time_limit_usec: Option<TimeSpan>,
    order: Option<Order>,
    oom_kills: Option<u64>,
    memory_limit_hits: Option<u64>,
    memory_peak: Option<Bytes>,
    memory_peak_source: Option<PeakSource>,
    memory_max: Option<Bytes>,
    cpu_usage_nsec: Option<u64>,
    kernel_line: Option<String>,
    status_text: Option<String>,
    progress: Option<Progress>,
    restarts: Option<u32>,
    last_lines: Vec<String>,
    left_behind: Option<LeftBehind>,
    notes: Vec<String>,
}

impl From<&Evidence> for EvidenceView {
    fn from(evidence: &Evidence) -> Self {
        let evidence = evidence.clone();
        // Also a sentence in the notes.
        let left = evidence.left_behind.as_ref().map(ToString::to_string);
        Self {
            witness: evidence.witness,
            service_result: evidence.service_result,
            exit_meaning: evidence.exit_meaning,
            core_dumped: matches!(evidence.exit, Some(Exit::CoreDump(_))),
            became_ready: evidence.became_ready,
            ran_for_usec: evidence.ran_for,
            time_limit_usec: evidence.time_limit,
            order: evidence.order,
            oom_kills: evidence.oom_kills,
            memory_limit_hits: evidence.memory_limit_hits,
            memory_peak: evidence.memory_peak,
            memory_peak_source: evidence.memory_peak_source,
            memory_max: evidence.memory_max.and_then(Limit::at),
            cpu_usage_nsec: evidence.cpu_usage_nsec,
            kernel_line: evidence.kernel_line,
            status_text: evidence.status_text,
            progress: evidence.progress,
            restarts: evidence.restarts,
            last_lines: evidence.last_lines,
            notes: left.into_iter().chain(evidence.notes).collect(),
            left_behind: evidence.left_behind,
        }
    }
}
