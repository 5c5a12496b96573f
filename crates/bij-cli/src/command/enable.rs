//! `bij enable` and `bij disable`.

use super::act::{Act, act};
use crate::args::EnableArgs;
use crate::context::Context;
use crate::error::CliError;

/// Has experiments started at boot.
pub(crate) async fn enable(context: &Context, args: &EnableArgs) -> Result<(), CliError> {
    let ids = super::usable(context, &args.ids)?;
    context.warn_of_lingering();
    act(context, Act::Enable, &ids).await?;
    if args.now { act(context, Act::Start, &ids).await } else { Ok(()) }
}

/// Has experiments no longer started at boot.
pub(crate) async fn disable(context: &Context, args: &EnableArgs) -> Result<(), CliError> {
    let ids = super::known(context, &args.ids).await?;
    act(context, Act::Disable, &ids).await?;
    if args.now { act(context, Act::Stop, &ids).await } else { Ok(()) }
}
