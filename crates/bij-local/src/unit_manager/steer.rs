//! Has the supervisor of an experiment freeze or throttle it.

use bij_core::port::UnitError;
use bij_core::{ExperimentId, Layout, Outcome};

use super::{denied, unreachable};
use crate::control_socket::{Answer, Request, request};
use crate::resource_guard::{SteerOutcome, SteerRequest};

const NO_FREEZER: &str = "the supervisor of this experiment cannot freeze it";
const NO_BANDWIDTH: &str = "the processor time of this experiment cannot be capped: that needs a \
     cgroup of its own, with the cpu controller, and a kernel with CONFIG_CFS_BANDWIDTH";

/// Sends a steering request. An experiment without a supervisor is down and stays unchanged.
pub(super) fn steer(
    layout: &Layout,
    id: &ExperimentId,
    steer: SteerRequest,
) -> Result<Outcome, UnitError> {
    let (verb, unsupported) = match steer {
        SteerRequest::Frozen(true) => ("freeze", NO_FREEZER),
        SteerRequest::Frozen(false) => ("thaw", NO_FREEZER),
        SteerRequest::CpuCap(_) => ("cap the processor time of", NO_BANDWIDTH),
    };
    let action = format!("{verb} {id}");
    let steered = match request(layout, id, &Request::Steer { steer }) {
        Ok(Some(Answer::Steered { steered })) => steered,
        Ok(Some(Answer::Denied { uid })) => return Err(denied(action, uid)),
        // A supervisor of an older version does not know the request.
        Ok(Some(_)) => SteerOutcome::Unsupported,
        Ok(None) => SteerOutcome::Unchanged,
        Err(error) => return Err(unreachable(id, error)),
    };
    match steered {
        SteerOutcome::Changed => Ok(Outcome::Changed),
        SteerOutcome::Unchanged => Ok(Outcome::Unchanged),
        SteerOutcome::Unsupported => Err(UnitError::Unsupported(unsupported)),
        SteerOutcome::NotUp => Err(UnitError::Refused { action, source: "it is not up".into() }),
        SteerOutcome::Refused(why) => Err(UnitError::Refused { action, source: why.into() }),
    }
}
