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
//! // A reader needs no right to write.
//! let reader = Reader::new(path);
//! assert_eq!(reader.tally(&"amnesiac_001".parse()?)?.attempts, 1);
//! // A run is in the queue while it is not over, submitted or not.
//! assert_eq!(reader.load()?.runs[0].run, opened.run);
//! # Ok(())
//! # }
//! ```
//!
//! Three ways to hold the same ledger and queue:
//! - [`Store`] is the database for those who may write it, and fails where the database does;
//! - [`RobustLedger`] is the database and the spool: what the one cannot take, the other keeps. The
//!   hooks and supervisors use it, because no start may fail for the ledger's sake. A submission is
//!   never set aside but refused;
//! - [`Reader`] looks at both, with no right to write and before there is a database.
//!
//! # Invariants
//! - The only crate that knows SQL; no type of rusqlite's is in a public signature.
//! - An attempt or a run that has ended is never changed, and counters never go back: the database
//!   itself refuses it, whoever writes.
//! - A run has a row in the queue exactly while it is not over, and every change to it has its event
//!   in the same transaction: by triggers, whoever starts and ends attempts.
//! - Rows are ordered by their ids, never by a clock.

mod board;
mod database_file;
mod failure;
mod file_id;
mod flush;
mod migration;
mod notice;
mod open;
mod queue;
mod read;
mod reader;
mod robust;
mod row;
mod side_files;
mod spool;
mod store;
mod write;

pub use notice::Notice;
pub use reader::Reader;
pub use robust::RobustLedger;
pub use spool::SpoolError;
pub use store::Store;
