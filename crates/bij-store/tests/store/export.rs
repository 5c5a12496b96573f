//! What is exported is imported without a difference, counts once, and continues in the same way.

use std::collections::BTreeMap;

use bij_core::port::{AttemptQuery, Change, Ledger, RunQueue};
use bij_core::queue::{
    Claim, Delay, EventKind, GpuClaim, Group, GroupName, NotBefore, Pause, QueueState, Submission,
    Terms,
};
use bij_core::spec::Clocks;
use bij_core::{
    AttemptBoard, BoardMinute, Bytes, Celsius, Hottest, Milliwatts, Percent, RecoveredEnd, Spread,
    TimeSpan, Uptime, close_other_boots,
};
use bij_sim::contract::{ledger_fixture as fixture, run_queue_fixture as queue};
use bij_store::{ImportError, Imported, Store};
use proptest::prelude::*;
use rusqlite::Connection;

use crate::memory::minute;
use crate::properties::{Step, content, events, step};

/// Performs the steps that are not about a spool.
fn perform(store: &mut Store, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Open(opening) => drop(store.open(opening).unwrap()),
            Step::Close(closing) => {
                store.close(closing).unwrap();
                let board = AttemptBoard { over_current: Some(1), ..AttemptBoard::default() };
                store.keep_attempt_board(closing.key, &board).unwrap();
                store.keep_board_minute(&minute()).unwrap();
            }
            Step::Boot(number) => {
                let boot = fixture::boot(*number);
                store.mark_clean_shutdown(boot, fixture::at(8999)).unwrap();
                let recovered = |_: &_| RecoveredEnd::default();
                close_other_boots(store, boot, fixture::at(9000), recovered).unwrap();
            }
            Step::Submit(all) => drop(store.submit(all, fixture::at(1)).unwrap()),
            Step::Change(all) => drop(store.change(all, fixture::at(1)).unwrap()),
            Step::Restart | Step::ToggleLock | Step::ApplySpool => {}
        }
    }
}

fn exported(store: &Store) -> String {
    let mut lines = Vec::new();
    let count = store.export(&mut lines).unwrap();
    let text = String::from_utf8(lines).unwrap();
    assert_eq!(u64::try_from(text.lines().count()).unwrap(), count);
    text
}

fn import(store: &mut Store, lines: &str) -> Imported {
    store.import(lines.as_bytes(), fixture::at(5)).unwrap()
}

fn restored(lines: &str) -> Store {
    let mut store = Store::in_memory().unwrap();
    import(&mut store, lines);
    store
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn an_export_is_restored_to_the_same_bytes_and_continues_in_the_same_way(
        before in steps(30),
        after in steps(10),
    ) {
        let mut store = Store::in_memory().unwrap();
        perform(&mut store, &before);
        let lines = exported(&store);
        let mut copy = restored(&lines);
        prop_assert_eq!(&exported(&copy), &lines);
        prop_assert_eq!(import(&mut copy, &lines), Imported::default());
        prop_assert_eq!(&exported(&copy), &lines, "it counts once");
        prop_assert_eq!(content(&copy), content(&store));
        perform(&mut store, &after);
        perform(&mut copy, &after);
        prop_assert_eq!(content(&copy), content(&store));
        prop_assert_eq!(events(&copy), events(&store));
        prop_assert_eq!(exported(&copy), exported(&store));
    }

    #[test]
    fn a_later_export_continues_an_earlier_one(before in steps(20), after in steps(20)) {
        let mut store = Store::in_memory().unwrap();
        perform(&mut store, &before);
        let mut copy = restored(&exported(&store));
        perform(&mut store, &after);
        let lines = exported(&store);
        import(&mut copy, &lines);
        let all = AttemptQuery::default();
        prop_assert_eq!(copy.attempts(&all).unwrap(), store.attempts(&all).unwrap());
        prop_assert_eq!(copy.tallies().unwrap(), store.tallies().unwrap());
        let runs = |store: &Store| content(store).runs;
        prop_assert_eq!(runs(&copy), runs(&store));
        prop_assert_eq!(import(&mut copy, &lines), Imported::default());
        let seen = events(&copy);
        prop_assert!(seen.iter().zip(1..).all(|(event, number)| event.seq == number));
    }

    #[test]
    fn the_histories_of_other_experiments_are_added_once(
        theirs in steps(20),
        runs in 1_usize..4,
    ) {
        let mut other = Store::in_memory().unwrap();
        perform(&mut other, &theirs);
        let lines = exported(&other);
        let mut store = Store::in_memory().unwrap();
        store.submit(&vec![queue::submission("mine"); runs], fixture::at(0)).unwrap();
        let first = store.open(&fixture::fresh("mine", 7, 700)).unwrap().run;
        import(&mut store, &lines);
        let mut tallies = store.tallies().unwrap();
        let mine = tallies.remove(&fixture::experiment("mine")).unwrap();
        prop_assert_eq!((mine.attempts, mine.last.unwrap().run), (1, first));
        prop_assert_eq!(tallies, other.tallies().unwrap());
        let mut queued = store.load().unwrap().runs;
        queued.sort_by_key(|queued| queued.position);
        let is_mine = |name: &str| name == "mine";
        prop_assert!(queued[..runs].iter().all(|queued| is_mine(queued.run.experiment.as_str())));
        prop_assert_eq!(queued.len() - runs, other.load().unwrap().runs.len());
        let before = exported(&store);
        prop_assert_eq!(import(&mut store, &lines), Imported::default());
        prop_assert_eq!(exported(&store), before);
    }

    #[test]
    fn a_cut_export_changes_nothing(all in steps(12), cut in any::<prop::sample::Index>()) {
        let mut store = Store::in_memory().unwrap();
        perform(&mut store, &all);
        let lines = exported(&store);
        // Without its last line end it is still complete.
        let cut = cut.index(lines.len() - 1);
        let mut copy = Store::in_memory().unwrap();
        let empty = exported(&copy);
        let refused = copy.import(&lines.as_bytes()[..cut], fixture::at(5)).unwrap_err();
        let last = u64::try_from(lines[..cut].lines().count().max(1)).unwrap();
        prop_assert!(
            matches!(refused, ImportError::Line { line, .. } if line == last), "{refused:?} at {last}"
        );
        prop_assert_eq!(exported(&copy), empty);
    }
}

