//! `bij reset`: resets failures and the start limit.

use bij_core::port::UnitManager as _;
use bij_core::{ActiveState, ExperimentId};

use super::unit_action::{UnitAction, apply};
use crate::args::MaybeIdsArgs;
use crate::context::Context;
use crate::error::CliError;

/// Resets the given experiments, or all that have failed. The ledger's counters stay.
pub(crate) async fn reset(context: &Context, args: &MaybeIdsArgs) -> Result<(), CliError> {
    let ids: Vec<ExperimentId> = if args.ids.is_empty() {
        let units = context.units().await?.list().await?;
        let failed = units.into_iter().filter(|unit| unit.active_state == ActiveState::Failed);
        failed.map(|unit| unit.id).collect()
    } else {
        super::existing_ids(context, &args.ids).await?
    };
    if ids.is_empty() {
        context.terminal.status("No experiment has failed.");
    }
    apply(context, UnitAction::Reset, &ids).await
}
