//! `bij why`: everything that keeps a run waiting.

use crate::args::{RunArg, WhyArgs};
use crate::context::Context;
use crate::error::CliError;
use crate::source::Source;
use crate::view::WhyPage;

/// Shows one run, its closed gates, and who goes first.
pub(super) async fn why(context: &Context, args: &WhyArgs) -> Result<(), CliError> {
    let RunArg(run) = &args.run;
    let source = Source::of(context).await?;
    let why = source.why(run).await?;
    context.terminal.show(&WhyPage(why))?;
    super::warn(context, source.status().await?.as_ref());
    Ok(())
}
