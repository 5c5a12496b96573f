//! bij's ledger of attempts and crashes, and the queue of runs, in SQLite.
//!
//! ```
//! use bij_core::port::{Ledger, Opening, RunQueue};
//! use bij_core::{AttemptKey, BootId, InvocationId, StartKind, Timestamp};
//! use bij_store::{Reader, Store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("state.db");
//! let mut store = Store::open(&path)?;
//! let opened = store.open(&Opening {
//!     experiment: "amnesiac_001".parse()?,
//!     key: AttemptKey {
//!         boot: BootId::from_bytes([1; 16]),
//!         invocation: InvocationId::from_bytes([2; 16]),
//!     },
//!     at: Timestamp::from_micros(1_795_471_200_000_000),
//!     uptime: None,
//!     start: StartKind::Fresh,
//! })?;
//! assert_eq!(opened.run.to_string(), "amnesiac_001#1");
//! assert_eq!(opened.before.crashes, 0);
//!
//! // A reader needs no write permission.
//! let reader = Reader::new(path);
//! assert_eq!(reader.tally(&"amnesiac_001".parse()?)?.attempts, 1);
//! // A run is in the queue while it is open, submitted or not.
//! assert_eq!(reader.load()?.runs[0].run, opened.run);
//! # Ok(())
//! # }
//! ```
//!
//! Three types give access to the same ledger and queue:
//! - [`Store`] writes the database, and fails if the database does;
//! - [`RobustLedger`] puts records that the database refuses into a spool. Hooks and supervisors use it,
//!   because no start may fail because of the ledger. A refused submission is an error, never spooled;
//! - [`Reader`] reads both without write permission, also before there is a database.
//!
//! # Invariants
//! - The only crate that knows SQL; no type of rusqlite is in a public signature.
//! - An attempt or a run that has ended is never changed, and counters never go back: triggers enforce it
//!   for every writer.
//! - A run has a row in the queue exactly while it is open, and every change to it has its event in the same
//!   transaction: triggers do both for attempts.
//! - Rows are ordered by their ids, never by a clock.

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
