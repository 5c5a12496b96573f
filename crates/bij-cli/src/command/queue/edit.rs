//! `bij edit`: other terms for runs that wait.

use bij_api::message::Edit;
use bij_core::queue::Dependencies;

use crate::args::{EditArgs, RunArg};
use crate::context::Context;
use crate::coordinator;
use crate::error::CliError;
use crate::view::Taken;
use crate::when::Earliest;

/// Changes each run in turn; stops at the first that cannot be.
pub(super) async fn edit(context: &Context, args: &EditArgs) -> Result<(), CliError> {
    let edit = wanted(context, args)?;
    let client = coordinator::connect(context).await?;
    let mut edited = Vec::new();
    let mut done = Ok(());
    for RunArg(run) in &args.runs {
        match client.edit(run, &edit).await {
            Ok(entry) => {
                context.terminal.status(&format!("{}: edited", entry.id()));
                edited.push(entry);
            }
            Err(error) => {
                done = Err(error.into());
                break;
            }
        }
    }
    if context.terminal.json() {
        context.terminal.show(&Taken(edited))?;
    }
    done
}

fn wanted(context: &Context, args: &EditArgs) -> Result<Edit, CliError> {
    let none = args.after_none.then(Dependencies::default);
    let after = none.or_else(|| args.after.dependencies());
    let now = match (args.now, args.not_now) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    let not_before = super::earliest(context, args.not_before.as_ref())?;
    Ok(Edit {
        priority: args.priority,
        group: args.group.clone(),
        after,
        not_before: not_before.and_then(Earliest::at),
        delay: not_before.and_then(Earliest::delay),
        any_time: args.any_time,
        now,
    })
}
