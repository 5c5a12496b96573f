use std::fs;
use std::path::Path;

use bij_core::{AttemptBoard, AttemptKey, Celsius, Millijoules, Milliwatts};
use bij_jetson::CapturedTree;
use bij_sim::contract::ledger_fixture::{self as fixture, boot, end, fresh, key};
use tempfile::TempDir;

use super::*;

/// A captured AGX Orin with a database and a simulated clock.
struct Bench {
    directory: TempDir,
    recorder: BoardRecorder,
    store: Store,
    seconds: u32,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bij-jetson/tests/trees");
        let tree = CapturedTree::load(trees.join("agx-orin-jp6")).unwrap();
        tree.unpack(directory.path().join("board")).unwrap();
        let database = directory.path().join("state.db");
        let store = Store::open(&database).unwrap();
        let machine = Hardware::open(directory.path().join("board")).unwrap();
        let recorder = BoardRecorder::new(machine, database, boot(1));
        Self { directory, recorder, store, seconds: 0 }
    }

    fn now(&self) -> Now {
        Now {
            at: fixture::at(i64::from(self.seconds)),
            uptime: Uptime::from_secs(1000 + self.seconds),
        }
    }

    /// Advances the clock by seconds, and records after each.
    fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.seconds += 1;
            self.recorder.record(self.now());
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
        self.recorder.record(self.now());
    }

    fn end(&mut self, number: u32) {
        let mut closing = end(&fresh("x", 1, number), fixture::success());
        closing.end.at = self.now().at;
        self.store.close(&closing).unwrap();
        self.recorder.record(self.now());
    }

    fn board(&self, number: u32) -> Option<AttemptBoard> {
        self.store.attempt(key(1, number)).unwrap().unwrap().board
    }

    fn rows(&self) -> usize {
        self.recorder.reader.board_minutes(usize::MAX).unwrap().len()
    }
}

#[test]
fn an_attempt_has_totals_of_the_board() {
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
    // The captured board always draws 8918 mW.
    assert_eq!(board.energy.map(Millijoules::get), Some(8918 * 40));
    assert_eq!((board.throttled, board.over_current), (Some(TimeSpan::default()), Some(0)));
}

#[test]
fn an_attempt_without_observed_beginning_or_end_has_no_totals() {
    let mut bench = Bench::new();
    bench.store.open(&fresh("x", 1, 1)).unwrap();
    bench.pass(3);
    bench.begin(2);
    bench.pass(3);
    bench.end(1);
    assert_eq!(bench.board(1), None, "it was open before the recorder started");
    // The coordinator is gone for a while.
    bench.recorder = BoardRecorder::new(
        bench.recorder.machine.clone(),
        bench.recorder.database.clone(),
        boot(1),
    );
    bench.pass(1);
    bench.end(2);
    assert_eq!(bench.board(2), None);
    bench.begin(3);
    bench.seconds += 11;
    bench.end(3);
    assert_eq!(bench.board(3), None, "there was a gap in the readings");
}

