//! Real faults: kills, locks, full disks, damaged files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use bij_core::port::{AttemptQuery, Closing, Ledger, LedgerError, RunQueue};
use bij_sim::contract::ledger_fixture::{self as fixture, end, fresh, restart};
use bij_sim::contract::run_queue_fixture as queue;
use bij_store::{Reader, RobustLedger, Store};
use rusqlite::Connection;

use crate::child::{ChildProcess, Task, report};

fn closing(name: &str, number: u32) -> Closing {
    end(&restart(name, 1, number), fixture::segfault())
}

fn spooled(directory: &Path) -> usize {
    fs::read_dir(directory.join("spool")).map_or(0, Iterator::count)
}

fn robust(directory: &Path) -> RobustLedger {
    RobustLedger::new(directory.join("state.db"), directory.join("spool"))
}

/// Asserts that every acknowledged attempt is there once, and that the counters match the rows.
fn assert_complete(directory: &Path, opened: &BTreeSet<u32>, closed: &BTreeSet<u32>) {
    let mut ledger = robust(directory);
    ledger.apply_spool().unwrap();
    let attempts = ledger.attempts(&AttemptQuery::default()).unwrap();
    for number in opened {
        let key = fixture::key(1, *number);
        let found: Vec<_> = attempts.iter().filter(|attempt| attempt.key == key).collect();
        assert_eq!(found.len(), 1, "attempt {number}");
        assert!(found[0].end.is_some() || !closed.contains(number), "attempt {number} has ended");
    }
    let tally = ledger.tally(&fixture::experiment("x")).unwrap();
    let crashed = attempts.iter().filter(|attempt| attempt.end.is_some()).count();
    assert_eq!(tally.attempts, u64::try_from(attempts.len()).unwrap());
    assert_eq!(tally.crashes, u64::try_from(crashed).unwrap());
    let shell = Connection::open(directory.join("state.db")).unwrap();
    let check: String = shell.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn a_kill_at_any_moment_loses_nothing_and_counts_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path();
    let (mut opened, mut closed) = (BTreeSet::new(), BTreeSet::new());
    let mut highest = 0;
    for round in 0..24_u32 {
        let first = round * 1000 + 1;
        let task = Task::RunAttempts { name: "x", first, count: 1000 };
        let mut victim = ChildProcess::start(directory, &task);
        let mut reports = vec![victim.next().unwrap()];
        // In every other round the database is locked for a while, so that the spool is used.
        let lock = (round % 2 == 1).then(|| crate::lock::Lock::hold(&directory.join("state.db")));
        thread::sleep(Duration::from_micros(u64::from(round * 1733 % 23) * 1000));
        drop(lock);
        thread::sleep(Duration::from_micros(u64::from(round * 977 % 7) * 500));
        reports.extend(victim.kill());
        for report in reports {
            let (what, number) = report.split_once(' ').unwrap();
            let known = if what == "opened" { &mut opened } else { &mut closed };
            known.insert(number.parse::<u32>().unwrap());
            highest = highest.max(number.parse().unwrap());
        }
        // The next start records the end that may have been lost, as reconciliation does.
        let mut ledger = robust(directory);
        ledger.close(&closing("x", highest)).unwrap();
        closed.insert(highest);
        ledger.close(&closing("x", highest)).unwrap();
    }
    assert_complete(directory, &opened, &closed);
}

#[test]
fn eight_processes_at_once_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..8).map(|number| format!("x{number}")).collect();
    let start = |(number, name): (u32, &String)| {
        let task = Task::RunAttempts { name, first: number * 100, count: 12 };
        ChildProcess::start(directory.path(), &task)
    };
    // All of them create the database at the same time.
    let processes: Vec<_> = (1..).zip(&names).map(start).collect();
    for mut process in processes {
        assert_eq!(process.finish().len(), 24);
    }
    // On a slow disk a process may have waited for too long and used the spool.
    robust(directory.path()).apply_spool().unwrap();
    let tallies = Reader::new(directory.path().join("state.db")).tallies().unwrap();
    assert_eq!(tallies.len(), 8);
    for tally in tallies.values() {
        assert_eq!((tally.attempts, tally.crashes), (12, 12));
    }
}

