use std::fs;
use std::path::Path;

use bij_core::{AttemptBoard, AttemptKey, Celsius, Millijoules, Milliwatts, Timestamp};
use bij_jetson::CapturedTree;
use bij_sim::contract::ledger_fixture::{self as fixture, boot, end, fresh, key};
use tempfile::TempDir;

use super::*;

/// A captured AGX Orin with a database, and a clock that is moved by hand.
struct Bench {
    directory: TempDir,
    recorder: Recorder,
    store: Store,
    seconds: u32,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bij-jetson/tests/trees");
        let tree = CapturedTree::load(&trees.join("agx-orin-jp6")).unwrap();
        tree.unpack(&directory.path().join("board")).unwrap();
        let database = directory.path().join("state.db");
        let store = Store::open(&database).unwrap();
        let machine = Machine::below(directory.path().join("board"));
        let recorder = Recorder::new(machine, database, boot(1));
        Self { directory, recorder, store, seconds: 0 }
    }

    fn now(&self) -> Now {
        Now {
            at: Timestamp::from_micros(fixture::at(i64::from(self.seconds)).as_micros()),
            uptime: TimeSpan::from_secs(1000 + self.seconds),
        }
    }

    /// Lets so many seconds pass, and looks after each.
    fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.seconds += 1;
            self.recorder.look(self.now());
        }
    }

    fn heat(&self, millis: i32) {
        let types = self.directory.path().join("board/sys/class/thermal");
        for zone in fs::read_dir(types).unwrap().map(|zone| zone.unwrap().path()) {
            if fs::read_to_string(zone.join("type")).is_ok_and(|kind| kind.trim() == "tj-thermal") {
                fs::write(zone.join("temp"), format!("{millis}\n")).unwrap();
            }
        }
    }

    fn begin(&mut self, number: u32) {
        let opening = fresh("x", 1, number);
        self.store.open(&opening).unwrap();
        self.recorder.look(self.now());
    }

    fn end(&mut self, number: u32) {
        let mut closing = end(&fresh("x", 1, number), fixture::success());
        closing.end.at = self.now().at;
        self.store.close(&closing).unwrap();
        self.recorder.look(self.now());
    }

    fn board(&self, number: u32) -> Option<AttemptBoard> {
        self.store.attempt(key(1, number)).unwrap().unwrap().board
    }

    fn rows(&self) -> usize {
        self.recorder.reader.board_minutes(usize::MAX).unwrap().len()
    }
}

#[test]
fn an_attempt_leaves_what_the_board_went_through_while_it_lived() {
    let mut bench = Bench::new();
    bench.pass(1);
    bench.begin(1);
    bench.pass(20);
    bench.heat(71_250);
    bench.pass(1);
    bench.heat(60_000);
    bench.pass(19);
    bench.end(1);
    let board = bench.board(1).unwrap();
    let hottest = board.hottest.unwrap();
    assert_eq!((&*hottest.zone, hottest.celsius), ("tj", Celsius::from_millis(71_250)));
    // The tree draws 8918 mW, always.
    assert_eq!(board.energy.map(Millijoules::get), Some(8918 * 40));
    assert_eq!((board.throttled, board.over_current), (Some(TimeSpan::default()), Some(0)));
}

#[test]
fn of_attempts_whose_beginning_or_end_nobody_saw_nothing_is_said() {
    let mut bench = Bench::new();
    bench.store.open(&fresh("x", 1, 1)).unwrap();
    bench.pass(3);
    bench.begin(2);
    bench.pass(3);
    bench.end(1);
    assert_eq!(bench.board(1), None, "it was there before anybody watched");
    // The coordinator is gone for a while.
    bench.recorder =
        Recorder::new(bench.recorder.machine.clone(), bench.recorder.database.clone(), boot(1));
    bench.pass(1);
    bench.end(2);
    assert_eq!(bench.board(2), None);
    bench.begin(3);
    bench.seconds += 11;
    bench.end(3);
    assert_eq!(bench.board(3), None, "it was not looked at for too long");
}

#[test]
fn a_database_that_was_moved_aside_is_not_made_anew() {
    let mut bench = Bench::new();
    bench.pass(1);
    bench.begin(1);
    bench.pass(58);
    let database = bench.recorder.database.clone();
    let aside = database.with_extension("aside");
    fs::rename(&database, &aside).unwrap();
    bench.pass(10);
    assert!(!database.exists(), "the coordinator would take it for another queue");
    fs::rename(&aside, &database).unwrap();
    bench.pass(150);
    assert!(bench.rows() >= 2, "{} minutes after it was put back", bench.rows());
}

#[test]
fn an_end_that_becomes_known_late_says_nothing_about_the_life() {
    let mut bench = Bench::new();
    bench.pass(1);
    for (number, late) in [(1, 5), (2, 6)] {
        bench.begin(number);
        bench.pass(1);
        let mut closing = end(&fresh("x", 1, number), fixture::success());
        closing.end.at = bench.now().at;
        bench.seconds += late;
        bench.store.close(&closing).unwrap();
        bench.recorder.look(bench.now());
    }
    assert!(bench.board(1).is_some());
    assert_eq!(bench.board(2), None);
}