#[test]
fn a_database_that_was_moved_away_is_not_created_again() {
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
fn an_attempt_whose_end_becomes_known_late_has_no_totals() {
    let mut bench = Bench::new();
    bench.pass(1);
    for (number, late) in [(1, 5), (2, 6)] {
        bench.begin(number);
        bench.pass(1);
        let mut closing = end(&fresh("x", 1, number), fixture::success());
        closing.end.at = bench.now().at;
        bench.seconds += late;
        bench.store.close(&closing).unwrap();
        bench.recorder.record(bench.now());
    }
    assert!(bench.board(1).is_some());
    assert_eq!(bench.board(2), None);
}

#[test]
fn an_idle_board_is_not_read_and_nothing_is_written() {
    let mut bench = Bench::new();
    bench.begin(1);
    bench.end(1);
    // The last minute is written when it is over.
    bench.pass(60);
    let rows = bench.rows();
    assert_eq!((rows, bench.recorder.due_in(bench.now())), (1, None));
    let samples = bench.recorder.samples().lock().unwrap().after(Uptime::BOOT).count();
    bench.pass(3600);
    assert_eq!(bench.rows(), rows);
    let still = bench.recorder.samples().lock().unwrap().after(Uptime::BOOT).count();
    assert_eq!(still, samples);
    assert_eq!(bench.recorder.due_in(bench.now()), None);
}

#[test]
fn while_an_attempt_is_open_the_next_reading_is_due_in_a_second() {
    let mut bench = Bench::new();
    bench.pass(1);
    bench.begin(1);
    assert_eq!(bench.recorder.due_in(bench.now()), Some(INTERVAL));
    // Other events cause no reading in between.
    for _ in 0..100 {
        bench.recorder.record(bench.now());
    }
    assert_eq!(bench.recorder.samples().lock().unwrap().after(Uptime::BOOT).count(), 1);
}

#[test]
fn short_attempts_make_no_more_rows_than_long_ones() {
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
fn records_that_cannot_be_written_are_written_later() {
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
    // A directory cannot be opened as a database.
    let aside = bench.directory.path().join("aside");
    let database = std::mem::replace(&mut bench.recorder.database, aside.clone());
    fs::create_dir(&aside).unwrap();
    bench.recorder.record(bench.now());
    assert!(bench.recorder.in_trouble);
    assert_eq!((bench.board(2), bench.recorder.unwritten.len()), (None, 1));
    assert_eq!(bench.recorder.due_in(bench.now()), Some(RETRY_AFTER));
    bench.recorder.database = database;
    bench.pass(10);
    assert!(bench.board(2).is_some() && !bench.recorder.in_trouble);
}

#[test]
fn the_number_of_unwritten_records_is_bounded() {
    let mut bench = Bench::new();
    bench.pass(1);
    bench.begin(1);
    let aside = bench.directory.path().join("aside");
    fs::create_dir(&aside).unwrap();
    bench.recorder.database = aside;
    let minute =
        bench.recorder.aggregator.add(bench.now(), &[key(1, 1)].into(), &BoardReading::default());
    assert_eq!(minute, []);
    let row = std::mem::take(&mut bench.recorder.aggregator).finish().unwrap();
    bench.recorder.unwritten.extend(std::iter::repeat_n(row, 10 * MAX_UNWRITTEN));
    bench.recorder.record(bench.now());
    assert_eq!(bench.recorder.unwritten.len(), MAX_UNWRITTEN);
}

#[test]
fn the_unfinished_minute_is_written_at_the_end() {
    let mut bench = Bench::new();
    bench.pass(1);
    bench.begin(1);
    bench.pass(30);
    let Bench { recorder, directory, .. } = bench;
    let reader = Reader::new(directory.path().join("state.db"));
    assert_eq!(reader.board_minutes(9).unwrap(), []);
    recorder.finish();
    let minutes = reader.board_minutes(9).unwrap();
    assert_eq!((minutes.len(), minutes[0].samples), (1, 31));
}

/// Three days of a reading per second, of a board with thirteen zones.
#[test]
fn no_day_takes_more_memory_or_rows_than_the_day_before() {
    let names: Vec<Arc<str>> = (0..13).map(|n| Arc::from(format!("zone{n}"))).collect();
    let (mut aggregator, mut samples) = (BoardAggregator::default(), SampleRing::default());
    let open: BTreeSet<AttemptKey> = [key(1, 1)].into();
    let mut rows = [0; 3];
    for second in 0..3 * 86_400_u32 {
        let now = Now { at: fixture::at(i64::from(second)), uptime: Uptime::from_secs(second) };
        let degrees = i16::try_from(second % 60).unwrap();
        let zones = names.iter().map(|name| (Arc::clone(name), Celsius::new(degrees)));
        let reading = BoardReading {
            zones: zones.collect(),
            power: Some(Milliwatts::new(20_000)),
            ..BoardReading::default()
        };
        rows[second as usize / 86_400] += aggregator.add(now, &open, &reading).len();
        samples.push(TimedReading { now, reading });
        assert!(samples.after(Uptime::BOOT).size_hint().0 <= 3601);
    }
    assert_eq!(rows, [1439, 1440, 1440], "a row a minute");
    assert_eq!(samples.after(Uptime::BOOT).count(), 3601);
    let newest = Uptime::from_secs(3 * 86_400 - 11);
    assert_eq!(samples.after(newest).count(), 10);
}