/// A run with every field of a queued run.
fn rich_submission() -> Submission {
    let due = Uptime::from_secs(3600);
    let delay =
        Delay { span: TimeSpan::from_secs(60), boot: fixture::boot(1), due, at: fixture::at(60) };
    Submission {
        terms: Terms {
            priority: -3,
            group: "night".parse().unwrap(),
            claim: Claim { memory: Some(Bytes::new(8 << 30)), gpu: GpuClaim::Exclusive },
            not_before: Some(NotBefore::Delay(delay)),
            after: bij_core::queue::Dependencies::Any(vec!["end:a#1".parse().unwrap()]),
            now: true,
            power: Some("MAXN".into()),
            clocks: Clocks::Max,
        },
        held: Some("bob".to_owned()),
        extras: "environment.SEED = \"\u{1b}7\"\n".to_owned(),
        ..queue::submission("a")
    }
}

/// A store in which every kind of record has every field.
fn rich_store(path: &std::path::Path) -> Store {
    let mut store = Store::open(path).unwrap();
    store.submit(&[queue::submission("a"), rich_submission()], fixture::at(0)).unwrap();
    let at = NotBefore::At(fixture::at(99));
    let timed = Terms { not_before: Some(at), ..Terms::default() };
    let pause = || Pause { by: "eve".to_owned(), since: fixture::at(3) };
    let night: GroupName = "night".parse().unwrap();
    let group = Group { name: night, slots: Some(0), paused: Some(pause()) };
    let note = BTreeMap::from([("run".to_owned(), "a name of a field".to_owned())]);
    let by = || "eve".to_owned();
    let opening = fixture::fresh("up", 1, 1);
    store.open(&opening).unwrap();
    let changes = [
        Change::Edit { run: queue::run("a#1"), terms: Box::new(timed), by: by() },
        Change::Bypassed { run: queue::run("a#1"), times: 4 },
        queue::move_to("a#2", -7),
        queue::move_to("a#1", 70),
        queue::let_start("a#1", 2),
        Change::Stop { run: queue::run("up#1"), by: by() },
        Change::SetGroup { group, by: by() },
        Change::Pause { pause: Some(pause()), by: by() },
        Change::Note { kind: EventKind::Heat, run: None, data: note },
    ];
    store.change(&changes, fixture::at(2)).unwrap();
    let closing = fixture::end(
        &fixture::fresh("done", 1, 2),
        fixture::with_checkpoint(5, fixture::oom_kill()),
    );
    store.close(&closing).unwrap();
    let hottest = Some(Hottest { zone: "tj".to_owned(), celsius: Celsius::from_millis(88_125) });
    let board = AttemptBoard {
        hottest: hottest.clone(),
        energy: Some(bij_core::Millijoules::new(77)),
        throttled: Some(TimeSpan::from_micros(7)),
        over_current: Some(1),
    };
    store.keep_attempt_board(closing.key, &board).unwrap();
    let celsius = Celsius::from_millis(-1);
    let power = Milliwatts::new(-5);
    let minute = BoardMinute {
        hottest,
        celsius: Some(Spread { min: celsius, mean: celsius, max: celsius }),
        power: Some(Spread { min: power, mean: power, max: power }),
        gpu_load: Some(Percent::from_permyriad(3333)),
        memory_available: Some(Bytes::new(5)),
        ..minute()
    };
    store.keep_board_minute(&minute).unwrap();
    store.mark_clean_shutdown(fixture::boot(9), fixture::at(4)).unwrap();
    store
}

