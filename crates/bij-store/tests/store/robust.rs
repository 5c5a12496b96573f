//! What happens to records that the database does not take.

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

/// An installation, and the notices that its ledger gave.
struct Place {
    directory: TempDir,
    notices: Arc<Mutex<Vec<String>>>,
}

impl Place {
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
            .with_patience(Duration::from_millis(20))
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
fn what_a_locked_database_did_not_take_it_takes_in_later_in_order() {
    let place = Place::new();
    let mut ledger = place.ledger();
    let one = fresh("x", 1, 9);
    ledger.open(&one).unwrap();
    let lock = Lock::hold(&place.database());
    assert_eq!(ledger.close(&end(&one, fixture::oom_kill())).unwrap(), Outcome::Changed);
    let two = restart("x", 1, 8);
    let opened = ledger.open(&two).unwrap();
    assert_eq!((opened.run.number.0, opened.attempt.0), (1, 2));
    assert_eq!(opened.before.last_cause, Some(Cause::OomKill));
    assert_eq!(opened.before.crashes, 1);
    ledger.close(&end(&two, fixture::segfault())).unwrap();
    let notices = place.notices();
    assert_eq!(notices.len(), 3);
    assert!(notices[0].starts_with("the state database is busy: "), "{}", notices[0]);
    assert!(notices[0].contains("oom-kill"), "the journal has the record too");
    assert_eq!(files(&place.spool()).len(), 3);
    let before = ledger.attempts(&AttemptQuery::default()).unwrap();
    // What anybody else sees without the spool is what was there before.
    assert_eq!(Reader::new(place.database()).tally(&one.experiment).unwrap().crashes, 0);
    lock.release();

    let mut next = place.ledger();
    let three = next.open(&fresh("x", 1, 7)).unwrap();
    assert_eq!((three.run.number.0, three.attempt.0), (2, 1));
    assert_eq!(three.before.crashes, 2);
    assert_eq!(place.notices(), ["the state database has taken in 3 records that were set aside"]);
    assert_eq!(files(&place.spool()), [""; 0]);
    let store = Store::open(&place.database()).unwrap();
    let after = store.attempts(&AttemptQuery::default()).unwrap();
    assert_eq!(after[..2], before[..], "what was read before is what is there now");
    assert_eq!(store.tally(&one.experiment).unwrap().crashes, 2);
}

#[test]
fn taking_in_twice_changes_nothing() {
    let place = Place::new();
    let one = fresh("x", 1, 1);
    Store::open(&place.database()).unwrap();
    let lock = Lock::hold(&place.database());
    let mut ledger = place.ledger();
    ledger.open(&one).unwrap();
    ledger.close(&end(&one, fixture::oom_kill())).unwrap();
    lock.release();
    // As after a kill between taking in and removing.
    let saved: Vec<_> = files(&place.spool())
        .into_iter()
        .map(|name| (place.spool().join(&name), fs::read(place.spool().join(&name)).unwrap()))
        .collect();
    assert_eq!(ledger.take_in().unwrap(), 2);
    for (file, content) in &saved {
        fs::write(file, content).unwrap();
    }
    assert_eq!(place.ledger().take_in().unwrap(), 2);
    assert_eq!(place.ledger().take_in().unwrap(), 0);
    let tally = Reader::new(place.database()).tally(&one.experiment).unwrap();
    assert_eq!((tally.attempts, tally.crashes), (1, 1));
}

#[test]
fn many_may_take_in_at_once() {
    let place = Place::new();
    Store::open(&place.database()).unwrap();
    let lock = Lock::hold(&place.database());
    let mut ledger = place.ledger().with_patience(Duration::ZERO);
    for number in 1..=20 {
        let opening = restart("x", 1, number);
        ledger.open(&opening).unwrap();
        ledger.close(&end(&opening, fixture::segfault())).unwrap();
    }
    lock.release();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope
                .spawn(|| place.ledger().with_patience(Duration::from_secs(20)).take_in().unwrap());
        }
    });
    let reader = Reader::new(place.database());
    let tally = reader.tally(&fixture::experiment("x")).unwrap();
    assert_eq!((tally.attempts, tally.crashes), (20, 20));
    assert_eq!(tally.last.unwrap().number.0, 20);
    assert_eq!(files(&place.spool()), [""; 0]);
}

#[test]
fn a_damaged_record_is_kept_and_stands_in_nobodys_way() {
    let place = Place::new();
    Store::open(&place.database()).unwrap();
    let lock = Lock::hold(&place.database());
    let mut ledger = place.ledger();
    let (one, two) = (fresh("x", 1, 1), fresh("y", 1, 2));
    ledger.open(&one).unwrap();
    ledger.open(&two).unwrap();
    lock.release();
    place.notices();
    let victim = place.spool().join(format!("{}-{}-open.json", one.key.boot, one.key.invocation));
    fs::write(&victim, b"{\"format\":1,\"sequ").unwrap();
    assert_eq!(ledger.take_in().unwrap(), 1);
    let notices = place.notices();
    assert_eq!(notices.len(), 2);
    assert!(notices[0].contains(".bad: it is not a whole record"), "{}", notices[0]);
    assert_eq!(files(&place.spool()).len(), 1);
    let tallies = ledger.tallies().unwrap();
    assert_eq!(tallies.keys().collect::<Vec<_>>(), [&two.experiment]);
}

