//! Records that the database refuses.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bij_core::port::{AttemptQuery, Ledger, LedgerError};
use bij_core::{Cause, Outcome};
use bij_sim::contract::ledger_fixture::{self as fixture, end, fresh, restart};
use bij_store::{Reader, RobustLedger, Store};
use tempfile::TempDir;

use crate::lock::Lock;

/// An installation, and the notices of its ledger.
struct Installation {
    directory: TempDir,
    notices: Arc<Mutex<Vec<String>>>,
}

impl Installation {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), notices: Arc::default() }
    }

    fn database(&self) -> std::path::PathBuf {
        self.directory.path().join("state.db")
    }

    fn spool(&self) -> std::path::PathBuf {
        self.directory.path().join("run/spool")
    }

    fn ledger(&self) -> RobustLedger {
        let notices = Arc::clone(&self.notices);
        RobustLedger::new(self.database(), self.spool())
            .with_busy_timeout(Duration::from_millis(20))
            .with_notices(move |notice| notices.lock().unwrap().push(notice.to_string()))
    }

    fn notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.notices.lock().unwrap())
    }
}

fn files(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn records_that_a_locked_database_refused_are_applied_later_in_order() {
    let installation = Installation::new();
    let mut ledger = installation.ledger();
    let one = fresh("x", 1, 9);
    ledger.open(&one).unwrap();
    let lock = Lock::hold(&installation.database());
    assert_eq!(ledger.close(&end(&one, fixture::oom_kill())).unwrap(), Outcome::Changed);
    let two = restart("x", 1, 8);
    let opened = ledger.open(&two).unwrap();
    assert_eq!((opened.run.number.0, opened.attempt.0), (1, 2));
    assert_eq!(opened.before.last_cause, Some(Cause::OomKill));
    assert_eq!(opened.before.crashes, 1);
    ledger.close(&end(&two, fixture::segfault())).unwrap();
    let notices = installation.notices();
    assert_eq!(notices.len(), 3);
    assert!(notices[0].starts_with("the state database is busy: "), "{}", notices[0]);
    assert!(notices[0].contains("oom-kill"), "the journal has the record too");
    assert_eq!(files(&installation.spool()).len(), 3);
    let before = ledger.attempts(&AttemptQuery::default()).unwrap();
    // A reader without the spool sees the old state.
    assert_eq!(Reader::new(installation.database()).tally(&one.experiment).unwrap().crashes, 0);
    lock.release();

    let mut next = installation.ledger();
    let three = next.open(&fresh("x", 1, 7)).unwrap();
    assert_eq!((three.run.number.0, three.attempt.0), (2, 1));
    assert_eq!(three.before.crashes, 2);
    assert_eq!(
        installation.notices(),
        ["the state database now holds 3 records that were set aside"]
    );
    assert_eq!(files(&installation.spool()), [""; 0]);
    let store = Store::open(installation.database()).unwrap();
    let after = store.attempts(&AttemptQuery::default()).unwrap();
    assert_eq!(after[..2], before[..], "the attempts are the same before and after");
    assert_eq!(store.tally(&one.experiment).unwrap().crashes, 2);
}

#[test]
fn applying_a_record_twice_changes_nothing() {
    let installation = Installation::new();
    let one = fresh("x", 1, 1);
    Store::open(installation.database()).unwrap();
    let lock = Lock::hold(&installation.database());
    let mut ledger = installation.ledger();
    ledger.open(&one).unwrap();
    ledger.close(&end(&one, fixture::oom_kill())).unwrap();
    lock.release();
    // As after a kill between applying and removing.
    let saved: Vec<_> = files(&installation.spool())
        .into_iter()
        .map(|name| {
            (installation.spool().join(&name), fs::read(installation.spool().join(&name)).unwrap())
        })
        .collect();
    assert_eq!(ledger.apply_spool().unwrap(), 2);
    for (file, content) in &saved {
        fs::write(file, content).unwrap();
    }
    assert_eq!(installation.ledger().apply_spool().unwrap(), 2);
    assert_eq!(installation.ledger().apply_spool().unwrap(), 0);
    let tally = Reader::new(installation.database()).tally(&one.experiment).unwrap();
    assert_eq!((tally.attempts, tally.crashes), (1, 1));
}

#[test]
fn several_processes_may_apply_the_spool_at_once() {
    let installation = Installation::new();
    Store::open(installation.database()).unwrap();
    let lock = Lock::hold(&installation.database());
    let mut ledger = installation.ledger().with_busy_timeout(Duration::ZERO);
    for number in 1..=20 {
        let opening = restart("x", 1, number);
        ledger.open(&opening).unwrap();
        ledger.close(&end(&opening, fixture::segfault())).unwrap();
    }
    lock.release();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                installation
                    .ledger()
                    .with_busy_timeout(Duration::from_secs(20))
                    .apply_spool()
                    .unwrap()
            });
        }
    });
    let reader = Reader::new(installation.database());
    let tally = reader.tally(&fixture::experiment("x")).unwrap();
    assert_eq!((tally.attempts, tally.crashes), (20, 20));
    assert_eq!(tally.last.unwrap().number.0, 20);
    assert_eq!(files(&installation.spool()), [""; 0]);
}