#[test]
fn an_end_waits_for_a_database_that_is_locked_for_three_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = robust(directory.path());
    ledger.open(&restart("x", 1, 1)).unwrap();
    let mut other = ChildProcess::start(directory.path(), &Task::HoldLock(3000));
    assert_eq!(other.next().as_deref(), Some("held"));
    ledger.close(&closing("x", 1)).unwrap();
    assert_eq!(spooled(directory.path()), 0);
    other.finish();
    assert_complete(directory.path(), &[1].into(), &[1].into());
}

#[test]
fn an_end_is_set_aside_where_a_database_is_locked_for_eight_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = robust(directory.path());
    ledger.open(&restart("x", 1, 1)).unwrap();
    let mut other = ChildProcess::start(directory.path(), &Task::HoldLock(8000));
    assert_eq!(other.next().as_deref(), Some("held"));
    ledger.close(&closing("x", 1)).unwrap();
    assert_eq!(spooled(directory.path()), 1);
    assert_eq!(ledger.tally(&fixture::experiment("x")).unwrap().crashes, 1, "it shows already");
    other.finish();
    assert_complete(directory.path(), &[1].into(), &[1].into());
    assert_eq!(spooled(directory.path()), 0);
}

#[test]
fn a_full_disk_costs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    // A small file system in a mount namespace of its own.
    let mount = "mkdir disk && mount -t tmpfs -o size=4m tmpfs disk && exec \"$@\"";
    let outer = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, "sh"];
    let possible = Command::new(outer[0])
        .args(&outer[1..4])
        .args(["-c", "mount -t tmpfs tmpfs /mnt"])
        .output()
        .is_ok_and(|tried| tried.status.success());
    if !possible {
        #[expect(clippy::print_stderr, reason = "a test that cannot run reports it")]
        {
            eprintln!("NOT RUN: a full disk needs a mount namespace, which this machine refuses");
        }
        return;
    }
    let reports = ChildProcess::start_within(&outer, directory.path(), &Task::FillUp).finish();
    assert_eq!(reports, ["full", "refused", "applied"]);
}

/// The child process of [`a_full_disk_costs_nothing`].
pub(crate) fn record_attempts_on_a_full_disk() {
    let mut ledger = RobustLedger::new("disk/state.db", "spool");
    ledger.open(&restart("x", 1, 1)).unwrap();
    let mut ballast = File::create("disk/ballast").unwrap();
    let error = std::iter::repeat_with(|| ballast.write_all(&[0; 512])).find_map(Result::err);
    assert_eq!(error.unwrap().kind(), std::io::ErrorKind::StorageFull);
    report("full");
    ledger.close(&closing("x", 1)).unwrap();
    let mut another = RobustLedger::new("disk/state.db", "spool");
    for number in 2..40 {
        assert_eq!(another.open(&restart("x", 1, number)).unwrap().attempt.0, number);
        another.close(&closing("x", number)).unwrap();
    }
    assert!(spooled(Path::new(".")) > 0);
    let full = Store::open(Path::new("disk/other/state.db")).map(drop);
    assert!(matches!(full, Err(LedgerError::Full(_))), "{full:?}");
    // A submission is refused and changes nothing; the queue can be read.
    let many = vec![queue::submission("y"); 500];
    for _ in 0..3 {
        let refused = another.submit(&many, fixture::at(0));
        assert!(matches!(refused, Err(LedgerError::Full(_))), "{refused:?}");
    }
    let at_once = Store::open(Path::new("disk/state.db"))
        .and_then(|mut store| store.submit(&many, fixture::at(0)));
    assert!(matches!(at_once, Err(LedgerError::Full(_))), "{at_once:?}");
    assert_eq!(another.run_state(&"y".parse().unwrap()).unwrap(), None);
    assert_eq!(another.load().unwrap().runs.len(), 1);
    report("refused");
    drop(ballast);
    fs::remove_file("disk/ballast").unwrap();
    another.apply_spool().unwrap();
    let tally = Reader::new("disk/state.db").tally(&fixture::experiment("x")).unwrap();
    assert_eq!((tally.attempts, tally.crashes), (39, 39));
    assert_eq!(spooled(Path::new(".")), 0);
    let submitted = another.submit(&many, fixture::at(0)).unwrap();
    assert_eq!(submitted.last().unwrap().run.number.0, 500);
    report("applied");
}

