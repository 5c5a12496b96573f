//! How experiments are.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bij_core::{
    ActiveState, Attempt, AttemptEnd, Cause, CpuQuota, Evidence, ExperimentId, InvocationId, Limit,
    Progress, ServiceResult, Tally, TimeSpan, Timestamp, UnitStatus,
};
use serde::Serialize;
use serde_json::Number;

use super::escape::visible;
use super::{Format, GpuShare, Queued, Tone, View, proof, time};

/// What there is to know about one experiment; each part may be missing.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) id: ExperimentId,
    /// Absent if the service manager could not be asked.
    pub(crate) unit: Option<UnitStatus>,
    /// Absent if the state database could not be read.
    pub(crate) tally: Option<Tally>,
    /// What stands in its progress file.
    pub(crate) progress: Option<Progress>,
    /// Its first run that waits in the queue.
    pub(crate) queued: Option<Queued>,
    /// What it has of the GPU's memory, if it lives.
    pub(crate) gpu: Option<GpuShare>,
}

/// One experiment's status: the JSON of `bij --json status` and `list`, see docs/json.md.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Status {
    pub(crate) id: ExperimentId,
    pub(crate) state: String,
    pub(crate) sub_state: Option<String>,
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
    pub(crate) queued: Option<Queued>,
    /// For people: what it has of the GPU's memory.
    #[serde(skip)]
    pub(crate) gpu: Option<GpuShare>,
    /// For people: the newest attempt.
    #[serde(skip)]
    pub(crate) newest: Option<Attempt>,
    /// For people: what its unit says of itself.
    #[serde(skip)]
    pub(crate) said: Option<String>,
    /// For people: whether it is started at boot.
    #[serde(skip)]
    pub(crate) enabled: Option<bool>,
}

/// How far it says it is.
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
    /// `120/1000 (12%) text`.
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

impl Status {
    /// Brings the facts together. What the manager no longer knows of the newest attempt (it
    /// forgets units that ended) is filled in from the ledger's evidence.
    pub(crate) fn new(facts: Facts) -> Self {
        let Facts { id, unit, tally, progress, queued, gpu } = facts;
        let newest = tally.as_ref().and_then(|tally| tally.last.clone());
        let ended = newest.as_ref().and_then(|attempt| attempt.end.as_ref());
        let evidence = ended.map(|end| &end.evidence);
        let resources = unit.as_ref().map(|unit| unit.resources.clone()).unwrap_or_default();
        let of_evidence = |part: fn(&Evidence) -> Option<u64>| evidence.and_then(part);
        let said = progress.as_ref().or_else(|| evidence.and_then(|e| e.progress.as_ref()));
        let failed = unit.as_ref().is_some_and(|unit| unit.active_state == ActiveState::Failed);
        let result = unit
            .as_ref()
            .and_then(|unit| unit.result.clone())
            .filter(|result| *result != ServiceResult::Success || evidence.is_none())
            .or_else(|| evidence.and_then(|e| e.service_result.clone()))
            // What failed since has another end than the last that the ledger knows.
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
                .or_else(|| of_evidence(|e| e.memory_peak.map(bij_core::Bytes::get))),
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
                .or_else(|| of_evidence(|evidence| evidence.cpu_usage_nsec)),
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
                // A list does not tell of each when it came up; the ledger knows.
                .or_else(|| {
                    let open = newest.as_ref().filter(|_| unit.is_some())?;
                    Some(open.ready.unwrap_or(open.started))
                }),
            progress: said.map(Steps::from),
            queued,
            said: unit
                .as_ref()
                .and_then(|unit| unit.status_text.clone())
                .or_else(|| evidence.and_then(|evidence| evidence.status_text.clone())),
            enabled: unit.as_ref().and_then(|unit| unit.enabled),
            gpu,
            newest,
            id,
        }
    }

    /// The sign and the colour that systemctl gives to its state.
    pub(crate) fn sign(&self) -> (&'static str, Tone) {
        match ActiveState::from(self.state.as_str()) {
            ActiveState::Active => ("●", Tone::Good),
            ActiveState::Reloading => ("↻", Tone::Good),
            ActiveState::Inactive | ActiveState::Other(_) => ("○", Tone::Plain),
            ActiveState::Failed => ("×", Tone::Bad),
            ActiveState::Activating | ActiveState::Deactivating => ("●", Tone::Busy),
        }
    }

    /// How the newest attempt ended, if it did.
    pub(crate) fn last_end(&self) -> Option<&AttemptEnd> {
        self.newest.as_ref()?.end.as_ref()
    }
}

