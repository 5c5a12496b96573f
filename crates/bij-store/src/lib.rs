#![doc = include_str!("../README.md")]

mod board;
mod database_error;
mod database_file;
mod export;
mod import;
mod ledger_notice;
mod migration;
mod open;
mod queue;
mod read;
mod reader;
mod robust;
mod row;
mod spool;
mod store;
mod wal_owner;
mod write;

pub use export::ExportError;
pub use import::{ImportError, Imported, InvalidLine};
pub use ledger_notice::LedgerNotice;
pub use reader::Reader;
pub use robust::RobustLedger;
pub use spool::SpoolError;
pub use store::Store;
