//! The ledger can be read at any time, by those who may open it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bij_core::RunNumber;
use bij_core::port::{AttemptQuery, Ledger};
use bij_sim::contract::ledger_fixture::{self as fixture, end, fresh};
use bij_store::{Reader, Store};
use rusqlite::Connection;

use crate::child::{Further, Order, nobody_can_be_had};
use crate::lock::Lock;

/// A directory as systemd makes it: its owner writes, everybody reads.
fn place() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    directory
}

fn one_more(database: &Path, number: u32) -> Store {
    let mut store = Store::open(database).unwrap();
    let opening = fresh("x", 1, number);
    store.open(&opening).unwrap();
    store.close(&end(&opening, fixture::oom_kill())).unwrap();
    store
}

/// What is read by a process that may read the files and write neither them nor the directory, as on
/// a file system that is mounted read-only.
fn read_without_writing(directory: &Path) -> String {
    let set = |file: u32, dir: u32| {
        for entry in fs::read_dir(directory).unwrap() {
            fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(file)).unwrap();
        }
        fs::set_permissions(directory, Permissions::from_mode(dir)).unwrap();
    };
    // Where no other user can be had, this process gives up its own rights for the time.
    let mut reader = if nobody_can_be_had() {
        set(0o644, 0o755);
        Further::start_as_somebody_else(directory, &Order::Read)
    } else {
        set(0o444, 0o555);
        Further::start(directory, &Order::Read)
    };
    let said = reader.finish();
    set(0o600, 0o711);
    said.join("\n")
}

#[test]
fn another_user_opens_neither_the_database_nor_its_log() {
    if !nobody_can_be_had() {
        // Only root can be another user; the modes are looked at below.
        return;
    }
    let directory = place();
    let database = directory.path().join("state.db");
    drop(one_more(&database, 1));
    let said = Further::start_as_somebody_else(directory.path(), &Order::Read).finish();
    assert!(said.join("").starts_with("Err(Denied"), "{said:?}");
    // What an older version has left open to all is closed when it is opened the next time.
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let path = directory.path().join(name);
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    }
    drop(one_more(&database, 2));
    let said = Further::start_as_somebody_else(directory.path(), &Order::Read).finish();
    assert!(said.join("").starts_with("Err(Denied"), "{said:?}");
}

#[test]
fn no_database_is_an_empty_history() {
    let directory = place();
    assert_eq!(read_without_writing(directory.path()), "0 of 0");
    fs::write(directory.path().join("state.db"), "").unwrap();
    assert_eq!(read_without_writing(directory.path()), "0 of 0", "one is just being made");
}

#[test]
fn a_reader_without_the_right_to_write_reads_beside_a_writer_and_after_it() {
    let directory = place();
    let database = directory.path().join("state.db");
    let store = one_more(&database, 1);
    assert_eq!(read_without_writing(directory.path()), "1 of 1", "it is open");
    drop(store);
    assert_eq!(read_without_writing(directory.path()), "1 of 1", "its writer has left");
    let lock = Lock::hold(&database);
    assert_eq!(read_without_writing(directory.path()), "1 of 1", "it is locked");
    drop(lock);
}

#[test]
fn a_reader_without_the_right_to_write_reads_what_others_have_cleaned_away() {
    let directory = place();
    let database = directory.path().join("state.db");
    drop(one_more(&database, 1));
    // As `sqlite3 state.db` does when it leaves: no log, no index.
    let shell = Connection::open(&database).unwrap();
    shell.query_row("SELECT count(*) FROM attempts", [], |_| Ok(())).unwrap();
    drop(shell);
    assert!(!directory.path().join("state.db-wal").exists());
    assert_eq!(read_without_writing(directory.path()), "1 of 1");
    drop(one_more(&database, 2));
    assert_eq!(read_without_writing(directory.path()), "2 of 1", "it is written again");
}

#[test]
fn a_log_without_an_index_is_told_with_its_remedy() {
    let directory = place();
    let database = directory.path().join("state.db");
    drop(one_more(&database, 1));
    fs::remove_file(directory.path().join("state.db-shm")).unwrap();
    let said = read_without_writing(directory.path());
    assert!(said.starts_with("Err(Denied(NoIndex))"), "{said}");
    Store::open(&database).unwrap();
    assert_eq!(read_without_writing(directory.path()), "1 of 1");
}

#[test]
fn files_have_their_modes_whatever_the_umask_is() {
    let directory = place();
    let umask = ["sh", "-c", "umask 077; exec \"$@\"", "sh"];
    let order = Order::Live { name: "x", first: 1, lives: 1 };
    Further::start_within(&umask, directory.path(), &order).finish();
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let file = fs::metadata(directory.path().join(name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
    }
    let database = directory.path().join("var/lib/brain-in-jar/state.db");
    drop(one_more(&database, 1));
    let made = fs::metadata(database.parent().unwrap()).unwrap();
    assert_eq!(made.permissions().mode() & 0o777, 0o711);
}

#[test]
fn a_reader_follows_a_database_that_is_made_and_replaced() {
    let directory = place();
    let database = directory.path().join("a place with % ? # and é.db");
    let reader = Reader::new(database.clone());
    assert_eq!(reader.tallies().unwrap().len(), 0);
    drop(one_more(&database, 1));
    assert_eq!(reader.tallies().unwrap().len(), 1);
    assert!(reader.attempt(fixture::key(1, 1)).unwrap().is_some());
    assert!(reader.attempt(fixture::key(1, 2)).unwrap().is_none());
    for suffix in ["", "-wal", "-shm"] {
        let mut name = database.clone().into_os_string();
        name.push(suffix);
        fs::remove_file(name).unwrap();
    }
    assert_eq!(reader.tallies().unwrap().len(), 0);
}

#[test]
fn a_reader_cannot_write() {
    let directory = place();
    let mut reader = Reader::new(directory.path().join("state.db"));
    let opening = fresh("x", 1, 1);
    assert!(reader.open(&opening).is_err());
    assert!(reader.close(&end(&opening, fixture::success())).is_err());
    assert!(reader.mark_clean_shutdown(fixture::boot(1), fixture::at(0)).is_err());
    assert!(!directory.path().join("state.db").exists());
}

#[test]
fn a_long_history_is_read_in_pieces_that_make_up_the_whole() {
    let directory = place();
    let database = directory.path().join("state.db");
    assert_eq!(Reader::new(database.clone()).pieces(None, None).count(), 0, "no database");
    let mut store = Store::open(&database).unwrap();
    for number in 1..=1003 {
        let id = if number % 2 == 0 { "even" } else { "odd" };
        store.open(&fresh(id, 1, number)).unwrap();
    }
    let reader = Reader::new(database);
    let pieces: Vec<_> = reader.pieces(None, None).map(Result::unwrap).collect();
    assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 3]);
    let all = reader.attempts(&AttemptQuery::default()).unwrap();
    assert_eq!(pieces.concat(), all);
    let odd: Vec<_> = reader.pieces("odd".parse().ok(), None).map(Result::unwrap).collect();
    assert_eq!(odd.concat().len(), 502);
    let first: Vec<_> = reader.pieces("odd".parse().ok(), Some(RunNumber(1))).collect();
    assert_eq!(first.into_iter().map(Result::unwrap).collect::<Vec<_>>().concat().len(), 1);
}
