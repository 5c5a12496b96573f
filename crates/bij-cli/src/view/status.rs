//! The status of experiments.

use std::collections::BTreeMap;

use bij_core::{
    ActiveState, Attempt, AttemptEnd, Cause, CpuQuota, Evidence, ExperimentId, InvocationId, Limit,
    Progress, ServiceResult, SubState, Timestamp, UnitStatus,
};
use serde::Serialize;
use serde_json::Number;

use super::{Tone, WaitingRun, visible};
use crate::facts::{ExperimentFacts, GpuShare};

/// One experiment's status: the JSON of `bij --json status` and `list`, see docs/json.md.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ExperimentStatus {
    pub(crate) id: ExperimentId,
    pub(crate) state: String,
    pub(crate) sub_state: Option<SubState>,
    pub(crate) frozen: Option<bool>,
    pub(crate) masked: Option<bool>,
    pub(crate) result: Option<ServiceResult>,
    pub(crate) run: Option<u32>,
    pub(crate) attempt: Option<u32>,
    pub(crate) crashes: Option<u64>,
    pub(crate) crashes_by_cause: Option<BTreeMap<Cause, u64>>,
    pub(crate) memory_current: Option<u64>,
    pub(crate) memory_peak: Option<u64>,
    pub(crate) memory_max: Option<u64>,
    pub(crate) gpu_memory: Option<u64>,
    pub(crate) gpu_memory_why: Option<String>,
    pub(crate) memory_used: Option<u64>,
    pub(crate) cpu_usage_nsec: Option<u64>,
    pub(crate) cpu_quota_percent: Option<Number>,
    pub(crate) pid: Option<u32>,
    pub(crate) invocation_id: Option<InvocationId>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) progress: Option<Steps>,
    pub(crate) queued: Option<WaitingRun>,
    /// The GPU memory, for the text.
    #[serde(skip)]
    pub(crate) gpu: Option<GpuShare>,
    /// The newest attempt, for the text.
    #[serde(skip)]
    pub(crate) newest: Option<Attempt>,
    /// The status text that the experiment has sent (`STATUS=` of `sd_notify(3)`), for the text.
    #[serde(skip)]
    pub(crate) notify_text: Option<String>,
    /// Whether the experiment is enabled, for the text.
    #[serde(skip)]
    pub(crate) enabled: Option<bool>,
}

/// The progress that an experiment reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Steps {
    pub(crate) step: Option<u64>,
    pub(crate) total: Option<u64>,
    pub(crate) text: Option<String>,
}

impl From<&Progress> for Steps {
    fn from(progress: &Progress) -> Self {
        Self { step: progress.step, total: progress.total, text: progress.text.clone() }
    }
}

impl Steps {
    /// Formats the progress: `120/1000 (12%) text`.
    pub(crate) fn line(&self) -> String {
        let steps = match (self.step, self.total) {
            (Some(step), Some(total)) if total > 0 => {
                let percent = u128::from(step) * 100 / u128::from(total);
                Some(format!("{step}/{total} ({percent}%)"))
            }
            (Some(step), _) => Some(format!("step {step}")),
            (None, _) => None,
        };
        let text = self.text.as_deref().map(|text| visible(text).into_owned());
        steps.into_iter().chain(text).collect::<Vec<_>>().join(" ")
    }
}

