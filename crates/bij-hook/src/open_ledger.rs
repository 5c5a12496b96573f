//! The ledger of the hooks and the coordinator, which logs what happens to its records.

use bij_host::HostContext;
use bij_store::{LedgerNotice, RobustLedger};

/// Returns the ledger of an installation. The database is opened at the first read or write.
pub fn open_ledger(host: &HostContext) -> RobustLedger {
    RobustLedger::at(host.layout()).with_notices(|notice| {
        let level = match notice {
            LedgerNotice::Lost { .. } => log::Level::Error,
            LedgerNotice::Applied { .. } => log::Level::Info,
            _ => log::Level::Warn,
        };
        // A lost record is part of the text, so that the journal keeps it.
        log::log!(level, BIJ_EVENT = "ledger"; "{notice}");
    })
}
