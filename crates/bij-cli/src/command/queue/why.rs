//! `bij why`: everything that keeps a run waiting.

use crate::args::{RunArg, WhyArgs};
use crate::context::Context;
use crate::error::CliError;
use crate::source::Source;
use crate::view::WhyPage;

/// Shows one run, its closed gates, and who goes first.
pub(super) async fn why(context: &Context, args: &WhyArgs) -> Result<(), CliError> {
    let RunArg(run) = &args.run;
    let why = Source::of(context).await?.why(run).await?;
    context.terminal.show(&WhyPage(why))
}
