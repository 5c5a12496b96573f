//! The text of `bij status`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bij_core::{AttemptEnd, Cause, SubState, TimeSpan};
use serde::Serialize;

use super::Status;
use crate::view::escape::visible;
use crate::view::{Format, LogRow, Tone, View, proof, time};

/// The definition of an experiment, as the line `Loaded` shows it.
#[derive(Clone, Debug)]
pub(crate) enum DefinitionInfo {
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
pub(crate) struct StatusPage {
    #[serde(flatten)]
    pub(crate) status: Status,
    #[serde(skip)]
    pub(crate) definition: DefinitionInfo,
    #[serde(skip)]
    pub(crate) log: Vec<LogRow>,
}

impl View for StatusPage {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
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
    fn loaded_line(&self, format: &Format) -> String {
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

    fn active_line(&self, format: &Format) -> String {
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

/// Returns the tone of an attempt's end.
pub(in crate::view) fn cause_tone(end: &AttemptEnd) -> Tone {
    if end.cause == Cause::Success {
        Tone::Good
    } else if end.is_crash() {
        Tone::Bad
    } else {
        Tone::Plain
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

/// Several pages, with a blank line between them; in JSON an array.
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
