//! Outages of the loop, which cannot answer before the state database can be opened.

use std::thread;
use std::time::Duration;

use bij_api::{Refusal, RefusalKind};
use bij_coordinator::{Inbox, Ports};
use tokio::sync::watch;

/// How soon an unusable database is tried again, at first and after many failures.
const RETRY_AFTER: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Interval of checks whether the program ends meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Why the loop cannot answer; `None` if it can.
pub(super) type Outage = watch::Receiver<Option<String>>;

/// Calls `open` until it succeeds, and reports its error to `outage` meanwhile; returns `None` if the inbox was closed.
///
/// If the coordinator exited instead, starts would no longer be held back.
pub(super) fn open_when_usable<P: Ports, T>(
    inbox: &Inbox<P>,
    outage: &watch::Sender<Option<String>>,
    mut open: impl FnMut() -> anyhow::Result<T>,
) -> Option<T> {
    let mut again_after = RETRY_AFTER;
    loop {
        match open() {
            Ok(opened) => {
                if outage.send_replace(None).is_some() {
                    log::info!("the state database can be used again");
                }
                return Some(opened);
            }
            Err(error) => {
                let why = format!("{error:#}");
                if outage.borrow().as_ref() != Some(&why) {
                    log::error!("{why}; nothing is started until it can be opened; {REMEDY}");
                }
                outage.send_replace(Some(why));
            }
        }
        let mut waited = Duration::ZERO;
        while waited < again_after {
            if inbox.is_closed() {
                return None;
            }
            thread::sleep(POLL_INTERVAL);
            waited += POLL_INTERVAL;
        }
        again_after = (again_after * 2).min(RETRY_MAX);
    }
}

/// The remedy for an unusable database.
const REMEDY: &str = "put a backup in its place, or start with an empty one: `systemctl stop \
    brain-experiment-coordinator`, move state.db, state.db-wal and state.db-shm away, `systemctl \
    start brain-experiment-coordinator`";

/// Returns the refusal of any request during an outage.
pub(super) fn refusal(why: &str) -> Refusal {
    Refusal::new(RefusalKind::Store, format!("the coordinator holds everything: {why}"))
        .remedy(REMEDY)
}
