//! `bij edit`: changes the terms of waiting runs.

use bij_core::queue::Dependencies;
use bij_core::request::Edit;

use crate::args::{EditArgs, RunArg};
use crate::context::Context;
use crate::coordinator;
use crate::error::CliError;
use crate::time_arg::NotBefore;
use crate::view::RunEntries;

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
    let not_before = super::parse_not_before(context, args.not_before.as_ref())?;
    Ok(Edit {
        priority: args.priority,
        group: args.group.clone(),
        after,
        not_before: not_before.and_then(NotBefore::at),
        delay: not_before.and_then(NotBefore::delay),
        any_time: args.any_time,
        now,
    })
}
