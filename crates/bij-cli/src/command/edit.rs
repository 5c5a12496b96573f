//! `bij edit`: changes the terms of waiting runs.

use bij_core::queue::{Dependencies, GroupName};
use bij_core::request::Edit;
use clap::Args;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};

use crate::args::{AfterArgs, RunArg};
use crate::context::Context;
use crate::error::CliError;
use crate::time_arg::{NotBeforeArg, parse_not_before};
use crate::view::RunEntries;
use crate::{complete, coordinator};

/// The arguments of `bij edit`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").multiple(true).required(true)
    .args(["after", "after_any"]))]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct EditArgs {
    /// Higher goes first
    #[arg(long, value_name = "N", allow_negative_numbers = true, group = "change")]
    pub(super) priority: Option<i32>,
    /// Take a slot of this group
    #[arg(long, value_name = "GROUP", group = "change", add = ArgValueCandidates::new(complete::groups))]
    group: Option<GroupName>,
    #[command(flatten)]
    pub(super) after: AfterArgs,
    /// Wait for no other run
    #[arg(long, group = "change", conflicts_with_all = ["after", "after_any"])]
    after_none: bool,
    /// Do not start before this time, or before +SPAN from now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, group = "change")]
    not_before: Option<String>,
    /// Start at any time
    #[arg(long, group = "change", conflicts_with = "not_before")]
    any_time: bool,
    /// Do not wait for gates such as memory or heat
    #[arg(long, group = "change")]
    now: bool,
    /// Wait for all gates again
    #[arg(long, group = "change", conflicts_with = "now")]
    not_now: bool,
    /// Runs; ID is its newest run that is not over
    #[arg(value_name = "RUN", required = true, add = ArgValueCompleter::new(complete::runs))]
    pub(super) runs: Vec<RunArg>,
}

/// Changes the runs one by one; stops at the first that cannot be changed.
pub(super) async fn edit(context: &Context, args: &EditArgs) -> Result<(), CliError> {
    let edit = to_message(context, args)?;
    let client = coordinator::connect(context).await?;
    let mut edited = Vec::new();
    let mut result = Ok(());
    for RunArg(run) in &args.runs {
        match client.edit(run, &edit).await {
            Ok(entry) => {
                context.terminal.status(&format!("{}: edited", entry.id()));
                edited.push(entry);
            }
            Err(error) => {
                result = Err(error.into());
                break;
            }
        }
    }
    if context.terminal.is_json() {
        context.terminal.show(&RunEntries(edited))?;
    }
    result
}

fn to_message(context: &Context, args: &EditArgs) -> Result<Edit, CliError> {
    let none = args.after_none.then(Dependencies::default);
    let after = none.or_else(|| args.after.dependencies());
    let now = match (args.now, args.not_now) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    let not_before = parse_not_before(context, args.not_before.as_ref())?;
    Ok(Edit {
        priority: args.priority,
        group: args.group.clone(),
        after,
        not_before: not_before.and_then(NotBeforeArg::at),
        delay: not_before.and_then(NotBeforeArg::delay),
        any_time: args.any_time,
        now,
    })
}
