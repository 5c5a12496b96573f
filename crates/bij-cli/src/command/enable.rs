//! `bij enable` and `bij disable`.

use super::unit_action::{UnitAction, apply};
use crate::args::EnableArgs;
use crate::context::Context;
use crate::error::CliError;

/// Enables experiments, so that they start at boot.
pub(crate) async fn enable(context: &Context, args: &EnableArgs) -> Result<(), CliError> {
    let ids = super::runnable_ids(context, &args.ids)?;
    context.warn_about_lingering();
    apply(context, UnitAction::Enable, &ids).await?;
    if args.now { apply(context, UnitAction::Start, &ids).await } else { Ok(()) }
}

/// Disables experiments, so that they no longer start at boot.
pub(crate) async fn disable(context: &Context, args: &EnableArgs) -> Result<(), CliError> {
    let ids = super::existing_ids(context, &args.ids).await?;
    apply(context, UnitAction::Disable, &ids).await?;
    if args.now { apply(context, UnitAction::Stop, &ids).await } else { Ok(()) }
}
