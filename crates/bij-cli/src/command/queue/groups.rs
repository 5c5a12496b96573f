//! `bij groups`, `bij pause`, `bij resume` and `bij reload`.

use bij_core::request::{GroupSetting, Pausing};

use crate::args::{GroupsArgs, GroupsVerb, PauseArgs, Slots};
use crate::context::Context;
use crate::coordinator;
use crate::error::CliError;
use crate::view::{ChangeResult, Groups};

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
    let changed = client.pause(&Pausing { group: args.group.clone(), paused }).await?;
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
