//! Whether the loop can be asked: it has the state database only when that can be opened.

use std::thread;
use std::time::Duration;

use bij_api::{Refusal, RefusalKind};
use bij_coordinator::{Inbox, Ports};
use tokio::sync::watch;

/// How soon a database that cannot be used is tried again, at first and at last.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
const AGAIN_AT_LAST_AFTER: Duration = Duration::from_secs(2);
/// So often it is looked meanwhile whether the program ends.
const LOOKS_EVERY: Duration = Duration::from_millis(50);

/// Why nothing can be asked; `None` if it can.
pub(super) type Shut = watch::Receiver<Option<String>>;

/// Tries until it works, and says meanwhile why it does not; `None` if nothing is asked any more.
///
/// A coordinator that ended for it instead would leave no one who holds starts back.
pub(super) fn until_it_opens<P: Ports, T>(
    inbox: &Inbox<P>,
    shut: &watch::Sender<Option<String>>,
    mut open: impl FnMut() -> anyhow::Result<T>,
) -> Option<T> {
    let mut again_after = AGAIN_AFTER;
    loop {
        match open() {
            Ok(opened) => {
                if shut.send_replace(None).is_some() {
                    log::info!("the state database can be used again");
                }
                return Some(opened);
            }
            Err(error) => {
                let why = format!("{error:#}");
                if shut.borrow().as_ref() != Some(&why) {
                    log::error!("{why}; nothing is started until it can; {REMEDY}");
                }
                shut.send_replace(Some(why));
            }
        }
        let mut waited = Duration::ZERO;
        while waited < again_after {
            if inbox.is_closed() {
                return None;
            }
            thread::sleep(LOOKS_EVERY);
            waited += LOOKS_EVERY;
        }
        again_after = (again_after * 2).min(AGAIN_AT_LAST_AFTER);
    }
}

/// What helps against a database that cannot be used.
const REMEDY: &str = "put a backup in its host, or begin anew: `systemctl stop \
    brain-experiment-coordinator`, move state.db, state.db-wal and state.db-shm away, `systemctl \
    start brain-experiment-coordinator`";

/// The refusal of everything for this reason.
pub(super) fn refusal(why: &str) -> Refusal {
    Refusal::new(RefusalKind::Store, format!("the coordinator holds everything: {why}"))
        .remedy(REMEDY)
}
