//! `bij why`: why a run waits.

use std::io::{self, Write};

use bij_core::queue::{Condition, Dependencies, GpuClaim};
use bij_core::request::{EntryState, QueueEntry, WaitReason, Why};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::queue::{state_tone, warn_about_coordinator};
use crate::args::RunArg;
use crate::complete;
use crate::context::Context;
use crate::error::CliError;
use crate::queue_source::QueueSource;
use crate::view::{TextFormat, View, time, visible};

/// The arguments of `bij why`.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// The run; ID is its newest run
    #[arg(value_name = "RUN", add = ArgValueCompleter::new(complete::runs))]
    run: RunArg,
}

/// Shows one run, its closed gates, and the runs that go first.
pub(super) async fn why(context: &Context, args: &WhyArgs) -> Result<(), CliError> {
    let RunArg(run) = &args.run;
    let source = QueueSource::choose(context).await?;
    let why = source.why(run).await?;
    context.terminal.show(&why)?;
    warn_about_coordinator(context, source.status().await?.as_ref());
    Ok(())
}

/// The most runs ahead that are named.
const MAX_NAMED: usize = 5;

/// A run with its closed gates and the runs that go first.
impl View for Why {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        let Self { entry, ahead } = self;
        writeln!(out, "{} {}", entry.id(), headline(entry, format))?;
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
            if let Some(opens) = opens(entry, waiting) {
                line("Opened by", &opens)?;
            }
        }
        Ok(())
    }
}

fn headline(entry: &QueueEntry, format: &TextFormat) -> String {
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
    format.paint(state_tone(entry.state), &text)
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

fn closed_gate(waiting: &WaitReason, format: &TextFormat) -> String {
    let span = format.now.since(waiting.since);
    let span = span.map_or_else(String::new, |span| format!(" (closed for {})", time::rough(span)));
    format!("{}: {}{span}", waiting.gate, visible(&waiting.text))
}

/// Returns what opens a gate; `None` for a gate that this version does not know.
fn opens(entry: &QueueEntry, waiting: &WaitReason) -> Option<String> {
    let run = entry.id();
    Some(match &*waiting.gate {
        "manager" => "systemd, or the bus to it; the coordinator asks every few seconds".to_owned(),
        "going-down" => "the next boot, or the coordinator's next start".to_owned(),
        "hold" => format!("bij release {run}"),
        "paused" => "bij resume, or bij resume GROUP; see bij groups".to_owned(),
        "slots" => {
            "the end of a run that is up, or a higher max_concurrent in coordinator.toml".to_owned()
        }
        "group-slots" => {
            format!("the end of one of its runs, or bij groups set {} --slots N", entry.group)
        }
        "memory" => {
            "the end of runs that are up, or a higher total_memory in coordinator.toml".to_owned()
        }
        "memory-available" => "memory that any process frees".to_owned(),
        "memory-pressure" => "less memory pressure".to_owned(),
        "gpu" => "the end of the runs that use it".to_owned(),
        "heat" if waiting.have.is_some() => "the board cooling down; see bij board".to_owned(),
        "heat" => "a thermal zone that can be read; see bij board".to_owned(),
        "power-mode" => {
            "the end of the runs that want the mode in force, or a reboot; see bij power".to_owned()
        }
        // The run that it depends on has ended in another way.
        "dependency" if waiting.have.is_some() => {
            format!("a newer run that ends as required, or bij edit --after-none {run}")
        }
        "dependency" | "same-experiment" => "the end of that run".to_owned(),
        "not-before" => format!("time, or bij edit --any-time {run}"),
        "boot-grace" | "back-off" => "time".to_owned(),
        "unit" => "the end of the processes that its unit still has".to_owned(),
        "turn" => "the start of that run".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use bij_core::RunEnd;
    use bij_core::request::EntryState;
    use insta::{assert_json_snapshot, assert_snapshot};

    use super::*;
    use crate::command::queue::tests::entry;

    fn text(why: &Why) -> String {
        let mut out = Vec::new();
        why.text(&mut out, &TextFormat::for_test()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_closed_gate_is_shown_with_what_opens_it() {
        let gates = [
            ("hold", "held by bob"),
            ("paused", "admission was paused by bob"),
            ("slots", "4 of 4 slots are taken"),
            ("group-slots", "2 of 2 slots of group night are taken"),
            ("memory", "claims 8.0G of memory, 2.0G of the budget of 24.0G are free"),
            ("memory-available", "needs 9.0G of memory, the machine has 3.0G available"),
            ("memory-pressure", "memory pressure is 40%, nothing starts above 20%"),
            ("gpu", "the GPU is used by a#1"),
            ("dependency", "waits for the success of calibrate, which ended as gave-up"),
            ("not-before", "not before 2026-11-24T00:00:00Z"),
            ("boot-grace", "the machine has just booted, 20s to go"),
            ("back-off", "put off until 2026-11-24T00:00:00Z after a failed start: no"),
            ("same-experiment", "train.12#1 is up"),
            ("turn", "the machine is kept free for big#1"),
            ("heat", "the board has 81 °C, nothing starts above 75 °C"),
        ];
        let entry = QueueEntry {
            priority: 5,
            group: "night".parse().unwrap(),
            gpu: GpuClaim::Exclusive,
            bypassed: 2,
            not_before: "2026-11-24T00:00:00Z".parse().ok(),
            after: Dependencies::All(vec![
                "calibrate".parse().unwrap(),
                "end:warm-up#2".parse().unwrap(),
            ]),
            ..entry("train.12#2", EntryState::Waiting, &gates)
        };
        let ahead = (1..=7).map(|number| format!("a#{number}").parse().unwrap()).collect();
        let why = Why { entry, ahead };
        assert_snapshot!(text(&why));
        let first = why.entry.waiting_on[..1].into();
        let why = Why { entry: QueueEntry { waiting_on: first, ..why.entry }, ..why };
        assert_json_snapshot!(why);
    }

    #[test]
    fn the_requester_of_a_stop_is_shown() {
        let stopped = QueueEntry {
            stop_requested_by: Some("al\u{1b}[31mice".to_owned()),
            ..entry("x#1", EntryState::Running, &[])
        };
        let text = text(&Why { entry: stopped, ahead: Vec::new() });
        assert!(text.contains("\n       Stop: requested by alice\n"), "{text}");
    }

    #[test]
    fn a_run_that_is_next_up_or_over_says_so() {
        let alone = |entry| text(&Why { entry, ahead: Vec::new() });
        let over = QueueEntry {
            submitted: None,
            by: None,
            ended: Some(RunEnd::GaveUp),
            ..entry("x#1", EntryState::Ended, &[])
        };
        let pages = [
            alone(entry("x#1", EntryState::Waiting, &[])),
            alone(QueueEntry { now: true, memory: None, ..entry("x#1", EntryState::Running, &[]) }),
            alone(over),
        ];
        assert_snapshot!(pages.join("\n"));
    }

    #[test]
    fn every_gate_of_the_manual_has_an_opener() {
        let manual = include_str!("../../../../docs/queue.md");
        let (_, rest) = manual.split_once("\n## Gates\n").unwrap();
        let (section, _) = rest.split_once("\n## ").unwrap();
        let names: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names.len(), 19, "{names:?}");
        for name in names {
            let entry = entry("x#1", EntryState::Waiting, &[(name, "closed")]);
            assert!(opens(&entry, &entry.waiting_on[0]).is_some(), "{name}");
        }
    }
}
