//! `bij status`: the state of experiments, with their last log lines.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bij_core::port::{DefinitionSource as _, FindError};
use bij_core::{ActiveState, Cause, ExperimentId, SubState, TimeSpan, UnitStatus};
use serde::Serialize;

use crate::args::{IdArg, MaybeIdsArgs};
use crate::context::Context;
use crate::error::CliError;
use crate::facts::{self, ExperimentFacts};
use crate::log_source::kept_lines;
use crate::view::{
    ExperimentStatus, LogRow, TextFormat, Tone, View, cause_tone, proof, time, visible,
};

/// The number of log lines, as in `systemctl status`.
const LAST_LINES: usize = 10;

/// Shows the given experiments, or all.
pub(super) async fn status(context: &Context, args: &MaybeIdsArgs) -> Result<(), CliError> {
    let ids: Vec<ExperimentId> = args.ids.iter().map(|IdArg(id)| id.clone()).collect();
    let named = !ids.is_empty();
    let mut found =
        if named { facts::read(context, &ids).await } else { facts::read_all(context).await? };
    if !named {
        facts::add_unit_details(context, &mut found).await;
    }
    facts::add_waiting_runs(context, &mut found).await;
    let (found, missing) =
        if named { partition(context, found).await } else { (found, Vec::new()) };
    let mut pages = Vec::new();
    for facts in found {
        pages.push(page(context, facts, named));
    }
    if pages.is_empty() && missing.is_empty() {
        context.terminal.status("No experiments.");
    }
    match (pages.len(), ids.len()) {
        // A single experiment that is given by name is an object in JSON, not an array.
        (1, 1) => pages.pop().map_or(Ok(()), |page| context.terminal.show(&page))?,
        (0, 1) => {}
        _ => context.terminal.show(&StatusPages(pages))?,
    }
    missing.into_iter().next().map_or(Ok(()), Err)
}

/// Returns the experiments that exist, and an error for each of the others.
async fn partition(
    context: &Context,
    facts: Vec<ExperimentFacts>,
) -> (Vec<ExperimentFacts>, Vec<CliError>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for facts in facts {
        let has_attempts = facts.tally.as_ref().is_some_and(|tally| tally.attempts > 0);
        let is_loaded = |unit: &UnitStatus| unit.active_state != ActiveState::Inactive;
        let is_known = has_attempts || facts.unit.as_ref().is_some_and(is_loaded);
        match if is_known { Ok(()) } else { context.must_be_defined(&facts.id).await } {
            Ok(()) => found.push(facts),
            Err(error) => missing.push(error),
        }
    }
    (found, missing)
}

fn page(context: &Context, facts: ExperimentFacts, with_log: bool) -> StatusPage {
    let last = facts.tally.as_ref().and_then(|tally| tally.last.clone());
    let status = ExperimentStatus::new(facts);
    if context.terminal.is_json() {
        // The JSON has neither the description nor the log.
        return StatusPage { status, definition: DefinitionInfo::Missing, log: Vec::new() };
    }
    let definition = match context.definitions().find(&status.id) {
        Ok(found) => {
            DefinitionInfo::Found { source: found.source, description: found.spec.description }
        }
        Err(FindError::Missing { .. }) => DefinitionInfo::Missing,
        Err(error) => DefinitionInfo::Invalid(CliError::from(error).in_one_line()),
    };
    let mut log = if with_log { context.last_lines(&status.id, LAST_LINES) } else { Vec::new() };
    if let Some(last) = last.filter(|_| with_log && log.is_empty()) {
        // The journal has no lines of the attempt; its evidence may have the last ones.
        log = kept_lines(&last);
        log.drain(..log.len().saturating_sub(LAST_LINES));
    }
    StatusPage { status, definition, log }
}

/// The definition of an experiment, as the line `Loaded` shows it.
#[derive(Clone, Debug)]
enum DefinitionInfo {
    Found {
        source: String,
        description: Option<String>,
    },
    /// The definition has an error or cannot be read; the reason in one line.
    Invalid(String),
    Missing,
}

/// One experiment's status, with definition and log for the text: `bij status`.
#[derive(Clone, Debug, Serialize)]
struct StatusPage {
    #[serde(flatten)]
    status: ExperimentStatus,
    #[serde(skip)]
    definition: DefinitionInfo,
    #[serde(skip)]
    log: Vec<LogRow>,
}

impl View for StatusPage {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        let status = &self.status;
        let (symbol, tone) = status.symbol();
        let description = match &self.definition {
            DefinitionInfo::Found { description: Some(text), .. } => {
                format!(" - {}", visible(text))
            }
            _ => String::new(),
        };
        writeln!(out, "{} {}{description}", format.paint(tone, symbol), status.id)?;
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
        if let Some(text) = &status.notify_text {
            line("Status", format!("\"{}\"", visible(text)))?;
        }
        if let Some((name, memory)) = memory_line(status) {
            line(name, memory)?;
        }
        if let Some(memory) = status.gpu.as_ref().and_then(|gpu| gpu.line(status.memory_current)) {
            line("GPU memory", memory)?;
        }
        if let Some(nsec) = status.cpu_usage_nsec {
            let used = time::precise(TimeSpan::from_nanos(nsec));
            let quota = status.cpu_quota_percent.as_ref();
            line("CPU", used + &quota.map_or_else(String::new, |q| format!(" (quota: {q}%)")))?;
        }
        if !self.log.is_empty() {
            writeln!(out)?;
        }
        self.log.iter().try_for_each(|row| row.write_syslog(out, format))
    }
}

impl StatusPage {
    fn loaded_line(&self, format: &TextFormat) -> String {
        let enabled = match self.status.enabled {
            Some(true) => "; enabled",
            Some(false) => "; disabled",
            None => "",
        };
        match &self.definition {
            // A masked unit cannot be started, whatever its definition.
            DefinitionInfo::Found { source, .. } if self.status.masked == Some(true) => {
                format!("{} ({})", format.paint(Tone::Bad, "masked"), visible(source))
            }
            DefinitionInfo::Found { source, .. } => {
                format!("loaded ({}{enabled})", visible(source))
            }
            DefinitionInfo::Invalid(why) => {
                format!("{} ({})", format.paint(Tone::Bad, "bad-setting"), visible(why))
            }
            DefinitionInfo::Missing => {
                format!("{} (no definition)", format.paint(Tone::Bad, "not-found"))
            }
        }
    }

    fn active_line(&self, format: &TextFormat) -> String {
        let status = &self.status;
        let (_, tone) = status.symbol();
        let is_restarting = status.sub_state.as_ref().is_some_and(SubState::is_waiting_for_restart);
        let failed = status.state == "failed" || is_restarting;
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

/// Formats the crashes by cause: `3 (oom-kill 2, exit 1)`.
fn crashes_line(crashes: u64, by_cause: Option<&BTreeMap<Cause, u64>>) -> String {
    let causes: Vec<String> =
        by_cause.into_iter().flatten().map(|(cause, count)| format!("{cause} {count}")).collect();
    if causes.is_empty() {
        crashes.to_string()
    } else {
        format!("{crashes} ({})", causes.join(", "))
    }
}

/// Returns the memory, `1.2G (max: 8.0G peak: 3.4G)`, or the peak after the end; `None` if neither is known.
fn memory_line(status: &ExperimentStatus) -> Option<(&'static str, String)> {
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

/// Several pages, with a blank line between them; in JSON an array.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
struct StatusPages(Vec<StatusPage>);

impl View for StatusPages {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
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
pub(super) mod tests;