#[test]
fn where_nothing_runs_nothing_is_sampled_written_or_waited_for() {
    let mut bench = Bench::new();
    bench.begin(1);
    bench.end(1);
    // The last minute is written when it is over.
    bench.pass(60);
    let rows = bench.rows();
    assert_eq!((rows, bench.recorder.due_in(bench.now())), (1, None));
    let samples = bench.recorder.hour().lock().unwrap().after(TimeSpan::default()).count();
    bench.pass(3600);
    assert_eq!(bench.rows(), rows);
    let still = bench.recorder.hour().lock().unwrap().after(TimeSpan::default()).count();
    assert_eq!(still, samples);
    assert_eq!(bench.recorder.due_in(bench.now()), None);
}

#[test]
fn while_something_runs_the_next_look_is_due_in_a_second() {
    let mut bench = Bench::new();
    bench.pass(1);
    bench.begin(1);
    assert_eq!(bench.recorder.due_in(bench.now()), Some(EVERY));
    // Looks in between, because of other events, sample nothing.
    for _ in 0..100 {
        bench.recorder.look(bench.now());
    }
    assert_eq!(bench.recorder.hour().lock().unwrap().after(TimeSpan::default()).count(), 1);
}

#[test]
fn lives_of_a_second_make_no_more_rows_than_long_ones() {
    let mut bench = Bench::new();
    bench.pass(1);
    for number in 1..=60 {
        bench.begin(number);
        bench.pass(1);
        bench.end(number);
        bench.pass(4);
    }
    assert_eq!(bench.seconds, 301);
    assert!(bench.rows() <= 6, "{}", bench.rows());
    assert_eq!(bench.board(60).unwrap().energy.map(Millijoules::get), Some(8918));
}

#[test]
fn what_cannot_be_written_waits_and_is_written_later() {
    let mut bench = Bench::new();
    bench.pass(1);
    bench.begin(1);
    bench.pass(2);
    bench.end(1);
    assert!(bench.board(1).is_some());
    bench.begin(2);
    bench.pass(2);
    let mut closing = end(&fresh("x", 1, 2), fixture::success());
    closing.end.at = bench.now().at;
    bench.store.close(&closing).unwrap();
    // Nobody can open a directory as a database.
    let aside = bench.directory.path().join("aside");
    let database = std::mem::replace(&mut bench.recorder.database, aside.clone());
    fs::create_dir(&aside).unwrap();
    bench.recorder.look(bench.now());
    assert!(bench.recorder.in_trouble);
    assert_eq!((bench.board(2), bench.recorder.unwritten.len()), (None, 1));
    assert_eq!(bench.recorder.due_in(bench.now()), Some(AGAIN_AFTER));
    bench.recorder.database = database;
    bench.pass(10);
    assert!(bench.board(2).is_some() && !bench.recorder.in_trouble);
}

#[test]
fn a_database_that_is_never_written_takes_no_more_memory_each_hour() {
    let mut bench = Bench::new();
    bench.pass(1);
    bench.begin(1);
    let aside = bench.directory.path().join("aside");
    fs::create_dir(&aside).unwrap();
    bench.recorder.database = aside;
    let minute = bench.recorder.book.take(bench.now(), &[key(1, 1)].into(), &Glance::default());
    assert_eq!(minute, []);
    let row = std::mem::take(&mut bench.recorder.book).closed().unwrap();
    bench.recorder.unwritten.extend(std::iter::repeat_n(row, 10 * WAITING_ROOM));
    bench.recorder.look(bench.now());
    assert_eq!(bench.recorder.unwritten.len(), WAITING_ROOM);
}

#[test]
fn what_is_gathered_is_kept_at_the_end() {
    let mut bench = Bench::new();
    bench.pass(1);
    bench.begin(1);
    bench.pass(30);
    let Bench { recorder, directory, .. } = bench;
    let reader = Reader::new(directory.path().join("state.db"));
    assert_eq!(reader.board_minutes(9).unwrap(), []);
    recorder.leave();
    let minutes = reader.board_minutes(9).unwrap();
    assert_eq!((minutes.len(), minutes[0].samples), (1, 31));
}

/// Three days at a sample a second, of a board with thirteen zones.
#[test]
fn no_day_takes_more_memory_or_rows_than_the_day_before() {
    let names: Vec<Arc<str>> = (0..13).map(|n| Arc::from(format!("zone{n}"))).collect();
    let (mut book, mut hour) = (Book::default(), Hour::default());
    let open: BTreeSet<AttemptKey> = [key(1, 1)].into();
    let mut rows = [0; 3];
    for second in 0..3 * 86_400_u32 {
        let now = Now { at: fixture::at(i64::from(second)), uptime: TimeSpan::from_secs(second) };
        let degrees = i16::try_from(second % 60).unwrap();
        let zones = names.iter().map(|name| (Arc::clone(name), Celsius::new(degrees)));
        let glance = Glance {
            zones: zones.collect(),
            power: Some(Milliwatts::new(20_000)),
            ..Glance::default()
        };
        rows[second as usize / 86_400] += book.take(now, &open, &glance).len();
        hour.push(Moment { now, glance });
        assert!(hour.after(TimeSpan::default()).size_hint().0 <= 3601);
    }
    assert_eq!(rows, [1439, 1440, 1440], "a row a minute");
    assert_eq!(hour.after(TimeSpan::default()).count(), 3601);
    let newest = TimeSpan::from_secs(3 * 86_400 - 11);
    assert_eq!(hour.after(newest).count(), 10);
}
