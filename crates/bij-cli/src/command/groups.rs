//! `bij groups`, `bij pause`, `bij resume` and `bij reload`.

use std::io::{self, Write};

use bij_core::queue::{GroupName, SlotsFrom};
use bij_core::request::{GroupSetting, GroupStatus, PauseRequest};
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;
use crate::view::{Cell, ChangeResult, Table, TableColumn, TextFormat, Tone, View, time, visible};
use crate::{complete, coordinator};

/// The arguments of `bij pause` and `bij resume`.
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// The group; all runs if no group is given
    #[arg(value_name = "GROUP", add = ArgValueCandidates::new(complete::groups))]
    group: Option<GroupName>,
}

/// The arguments of `bij groups`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct GroupsArgs {
    /// Without a verb the groups are listed
    #[command(subcommand)]
    verb: Option<GroupsVerb>,
}

/// The verbs of `bij groups`.
#[derive(Debug, Subcommand)]
enum GroupsVerb {
    /// Set a group up, or change it
    Set {
        /// The name of the group
        #[arg(value_name = "GROUP", add = ArgValueCandidates::new(complete::groups))]
        name: GroupName,
        /// How many of its runs may be up at the same time; infinity removes this number, so that
        /// coordinator.toml or the machine sets the limit
        #[arg(long, value_name = "N", value_parser = parse_slots)]
        slots: Slots,
    },
    /// Remove the slots and the pause of a group
    Remove {
        /// The name of the group
        #[arg(value_name = "GROUP", add = ArgValueCandidates::new(complete::groups))]
        name: GroupName,
    },
}

/// How many runs of a group may be up at the same time; `None` leaves it to the settings and the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slots(Option<u32>);

fn parse_slots(text: &str) -> Result<Slots, String> {
    match text {
        "infinity" => Ok(Slots(None)),
        number => number
            .parse()
            .map(|slots| Slots(Some(slots)))
            .map_err(|_| "write a number of runs, or infinity".to_owned()),
    }
}

/// Lists groups, or changes one.
pub(super) async fn groups(context: &Context, args: &GroupsArgs) -> Result<(), CliError> {
    let client = coordinator::connect(context).await?;
    let (changed, text) = match &args.verb {
        None => {
            let groups = Groups(client.groups().await?);
            if groups.0.is_empty() {
                context.terminal.status("No groups.");
            }
            return context.terminal.show(&groups);
        }
        Some(GroupsVerb::Set { name, slots: Slots(slots) }) => {
            let setting = GroupSetting { name: name.clone(), slots: *slots };
            let slots = match slots {
                None => "no limit".to_owned(),
                Some(1) => "1 slot".to_owned(),
                Some(slots) => format!("{slots} slots"),
            };
            let changed = client.set_group(&setting).await?;
            (changed, format!("{name}: {}has {slots}", if changed { "" } else { "already " }))
        }
        Some(GroupsVerb::Remove { name }) => {
            let changed = client.remove_group(name).await?;
            (changed, format!("{name}: {}", if changed { "removed" } else { "was not set up" }))
        }
    };
    context.terminal.status(&text);
    context.terminal.show(&ChangeResult { changed })
}

/// Pauses or resumes admission, of one group or of all runs.
pub(super) async fn pause(
    context: &Context,
    args: &PauseArgs,
    paused: bool,
) -> Result<(), CliError> {
    let client = coordinator::connect(context).await?;
    let changed = client.pause(&PauseRequest { group: args.group.clone(), paused }).await?;
    let group = args.group.as_ref().map_or_else(String::new, |group| format!(" of group {group}"));
    let text = match (paused, changed) {
        (true, true) => "is paused; runs that are up continue",
        (true, false) => "was already paused",
        (false, true) => "is resumed",
        (false, false) => "was not paused",
    };
    context.terminal.status(&format!("Admission{group} {text}."));
    context.terminal.show(&ChangeResult { changed })
}

/// Lets the coordinator read its settings again.
pub(super) async fn reload(context: &Context) -> Result<(), CliError> {
    coordinator::connect(context).await?.reload().await?;
    context.terminal.status("The settings were read again.");
    Ok(())
}

/// Groups with their slots and runs: `bij groups`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
struct Groups(Vec<GroupStatus>);

impl View for Groups {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            TableColumn::left("GROUP"),
            TableColumn::right("SLOTS"),
            TableColumn::left("SET BY").dispensable(2),
            TableColumn::right("RUNNING"),
            TableColumn::right("WAITING"),
            TableColumn::left("PAUSED").dispensable(1).flexible(),
        ]);
        self.0.iter().for_each(|group| table.row(cells(group, format)));
        table.write(out, format)
    }
}

fn cells<'a>(group: &'a GroupStatus, format: &TextFormat) -> [Cell<'a>; 6] {
    let paused = group.paused_by.as_ref().map(|by| {
        let since = group.paused_since.map(|since| time::ago(since, format.now));
        format!("{} by {}", since.unwrap_or_default(), visible(by)).trim_start().to_owned()
    });
    [
        group.name.as_str().into(),
        group.slots.map_or_else(|| "infinity".to_owned(), |slots| slots.to_string()).into(),
        set_by(group.slots_from).into(),
        group.running.to_string().into(),
        group.waiting.to_string().into(),
        Cell::new(Tone::Busy, paused.unwrap_or_default()),
    ]
}

const fn set_by(slots_from: Option<SlotsFrom>) -> &'static str {
    match slots_from {
        Some(SlotsFrom::Operator) => "bij groups",
        Some(SlotsFrom::Settings) => "coordinator.toml",
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_shows_its_slots_runs_and_pause() {
        let group = |name: &str, slots, paused: Option<&str>| GroupStatus {
            name: name.parse().unwrap(),
            slots,
            slots_from: slots.map(|_| SlotsFrom::Settings),
            paused_by: paused.map(ToOwned::to_owned),
            paused_since: paused.map(|_| "2026-11-23T22:00:05Z".parse().unwrap()),
            running: 1,
            waiting: 12,
        };
        let groups =
            Groups(vec![group("default", None, None), group("night", Some(2), Some("alice"))]);
        let text = |width| {
            let mut out = Vec::new();
            groups.text(&mut out, &TextFormat { width, ..TextFormat::for_test() }).unwrap();
            String::from_utf8(out).unwrap()
        };
        insta::assert_snapshot!(text(None));
        insta::assert_snapshot!(text(Some(40)));
        insta::assert_json_snapshot!(groups);
    }
}