#[test]
fn a_directory_that_may_not_be_written_costs_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path();
    robust(directory).open(&restart("x", 1, 1)).unwrap();
    fs::create_dir(directory.join("spool")).unwrap();
    // Only the spool is writable. Root ignores modes, so the writer then runs as `nobody`.
    fs::set_permissions(directory.join("spool"), fs::Permissions::from_mode(0o777)).unwrap();
    let task = Task::RunAttempts { name: "x", first: 2, count: 2 };
    let read_only =
        |mode| fs::set_permissions(directory, fs::Permissions::from_mode(mode)).unwrap();
    fs::set_permissions(directory.join("state.db"), fs::Permissions::from_mode(0o444)).unwrap();
    let root = crate::child::can_run_as_nobody();
    let mut writer = if root {
        read_only(0o755);
        ChildProcess::start_as_nobody(directory, &task)
    } else {
        read_only(0o555);
        ChildProcess::start(directory, &task)
    };
    let reports = writer.finish();
    read_only(0o755);
    fs::set_permissions(directory.join("state.db"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(reports, ["opened 2", "closed 2", "opened 3", "closed 3"]);
    assert_eq!(spooled(directory), 4);
    assert_complete(directory, &[1, 2, 3].into(), &[2, 3].into());
}

#[test]
fn a_damaged_database_is_reported_as_corrupt_and_nothing_panics() {
    let directory = tempfile::tempdir().unwrap();
    let (good, damaged) = (directory.path().join("good.db"), directory.path().join("state.db"));
    let mut store = Store::open(&good).unwrap();
    for number in 1..=60 {
        store.open(&restart("x", 1, number)).unwrap();
        store.close(&closing("x", number)).unwrap();
    }
    drop(store);
    // Moves all content into one file.
    let shell = Connection::open(&good).unwrap();
    shell.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(shell);
    let length = fs::metadata(&good).unwrap().len();
    let mut corrupt = 0;
    for round in 0..48_u64 {
        for suffix in ["", "-wal", "-shm"] {
            let name = format!("state.db{suffix}");
            drop(fs::remove_file(directory.path().join(name)));
        }
        fs::copy(&good, &damaged).unwrap();
        let file = File::options().write(true).open(&damaged).unwrap();
        if round % 4 == 0 {
            file.set_len(length * round / 48).unwrap();
        } else {
            let noise: Vec<u8> = (0..700_u64).map(|n| (n * round % 251).to_le_bytes()[0]).collect();
            file.write_all_at(&noise, round * 7919 * 64 % length).unwrap();
        }
        drop(file);
        let spool = directory.path().join(format!("spool-{round}"));
        let mut ledger = RobustLedger::new(damaged.clone(), spool);
        assert!(ledger.open(&fresh("y", 1, 1000)).is_ok());
        assert!(ledger.close(&end(&fresh("y", 1, 1000), fixture::oom_kill())).is_ok());
        let answers = [
            ledger.attempts(&AttemptQuery::default()).map(drop),
            ledger.tallies().map(drop),
            Store::open(&damaged).map(drop),
        ];
        for answer in answers {
            corrupt += u32::from(matches!(answer, Err(LedgerError::Corrupt(_))));
        }
    }
    assert!(corrupt > 20, "{corrupt}");
}
