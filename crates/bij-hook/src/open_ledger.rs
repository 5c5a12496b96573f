//! The ledger as the hooks have it: it tells the journal what becomes of its records.

use bij_host::HostContext;
use bij_store::{LedgerNotice, RobustLedger};

/// The ledger of a place. Nothing is opened before something is read or written.
pub fn ledger(host: &HostContext) -> RobustLedger {
    RobustLedger::at(host.layout()).with_notices(|notice| {
        let level = match notice {
            LedgerNotice::Lost { .. } => log::Level::Error,
            LedgerNotice::Applied { .. } => log::Level::Info,
            _ => log::Level::Warn,
        };
        // A record that nothing could take stands in this line whole: the journal keeps it.
        log::log!(level, BIJ_EVENT = "ledger"; "{notice}");
    })
}