#[test]
fn a_damaged_record_is_renamed_and_blocks_no_other_record() {
    let installation = Installation::new();
    Store::open(installation.database()).unwrap();
    let lock = Lock::hold(&installation.database());
    let mut ledger = installation.ledger();
    let (one, two) = (fresh("x", 1, 1), fresh("y", 1, 2));
    ledger.open(&one).unwrap();
    ledger.open(&two).unwrap();
    lock.release();
    installation.notices();
    let victim =
        installation.spool().join(format!("{}-{}-open.json", one.key.boot, one.key.invocation));
    fs::write(&victim, b"{\"format\":1,\"sequ").unwrap();
    assert_eq!(ledger.apply_spool().unwrap(), 1);
    let notices = installation.notices();
    assert_eq!(notices.len(), 2);
    assert!(notices[0].contains(".bad: it is not a whole record"), "{}", notices[0]);
    assert_eq!(files(&installation.spool()).len(), 1);
    let tallies = ledger.tallies().unwrap();
    assert_eq!(tallies.keys().collect::<Vec<_>>(), [&two.experiment]);
}

#[test]
fn a_start_gets_its_number_while_the_database_is_damaged() {
    let installation = Installation::new();
    fs::write(installation.database(), "not a database, however long one looks at it".repeat(100))
        .unwrap();
    let mut ledger = installation.ledger();
    let one = fresh("x", 1, 1);
    assert_eq!(ledger.open(&one).unwrap().attempt.0, 1);
    ledger.close(&end(&one, fixture::segfault())).unwrap();
    let opened = ledger.open(&restart("x", 1, 2)).unwrap();
    assert_eq!((opened.attempt.0, opened.before.crashes), (2, 1));
    let notices = installation.notices();
    assert!(notices[0].starts_with("the state database is damaged: "), "{}", notices[0]);
    let denied = ledger.tally(&one.experiment);
    assert!(matches!(denied, Err(LedgerError::Corrupt(_))), "{denied:?}");
    // After an administrator moves it aside, a new database has all attempts of this boot.
    fs::rename(installation.database(), installation.directory.path().join("state.db.damaged"))
        .unwrap();
    assert_eq!(ledger.apply_spool().unwrap(), 3);
    let tally = ledger.tally(&one.experiment).unwrap();
    assert_eq!((tally.attempts, tally.crashes), (2, 1));
}

