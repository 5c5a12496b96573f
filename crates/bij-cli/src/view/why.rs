//! Why a run waits.

use std::io::{self, Write};

use bij_core::queue::{Condition, Dependencies, GpuClaim};
use bij_core::request::{EntryState, QueueEntry, WaitReason, Why};
use serde::Serialize;

use super::escape::visible;
use super::{Format, View, gate, queue, time};

/// A run with its closed gates and the runs that go first: `bij why`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct WhyPage(pub(crate) Why);

/// The most runs ahead that are named.
const MAX_NAMED: usize = 5;

impl View for WhyPage {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        let Why { entry, ahead } = &self.0;
        writeln!(out, "{} {}", entry.id(), self.headline(format))?;
        let mut line = |name: &str, value: &str| writeln!(out, "{name:>11}: {value}");
        if let Some(at) = entry.submitted {
            let by =
                entry.by.as_ref().map_or_else(String::new, |by| format!(" by {}", visible(by)));
            let ago = time::ago(at, format.now);
            line("Submitted", &format!("{}; {ago}{by}", time::long(at, format)))?;
        }
        if entry.state == EntryState::Ended {
            return Ok(());
        }
        line("Order", &order(entry, ahead.len()))?;
        if !ahead.is_empty() {
            let mut names: Vec<String> =
                ahead.iter().take(MAX_NAMED).map(ToString::to_string).collect();
            if ahead.len() > MAX_NAMED {
                names.push(format!("{} more", ahead.len() - MAX_NAMED));
            }
            line("Ahead", &names.join(", "))?;
        }
        if let Some(claims) = claims(entry) {
            line("Claims", &claims)?;
        }
        if let Some(after) = after(&entry.after) {
            line("After", &after)?;
        }
        if let Some(at) = entry.not_before {
            line("Not before", &time::long(at, format))?;
        }
        if let Some(health) = &entry.health {
            let reason = entry.health_reason.as_ref();
            let reason = reason.map_or_else(String::new, |reason| format!(": {}", visible(reason)));
            line("Health", &format!("{}{reason}", visible(health)))?;
        }
        if let Some(by) = &entry.stop_requested_by {
            line("Stop", &format!("requested by {}", visible(by)))?;
        }
        for waiting in &*entry.waiting_on {
            line("Waits for", &closed_gate(waiting, format))?;
            if let Some(opens) = gate::opens(entry, waiting) {
                line("Opened by", &opens)?;
            }
        }
        Ok(())
    }
}

impl WhyPage {
    fn headline(&self, format: &Format) -> String {
        let entry = &self.0.entry;
        let text = match (entry.state, entry.waiting_on.len()) {
            (EntryState::Waiting, 0) => "waits; no closed gate is known".to_owned(),
            (EntryState::Waiting, 1) => "waits for one gate".to_owned(),
            (EntryState::Waiting, count) => format!("waits for {count} gates"),
            (EntryState::Held, _) => "is held".to_owned(),
            (EntryState::Starting, _) => "is starting".to_owned(),
            (EntryState::Running, _) => "is up".to_owned(),
            (EntryState::Ended, _) => match entry.ended {
                Some(end) => format!("is over: {end}"),
                None => "is over".to_owned(),
            },
        };
        format.paint(queue::tone(entry.state), &text)
    }
}

/// Formats the order: `priority 5 in group night, 2 runs go first`.
fn order(entry: &QueueEntry, ahead: usize) -> String {
    let position = match (entry.state, ahead) {
        (EntryState::Waiting | EntryState::Held, 0) => ", first in the queue".to_owned(),
        (EntryState::Waiting | EntryState::Held, 1) => ", 1 run goes first".to_owned(),
        (EntryState::Waiting | EntryState::Held, ahead) => format!(", {ahead} runs go first"),
        (EntryState::Starting | EntryState::Running | EntryState::Ended, _) => String::new(),
    };
    let passed = match entry.bypassed {
        0 => String::new(),
        1 => ", passed once".to_owned(),
        times => format!(", passed {times} times"),
    };
    let now = if entry.now { ", past the gates" } else { "" };
    format!("priority {} in group {}{position}{passed}{now}", entry.priority, entry.group)
}

fn claims(entry: &QueueEntry) -> Option<String> {
    let memory = entry.memory.map(|memory| format!("{memory} of memory"));
    let gpu = match entry.gpu {
        GpuClaim::None => None,
        GpuClaim::Shared => Some("the GPU (shared)".to_owned()),
        GpuClaim::Exclusive => Some("the GPU (exclusive)".to_owned()),
    };
    let claims: Vec<String> = memory.into_iter().chain(gpu).collect();
    (!claims.is_empty()).then(|| claims.join(", "))
}

/// Formats the dependencies: `the success of calibrate#3, the end of warm-up`.
fn after(after: &Dependencies) -> Option<String> {
    let word = match after {
        Dependencies::All(_) => ", ",
        Dependencies::Any(_) => " or ",
    };
    let each = after.iter().map(|dependency| match dependency.condition {
        Condition::Success => format!("the success of {}", dependency.on),
        Condition::End => format!("the end of {}", dependency.on),
    });
    let each: Vec<String> = each.collect();
    (!each.is_empty()).then(|| each.join(word))
}

fn closed_gate(waiting: &WaitReason, format: &Format) -> String {
    let span = format.now.since(waiting.since);
    let span = span.map_or_else(String::new, |span| format!(" (closed for {})", time::rough(span)));
    format!("{}: {}{span}", waiting.gate, visible(&waiting.text))
}

#[cfg(test)]
mod tests;