#[test]
fn every_field_of_every_record_is_restored() {
    let directory = tempfile::tempdir().unwrap();
    let store = rich_store(&directory.path().join("state.db"));
    let lines = exported(&store);
    let copy = restored(&lines);
    assert_eq!(exported(&copy), lines);
    assert_eq!(content(&copy), content(&store));
    assert_eq!(events(&copy), events(&store));
    assert_eq!(copy.reader().board_minutes(9).unwrap(), store.reader().board_minutes(9).unwrap());
    assert!(copy.ended_cleanly(fixture::boot(9)).unwrap());
    let queued = copy.load().unwrap();
    let run =
        |name: &str| queued.runs.iter().find(|queued| queued.run == queue::run(name)).unwrap();
    assert_eq!(run("a#2").terms, rich_submission().terms);
    assert_eq!((run("a#2").position.0, run("a#1").position.0, run("a#1").bypassed), (-7, 70, 4));
    assert_eq!(run("a#1").state, QueueState::Starting { boot: fixture::boot(2) });
    assert_eq!(run("up#1").stop.as_deref(), Some("eve"));
    assert!(queued.paused.is_some() && queued.groups[0].paused.is_some());
    // The next run comes behind the run that was moved, in both.
    for mut store in [store, copy] {
        let next = store.submit(&[queue::submission("b")], fixture::at(9)).unwrap();
        assert_eq!(next[0].position.0, 72);
    }
}

#[test]
fn attempts_that_were_removed_still_count_in_the_copy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let mut store = Store::open(&path).unwrap();
    for number in 1..=4 {
        let opening = fixture::restart("x", 1, number);
        let evidence = match number {
            1 => fixture::with_checkpoint(5, fixture::oom_kill()),
            _ => fixture::segfault(),
        };
        store.close(&fixture::end(&opening, evidence)).unwrap();
    }
    let whole = exported(&store);
    Connection::open(&path).unwrap().execute("DELETE FROM attempts WHERE number < 4", []).unwrap();
    let lines = exported(&store);
    let copy = restored(&lines);
    assert_eq!(exported(&copy), lines);
    assert_eq!(copy.tallies().unwrap(), store.tallies().unwrap());
    let tally = copy.tally(&fixture::experiment("x")).unwrap();
    assert_eq!((tally.attempts, tally.crashes), (4, 4));
    assert!(tally.last_checkpoint.is_some());
    // They would count twice.
    assert!(store.import(whole.as_bytes(), fixture::at(5)).is_err());
    let mut complete = restored(&whole);
    assert!(complete.import(lines.as_bytes(), fixture::at(5)).is_err());
    assert_eq!(exported(&store), lines);
}

#[test]
fn histories_that_have_parted_are_not_mixed() {
    let mut one = Store::in_memory().unwrap();
    one.open(&fixture::fresh("x", 1, 1)).unwrap();
    let mut other = restored(&exported(&one));
    one.open(&fixture::restart("x", 1, 2)).unwrap();
    other.open(&fixture::restart("x", 1, 3)).unwrap();
    let before = exported(&one);
    let refused = one.import(exported(&other).as_bytes(), fixture::at(5)).unwrap_err();
    assert_eq!(refused.to_string(), "line 4 cannot be imported");
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(why, "the database has another history of x, which does not continue");
    assert_eq!(exported(&one), before);
    // Two runs with the same number that were submitted apart.
    let mut one = Store::in_memory().unwrap();
    one.submit(&[queue::submission("y")], fixture::at(1)).unwrap();
    let mut other = Store::in_memory().unwrap();
    other.submit(&[queue::submission("y")], fixture::at(2)).unwrap();
    assert!(one.import(exported(&other).as_bytes(), fixture::at(5)).is_err());
}

#[test]
fn a_database_in_a_file_and_one_in_memory_have_the_same_export() {
    let directory = tempfile::tempdir().unwrap();
    let lines = exported(&rich_store(&directory.path().join("one.db")));
    let mut file = Store::open(directory.path().join("other.db")).unwrap();
    import(&mut file, &lines);
    assert_eq!(exported(&file), lines);
}