fn state(unit: Option<&UnitStatus>, newest: Option<&Attempt>) -> String {
    match (unit, newest) {
        (Some(unit), _) => unit.active_state.as_str().to_owned(),
        // Nobody can be asked: an open attempt may be alive, or its end not yet known.
        (None, Some(attempt)) if attempt.end.is_none() => "unknown".to_owned(),
        (None, _) => "inactive".to_owned(),
    }
}

/// A quota as a JSON number of percent, whole where it is whole.
fn percent(quota: CpuQuota) -> Option<Number> {
    let permyriad = quota.percent().permyriad();
    if permyriad.is_multiple_of(100) {
        return Some(Number::from(permyriad / 100));
    }
    Number::from_f64(f64::from(u32::try_from(permyriad).ok()?) / 100.0)
}

/// What is known of the definition.
#[derive(Clone, Debug)]
pub(crate) enum Loaded {
    /// It is there.
    Found { source: String, description: Option<String> },
    /// It is there and wrong, or cannot be read: why, in one line.
    Bad(String),
    /// It is not there.
    Missing,
}

/// One experiment's status with what people want besides: `bij status`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StatusPage {
    #[serde(flatten)]
    pub(crate) status: Status,
    #[serde(skip)]
    pub(crate) loaded: Loaded,
    #[serde(skip)]
    pub(crate) log: Vec<super::LogRow>,
}

impl View for StatusPage {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        let status = &self.status;
        let (sign, tone) = status.sign();
        let description = match &self.loaded {
            Loaded::Found { description: Some(text), .. } => format!(" - {}", visible(text)),
            _ => String::new(),
        };
        writeln!(out, "{} {}{description}", format.paint(tone, sign), status.id)?;
        let mut line = |name: &str, value: String| writeln!(out, "{name:>11}: {value}");
        line("Loaded", self.loaded_line(format))?;
        line("Active", self.active_line(format))?;
        if let Some(queued) = &status.queued {
            line("Queued", queued.sentence())?;
        }
        if let (Some(run), Some(attempt)) = (status.run, status.attempt) {
            line("Attempt", format!("{attempt} of run {}#{run}", status.id))?;
        }
        if let Some(crashes) = status.crashes {
            line("Crashes", crashes_line(crashes, status.crashes_by_cause.as_ref()))?;
        }
        if let Some(end) = status.last_end() {
            let ago = time::ago(end.at, format.now);
            let cause = format.paint(cause_tone(end), end.cause.as_str());
            let proof = proof::short(end);
            let proof = if proof.is_empty() { proof } else { format!(": {proof}") };
            line("Last end", format!("{cause}, {ago}{proof}"))?;
        }
        if let Some(progress) = &status.progress {
            line("Progress", progress.line())?;
        }
        if let Some(pid) = status.pid {
            line("Main PID", pid.to_string())?;
        }
        if let Some(text) = &status.said {
            line("Status", format!("\"{}\"", visible(text)))?;
        }
        if let Some((name, memory)) = memory_line(status) {
            line(name, memory)?;
        }
        if let Some(memory) = status.gpu.as_ref().and_then(|gpu| gpu.line(status.memory_current)) {
            line("GPU memory", memory)?;
        }
        if let Some(nsec) = status.cpu_usage_nsec {
            let used = time::precise(TimeSpan::from_micros(nsec / 1_000));
            let quota = status.cpu_quota_percent.as_ref();
            line("CPU", used + &quota.map_or_else(String::new, |q| format!(" (quota: {q}%)")))?;
        }
        if !self.log.is_empty() {
            writeln!(out)?;
        }
        self.log.iter().try_for_each(|row| row.syslog(out, format))
    }
}