impl ExperimentStatus {
    /// Combines the facts. The manager forgets units that have ended, so missing values are taken from the evidence of
    /// the newest attempt.
    pub(crate) fn new(facts: ExperimentFacts) -> Self {
        let ExperimentFacts { id, unit, tally, progress, queued, gpu } = facts;
        let newest = tally.as_ref().and_then(|tally| tally.last.clone());
        let ended = newest.as_ref().and_then(|attempt| attempt.end.as_ref());
        let evidence = ended.map(|end| &end.evidence);
        let resources = unit.as_ref().map(|unit| unit.resources.clone()).unwrap_or_default();
        let from_evidence = |part: fn(&Evidence) -> Option<u64>| evidence.and_then(part);
        let progress = progress.as_ref().or_else(|| evidence.and_then(|e| e.progress.as_ref()));
        let failed = unit.as_ref().is_some_and(|unit| unit.active_state == ActiveState::Failed);
        let result = unit
            .as_ref()
            .and_then(|unit| unit.result.clone())
            .filter(|result| *result != ServiceResult::Success || evidence.is_none())
            .or_else(|| evidence.and_then(|e| e.service_result.clone()))
            // A unit that has failed did not end with the success of an earlier attempt.
            .filter(|result| !(failed && *result == ServiceResult::Success));
        Self {
            state: state(unit.as_ref(), newest.as_ref()),
            sub_state: unit.as_ref().map(|unit| unit.sub_state.clone()),
            frozen: unit.as_ref().map(|unit| unit.frozen),
            masked: unit.as_ref().map(|unit| unit.masked),
            result,
            run: newest.as_ref().map(|attempt| attempt.run.number.0),
            attempt: newest.as_ref().map(|attempt| attempt.number.0),
            crashes: tally.as_ref().map(|tally| tally.crashes),
            crashes_by_cause: tally.as_ref().map(|tally| tally.crashes_by_cause.clone()),
            memory_current: resources.memory_current.map(bij_core::Bytes::get),
            memory_peak: resources
                .memory_peak
                .map(bij_core::Bytes::get)
                .or_else(|| from_evidence(|e| e.memory_peak.map(bij_core::Bytes::get))),
            memory_max: resources.memory_max.and_then(Limit::at).map(bij_core::Bytes::get),
            gpu_memory: gpu.as_ref().and_then(GpuShare::bytes).map(bij_core::Bytes::get),
            gpu_memory_why: gpu.as_ref().and_then(GpuShare::why).map(ToOwned::to_owned),
            memory_used: gpu
                .as_ref()
                .and_then(GpuShare::bytes)
                .and_then(|gpu| gpu.checked_add(resources.memory_current?))
                .map(bij_core::Bytes::get),
            cpu_usage_nsec: resources
                .cpu_usage_nsec
                .or_else(|| from_evidence(|evidence| evidence.cpu_usage_nsec)),
            cpu_quota_percent: resources.cpu_quota.and_then(Limit::at).and_then(percent),
            pid: unit.as_ref().and_then(|unit| unit.main_pid),
            invocation_id: unit
                .as_ref()
                .and_then(|unit| unit.invocation)
                .or_else(|| newest.as_ref().map(|attempt| attempt.key.invocation)),
            since: unit
                .as_ref()
                .and_then(|unit| unit.since)
                .or_else(|| ended.map(|end| end.at))
                // A listing of units has no times; the ledger has that of the attempt.
                .or_else(|| {
                    let open = newest.as_ref().filter(|_| unit.is_some())?;
                    Some(open.ready.unwrap_or(open.started))
                }),
            progress: progress.map(Steps::from),
            queued,
            notify_text: unit
                .as_ref()
                .and_then(|unit| unit.status_text.clone())
                .or_else(|| evidence.and_then(|evidence| evidence.status_text.clone())),
            enabled: unit.as_ref().and_then(|unit| unit.enabled),
            gpu,
            newest,
            id,
        }
    }

    /// Returns the symbol and the tone of the state, as in systemctl.
    pub(crate) fn symbol(&self) -> (&'static str, Tone) {
        match ActiveState::from(self.state.as_str()) {
            ActiveState::Active => ("●", Tone::Good),
            ActiveState::Reloading => ("↻", Tone::Good),
            ActiveState::Inactive | ActiveState::Other(_) => ("○", Tone::Plain),
            ActiveState::Failed => ("×", Tone::Bad),
            ActiveState::Activating | ActiveState::Deactivating => ("●", Tone::Busy),
        }
    }

    /// Returns the end of the newest attempt, if it has ended.
    pub(crate) fn last_end(&self) -> Option<&AttemptEnd> {
        self.newest.as_ref()?.end.as_ref()
    }
}

fn state(unit: Option<&UnitStatus>, newest: Option<&Attempt>) -> String {
    match (unit, newest) {
        (Some(unit), _) => unit.active_state.as_str().to_owned(),
        // Without the manager it is not known whether an open attempt still runs.
        (None, Some(attempt)) if attempt.end.is_none() => "unknown".to_owned(),
        (None, _) => "inactive".to_owned(),
    }
}

/// Returns a quota in percent, as an integer if it is one.
fn percent(quota: CpuQuota) -> Option<Number> {
    let permyriad = quota.percent().permyriad();
    if permyriad.is_multiple_of(100) {
        return Some(Number::from(permyriad / 100));
    }
    Number::from_f64(f64::from(u32::try_from(permyriad).ok()?) / 100.0)
}

/// Returns the tone of an attempt's end.
pub(crate) fn cause_tone(end: &AttemptEnd) -> Tone {
    if end.cause == Cause::Success {
        Tone::Good
    } else if end.is_crash() {
        Tone::Bad
    } else {
        Tone::Plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_quota_is_an_integer() {
        let number = |text: &str| percent(text.parse().unwrap()).unwrap().to_string();
        assert_eq!(number("150%"), "150");
        assert_eq!(number("12.5%"), "12.5");
    }
}