#[test]
fn a_start_finds_its_place_whatever_is_wrong_with_the_database() {
    let place = Place::new();
    fs::write(place.database(), "not a database, however long one looks at it".repeat(100))
        .unwrap();
    let mut ledger = place.ledger();
    let one = fresh("x", 1, 1);
    assert_eq!(ledger.open(&one).unwrap().attempt.0, 1);
    ledger.close(&end(&one, fixture::segfault())).unwrap();
    let told = ledger.open(&restart("x", 1, 2)).unwrap();
    assert_eq!((told.attempt.0, told.before.crashes), (2, 1));
    let notices = place.notices();
    assert!(notices[0].starts_with("the state database is damaged: "), "{}", notices[0]);
    let denied = ledger.tally(&one.experiment);
    assert!(matches!(denied, Err(LedgerError::Corrupt(_))), "{denied:?}");
    // Put aside by a person, it is begun anew, and nothing of this boot is missing.
    fs::rename(place.database(), place.directory.path().join("state.db.damaged")).unwrap();
    assert_eq!(ledger.take_in().unwrap(), 3);
    let tally = ledger.tally(&one.experiment).unwrap();
    assert_eq!((tally.attempts, tally.crashes), (2, 1));
}

#[test]
fn what_can_be_kept_nowhere_is_told_and_fails() {
    let place = Place::new();
    fs::write(place.directory.path().join("run"), "no directory").unwrap();
    fs::create_dir(place.database()).unwrap();
    let mut ledger = place.ledger();
    let one = fresh("x", 1, 1);
    assert!(ledger.open(&one).is_err());
    assert!(ledger.close(&end(&one, fixture::segfault())).is_err());
    let mut lost = place.notices();
    lost.retain(|notice| notice.contains("nor could it be set aside"));
    assert_eq!(lost.len(), 2);
    assert!(lost[1].contains(&one.key.invocation.to_string()), "{}", lost[1]);
}

#[test]
fn the_mark_of_a_clean_shutdown_is_never_set_aside() {
    let place = Place::new();
    Store::open(&place.database()).unwrap();
    let lock = Lock::hold(&place.database());
    let mut ledger = place.ledger();
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
fn trouble_with_the_spool_keeps_nothing_from_the_database() {
    let place = Place::new();
    Store::open(&place.database()).unwrap();
    let lock = Lock::hold(&place.database());
    let (one, two) = (fresh("x", 1, 1), fresh("y", 1, 2));
    place.ledger().open(&one).unwrap();
    lock.release();
    place.notices();
    // Nobody can read this as a file, whoever it is.
    fs::create_dir(place.spool().join("directory.json")).unwrap();
    let mut ledger = place.ledger();
    assert_eq!(ledger.open(&two).unwrap().attempt.0, 1);
    let tallies = Reader::new(place.database()).tallies().unwrap();
    assert_eq!(tallies.keys().collect::<Vec<_>>(), [&one.experiment, &two.experiment]);
    assert!(place.notices()[0].starts_with("what was set aside cannot be taken in: "));
    // No directory at all.
    fs::remove_dir_all(place.spool()).unwrap();
    fs::write(place.spool(), "").unwrap();
    assert_eq!(ledger.close(&end(&two, fixture::success())).unwrap(), Outcome::Changed);
    assert_eq!(ledger.tally(&two.experiment).unwrap().last_cause, Some(Cause::Success));
}

#[test]
fn a_record_that_contradicts_the_database_is_put_aside_for_good() {
    let place = Place::new();
    fs::write(place.database(), "no database").unwrap();
    let (mine, other) = (fresh("mine", 1, 1), fresh("other", 1, 2));
    let mut ledger = place.ledger();
    ledger.open(&mine).unwrap();
    ledger.open(&other).unwrap();
    place.notices();
    fs::remove_file(place.database()).unwrap();
    let theirs = fresh("theirs", 1, 1);
    Store::open(&place.database()).unwrap().open(&theirs).unwrap();
    assert_eq!(place.ledger().take_in().unwrap(), 1);
    let notices = place.notices();
    assert!(notices[0].ends_with(".bad: it is an attempt of theirs"), "{}", notices[0]);
    assert_eq!(files(&place.spool()).len(), 1);
    assert_eq!(ledger.tallies().unwrap().len(), 2);
}

#[test]
fn a_reader_sees_what_is_set_aside() {
    let place = Place::new();
    Store::open(&place.database()).unwrap();
    let lock = Lock::hold(&place.database());
    let one = fresh("x", 1, 1);
    place.ledger().open(&one).unwrap();
    place.ledger().close(&end(&one, fixture::oom_kill())).unwrap();
    let reader = Reader::new(place.database()).with_spool(place.spool());
    assert_eq!(reader.tally(&one.experiment).unwrap().last_cause, Some(Cause::OomKill));
    assert!(reader.attempt(one.key).unwrap().unwrap().end.is_some());
    lock.release();
}