impl StatusPage {
    fn loaded_line(&self, format: &Format) -> String {
        let enabled = match self.status.enabled {
            Some(true) => "; enabled",
            Some(false) => "; disabled",
            None => "",
        };
        match &self.loaded {
            // Whatever its definition says, nobody can start it.
            Loaded::Found { source, .. } if self.status.masked == Some(true) => {
                format!("{} ({})", format.paint(Tone::Bad, "masked"), visible(source))
            }
            Loaded::Found { source, .. } => format!("loaded ({}{enabled})", visible(source)),
            Loaded::Bad(why) => {
                format!("{} ({})", format.paint(Tone::Bad, "bad-setting"), visible(why))
            }
            Loaded::Missing => format!("{} (no definition)", format.paint(Tone::Bad, "not-found")),
        }
    }

    fn active_line(&self, format: &Format) -> String {
        let status = &self.status;
        let (_, tone) = status.sign();
        let failed =
            status.state == "failed" || status.sub_state.as_deref() == Some("auto-restart");
        let sub = match (&status.result, &status.sub_state) {
            (Some(result), _) if status.state == "failed" => format!(" (Result: {result})"),
            (Some(result), Some(sub)) if failed => format!(" ({sub}) (Result: {result})"),
            (_, Some(sub)) => format!(" ({sub})"),
            (_, None) => String::new(),
        };
        let since = status.since.map_or_else(String::new, |since| {
            format!(" since {}; {}", time::long(since, format), time::ago(since, format.now))
        });
        let state = format.paint(tone, &format!("{}{sub}", status.state));
        let frozen = match status.frozen {
            Some(true) => format!(" {}", format.paint(Tone::Busy, "(frozen)")),
            Some(false) | None => String::new(),
        };
        format!("{state}{frozen}{since}")
    }
}

/// The colour of an end.
pub(super) fn cause_tone(end: &AttemptEnd) -> Tone {
    if end.cause == Cause::Success {
        Tone::Good
    } else if end.is_crash() {
        Tone::Bad
    } else {
        Tone::Plain
    }
}

/// `3 (oom-kill 2, exit 1)`.
fn crashes_line(crashes: u64, by_cause: Option<&BTreeMap<Cause, u64>>) -> String {
    let causes: Vec<String> =
        by_cause.into_iter().flatten().map(|(cause, count)| format!("{cause} {count}")).collect();
    if causes.is_empty() {
        crashes.to_string()
    } else {
        format!("{crashes} ({})", causes.join(", "))
    }
}

/// `1.2G (max: 8.0G peak: 3.4G)`, or the peak of what has ended; `None` if nothing is known.
fn memory_line(status: &Status) -> Option<(&'static str, String)> {
    let bytes = |value: u64| bij_core::Bytes::new(value).to_string();
    let Some(current) = status.memory_current else {
        return status.memory_peak.map(|peak| ("Mem peak", bytes(peak)));
    };
    let bounds: Vec<String> = [("max", status.memory_max), ("peak", status.memory_peak)]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}: {}", bytes(value?))))
        .collect();
    let bounds = bounds.join(" ");
    let bounds = if bounds.is_empty() { bounds } else { format!(" ({bounds})") };
    Some(("Memory", bytes(current) + &bounds))
}

/// Several pages: a blank line between them, and in JSON an array.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct StatusPages(pub(crate) Vec<StatusPage>);

impl View for StatusPages {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        for (at, page) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(out)?;
            }
            page.text(out, format)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
