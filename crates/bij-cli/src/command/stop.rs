//! `bij stop`, `bij stop-all` and `bij restart`.

use bij_core::ExperimentId;
use bij_core::port::UnitManager as _;

use super::unit_action::{UnitAction, apply};
use crate::args::IdsArgs;
use crate::context::Context;
use crate::error::CliError;

/// Stops experiments in good order.
pub(crate) async fn stop(context: &Context, args: &IdsArgs) -> Result<(), CliError> {
    let ids = super::existing_ids(context, &args.ids).await?;
    apply(context, UnitAction::Stop, &ids).await
}

/// Stops every experiment that is up.
pub(crate) async fn stop_all(context: &Context) -> Result<(), CliError> {
    let units = context.units().await?.list().await?;
    let up = units.into_iter().filter(|unit| !unit.active_state.is_down());
    let ids: Vec<ExperimentId> = up.map(|unit| unit.id).collect();
    if ids.is_empty() {
        context.terminal.status("No experiment is up.");
    }
    apply(context, UnitAction::Stop, &ids).await
}

/// Stops experiments and starts them again.
pub(crate) async fn restart(context: &Context, args: &IdsArgs) -> Result<(), CliError> {
    let ids = super::runnable_ids(context, &args.ids)?;
    context.warn_about_lingering();
    apply(context, UnitAction::Restart, &ids).await
}
