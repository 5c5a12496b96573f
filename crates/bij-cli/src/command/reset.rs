//! `bij reset`: forgets failures.

use bij_core::port::UnitManager as _;
use bij_core::{ActiveState, ExperimentId};

use super::act::{Act, act};
use crate::args::MaybeIdsArgs;
use crate::context::Context;
use crate::error::CliError;

/// Resets the experiments, or all that failed. The ledger's counters are not touched.
pub(crate) async fn reset(context: &Context, args: &MaybeIdsArgs) -> Result<(), CliError> {
    let ids: Vec<ExperimentId> = if args.ids.is_empty() {
        let units = context.units().await?.list().await?;
        let failed = units.into_iter().filter(|unit| unit.active_state == ActiveState::Failed);
        failed.map(|unit| unit.id).collect()
    } else {
        super::known(context, &args.ids).await?
    };
    if ids.is_empty() {
        context.terminal.status("No experiment has failed.");
    }
    act(context, Act::Reset, &ids).await
}