#[test]
fn a_record_that_can_be_kept_nowhere_is_an_error_and_in_the_notice() {
    let installation = Installation::new();
    fs::write(installation.directory.path().join("run"), "no directory").unwrap();
    fs::create_dir(installation.database()).unwrap();
    let mut ledger = installation.ledger();
    let one = fresh("x", 1, 1);
    assert!(ledger.open(&one).is_err());
    assert!(ledger.close(&end(&one, fixture::segfault())).is_err());
    let mut lost = installation.notices();
    lost.retain(|notice| notice.contains("nor could it be set aside"));
    assert_eq!(lost.len(), 2);
    assert!(lost[1].contains(&one.key.invocation.to_string()), "{}", lost[1]);
}

#[test]
fn the_mark_of_a_clean_shutdown_is_never_set_aside() {
    let installation = Installation::new();
    Store::open(installation.database()).unwrap();
    let lock = Lock::hold(&installation.database());
    let mut ledger = installation.ledger();
    let marked = ledger.mark_clean_shutdown(fixture::boot(1), fixture::at(0));
    assert!(matches!(marked, Err(LedgerError::Busy(_))), "{marked:?}");
    lock.release();
    assert_eq!(
        ledger.mark_clean_shutdown(fixture::boot(1), fixture::at(0)).unwrap(),
        Outcome::Changed
    );
    assert!(ledger.ended_cleanly(fixture::boot(1)).unwrap());
}

#[test]
fn an_unreadable_spool_does_not_stop_writes_to_the_database() {
    let installation = Installation::new();
    Store::open(installation.database()).unwrap();
    let lock = Lock::hold(&installation.database());
    let (one, two) = (fresh("x", 1, 1), fresh("y", 1, 2));
    installation.ledger().open(&one).unwrap();
    lock.release();
    installation.notices();
    // A directory cannot be read as a file, not even by root.
    fs::create_dir(installation.spool().join("directory.json")).unwrap();
    let mut ledger = installation.ledger();
    assert_eq!(ledger.open(&two).unwrap().attempt.0, 1);
    let tallies = Reader::new(installation.database()).tallies().unwrap();
    assert_eq!(tallies.keys().collect::<Vec<_>>(), [&one.experiment, &two.experiment]);
    assert!(
        installation.notices()[0]
            .starts_with("records that were set aside cannot be read or removed: ")
    );
    // No directory at all.
    fs::remove_dir_all(installation.spool()).unwrap();
    fs::write(installation.spool(), "").unwrap();
    assert_eq!(ledger.close(&end(&two, fixture::success())).unwrap(), Outcome::Changed);
    assert_eq!(ledger.tally(&two.experiment).unwrap().last_cause, Some(Cause::Success));
}

#[test]
fn a_record_that_contradicts_the_database_is_renamed() {
    let installation = Installation::new();
    fs::write(installation.database(), "no database").unwrap();
    let (mine, other) = (fresh("mine", 1, 1), fresh("other", 1, 2));
    let mut ledger = installation.ledger();
    ledger.open(&mine).unwrap();
    ledger.open(&other).unwrap();
    installation.notices();
    fs::remove_file(installation.database()).unwrap();
    let theirs = fresh("theirs", 1, 1);
    Store::open(installation.database()).unwrap().open(&theirs).unwrap();
    assert_eq!(installation.ledger().apply_spool().unwrap(), 1);
    let notices = installation.notices();
    assert!(notices[0].ends_with(".bad: it is an attempt of theirs"), "{}", notices[0]);
    assert_eq!(files(&installation.spool()).len(), 1);
    assert_eq!(ledger.tallies().unwrap().len(), 2);
}

#[test]
fn a_reader_sees_spooled_records() {
    let installation = Installation::new();
    Store::open(installation.database()).unwrap();
    let lock = Lock::hold(&installation.database());
    let one = fresh("x", 1, 1);
    installation.ledger().open(&one).unwrap();
    installation.ledger().close(&end(&one, fixture::oom_kill())).unwrap();
    let reader = Reader::new(installation.database()).with_spool(installation.spool());
    assert_eq!(reader.tally(&one.experiment).unwrap().last_cause, Some(Cause::OomKill));
    assert!(reader.attempt(one.key).unwrap().unwrap().end.is_some());
    lock.release();
}
