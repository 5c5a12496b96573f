//! Has the supervisor of an experiment hold it back.

use bij_core::port::UnitError;
use bij_core::{ExperimentId, Layout, Outcome};

use super::{denied, unreachable};
use crate::control_socket::{Answer, Request, ask};
use crate::jar::{Steer, Steered};

const NO_FREEZER: &str = "the supervisor of this experiment cannot freeze it";
const NO_BANDWIDTH: &str = "no processor time can be bounded here: that takes a cgroup of the \
     experiment's own, with the cpu controller, and a kernel with CONFIG_CFS_BANDWIDTH";

/// Holds one experiment back, or no longer; one that nobody supervises is down.
pub(super) fn steer(
    layout: &Layout,
    id: &ExperimentId,
    steer: Steer,
) -> Result<Outcome, UnitError> {
    let (verb, unsupported) = match steer {
        Steer::Frozen(true) => ("freeze", NO_FREEZER),
        Steer::Frozen(false) => ("thaw", NO_FREEZER),
        Steer::CpuCap(_) => ("bound the processor time of", NO_BANDWIDTH),
    };
    let action = format!("{verb} {id}");
    let steered = match ask(layout, id, &Request::Steer { steer }) {
        Ok(Some(Answer::Steered { steered })) => steered,
        Ok(Some(Answer::Denied { uid })) => return Err(denied(action, uid)),
        // One of an older build does not know the question.
        Ok(Some(_)) => Steered::Unsupported,
        Ok(None) => Steered::Unchanged,
        Err(error) => return Err(unreachable(id, error)),
    };
    match steered {
        Steered::Changed => Ok(Outcome::Changed),
        Steered::Unchanged => Ok(Outcome::Unchanged),
        Steered::Unsupported => Err(UnitError::Unsupported(unsupported)),
        Steered::NotUp => Err(UnitError::Refused { action, source: "it is not up".into() }),
        Steered::Refused(why) => Err(UnitError::Refused { action, source: why.into() }),
    }
}
