//! Translates errors of the loop into refusals for clients.

use bij_api::{Refusal, RefusalKind};
use bij_coordinator::RequestError;
use bij_coordinator::policy::SubmitError;
use bij_core::error_chain;
use bij_core::port::FindError;

/// Returns the refusal for an error of the loop.
pub(super) fn refusal(error: &RequestError) -> Refusal {
    let refusal = Refusal::new(kind(error), error_chain(error));
    match error.remedy() {
        Some(remedy) => refusal.remedy(remedy),
        None => refusal,
    }
}

/// Returns the refusal for a request after the loop has ended.
pub(super) fn shutting_down() -> Refusal {
    Refusal::new(RefusalKind::Trouble, "the coordinator is shutting down").remedy("try again")
}

fn kind(error: &RequestError) -> RefusalKind {
    use RequestError as E;
    match error {
        E::NoSuchRun(_) | E::NoSuchGroup { .. } => RefusalKind::NotFound,
        E::Definition { source, .. } if matches!(**source, FindError::Missing { .. }) => {
            RefusalKind::NotFound
        }
        E::Definition { .. }
        | E::Extras { .. }
        | E::Submit(SubmitError::Cycle(_))
        | E::UnknownDependency { .. }
        | E::NoSlots(_)
        | E::Nothing
        | E::TooMany { .. } => RefusalKind::Invalid,
        E::Over { .. }
        | E::NotWaiting { .. }
        | E::JustStarting { .. }
        | E::NoPosition { .. }
        | E::PowerInUse { .. }
        | E::DeclaredGroup(_)
        | E::Submit(_) => RefusalKind::Impossible,
        E::DeniedExtra { .. } => RefusalKind::Denied,
        E::Store(_) => RefusalKind::Store,
        _ => RefusalKind::Trouble,
    }
}
