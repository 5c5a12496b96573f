//! Records of the board.

use bij_core::port::{AttemptQuery, Ledger};
use bij_core::{
    AttemptBoard, BoardMinute, Bytes, Celsius, Hottest, Millijoules, Milliwatts, Outcome, Percent,
    Spread, TimeSpan,
};
use bij_sim::contract::ledger_fixture::{self as fixture, at, end, fresh};
use bij_store::{Reader, Store};
use rusqlite::Connection;
use tempfile::TempDir;

fn hottest() -> Hottest {
    Hottest { zone: "tj".to_owned(), celsius: Celsius::from_millis(71_250) }
}

fn full_board() -> AttemptBoard {
    AttemptBoard {
        hottest: Some(hottest()),
        energy: Some(Millijoules::new(1_234_567)),
        throttled: Some(TimeSpan::from_secs(7)),
        over_current: Some(2),
    }
}

fn minute(number: usize) -> BoardMinute {
    let celsius = |degrees| Celsius::new(degrees);
    BoardMinute {
        at: at(i64::try_from(number).unwrap() * 60),
        span: TimeSpan::from_secs(59),
        samples: 60,
        hottest: Some(hottest()),
        celsius: Some(Spread { min: celsius(60), mean: celsius(65), max: celsius(71) }),
        power: Some(Spread {
            min: Milliwatts::new(-12),
            mean: Milliwatts::new(21_345),
            max: Milliwatts::new(45_678),
        }),
        gpu_load: Some(Percent::from_permyriad(9876)),
        memory_available: Some(Bytes::new(12 << 30)),
        throttled: Some(3),
    }
}

fn database() -> (TempDir, std::path::PathBuf, Store) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let store = Store::open(&path).unwrap();
    (directory, path, store)
}

#[test]
fn an_attempt_is_read_with_its_board_record() {
    let (_directory, path, mut store) = database();
    let openings: Vec<_> = (1..=3).map(|number| fresh("x", 1, number)).collect();
    for opening in &openings {
        store.open(opening).unwrap();
        assert_eq!(
            store.keep_attempt_board(opening.key, &full_board()).unwrap(),
            Outcome::Unchanged
        );
        store.close(&end(opening, fixture::success())).unwrap();
    }
    let nothing = AttemptBoard::default();
    assert_eq!(store.keep_attempt_board(openings[0].key, &full_board()).unwrap(), Outcome::Changed);
    assert_eq!(store.keep_attempt_board(openings[0].key, &nothing).unwrap(), Outcome::Unchanged);
    assert_eq!(store.keep_attempt_board(openings[2].key, &nothing).unwrap(), Outcome::Changed);
    let boards: Vec<_> = Reader::new(path)
        .attempts(&AttemptQuery::default())
        .unwrap()
        .into_iter()
        .map(|attempt| attempt.board)
        .collect();
    assert_eq!(
        boards,
        [Some(full_board()), None, Some(nothing)],
        "the second one was not recorded"
    );
    assert_eq!(store.tally(&fixture::experiment("x")).unwrap().last.unwrap().board, boards[2]);
    let known = store.attempt(openings[0].key).unwrap().unwrap();
    assert_eq!(known.board, Some(full_board()));
}

#[test]
fn a_board_record_is_removed_only_with_its_attempt() {
    let (_directory, path, mut store) = database();
    for number in 1..=2 {
        let opening = fresh("x", 1, number);
        store.open(&opening).unwrap();
        store.close(&end(&opening, fixture::success())).unwrap();
        store.keep_attempt_board(opening.key, &full_board()).unwrap();
    }
    let shell = Connection::open(&path).unwrap();
    shell.pragma_update(None, "foreign_keys", true).unwrap();
    let refused = shell.execute("UPDATE attempt_boards SET throttled = 0", []).unwrap_err();
    assert!(refused.to_string().contains("never changed"), "{refused}");
    shell.execute("DELETE FROM attempts WHERE id = 1", []).unwrap();
    let left: i64 =
        shell.query_row("SELECT count(*) FROM attempt_boards", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
}

#[test]
fn minutes_are_read_unchanged_and_oldest_first() {
    let (_directory, path, mut store) = database();
    let bare = BoardMinute {
        hottest: None,
        celsius: None,
        power: None,
        gpu_load: None,
        memory_available: None,
        throttled: None,
        ..minute(2)
    };
    for kept in [&minute(1), &bare, &minute(3)] {
        store.keep_board_minute(kept).unwrap();
    }
    let reader = Reader::new(path);
    assert_eq!(reader.board_minutes(10).unwrap(), [minute(1), bare.clone(), minute(3)]);
    assert_eq!(reader.board_minutes(2).unwrap(), [bare.clone(), minute(3)]);
    assert_eq!(reader.board_minutes_before(None, 2).unwrap(), (2, vec![bare.clone(), minute(3)]));
    assert_eq!(reader.board_minutes_before(Some(2), 2).unwrap(), (1, vec![minute(1)]));
    assert_eq!(reader.board_minutes_before(Some(1), 2).unwrap(), (0, vec![]));
}

#[test]
fn a_month_of_minutes_is_kept_and_takes_a_few_megabytes() {
    let (_directory, path, mut store) = database();
    store.keep_board_minute(&minute(0)).unwrap();
    // As after a month.
    let shell = Connection::open(&path).unwrap();
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {})
         INSERT INTO board_minutes SELECT i, at + i * 60000000, span, samples, zone, zone_max,
             celsius_min, celsius_mean, celsius_max, power_min, power_mean, power_max, gpu_load,
             available, throttled FROM n, board_minutes",
        BoardMinute::KEPT
    );
    shell.execute_batch(&fill).unwrap();
    for number in 0..3 {
        store.keep_board_minute(&minute(number)).unwrap();
    }
    let (rows, oldest): (usize, i64) = shell
        .query_row("SELECT count(*), min(id) FROM board_minutes", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!((rows, oldest), (BoardMinute::KEPT, 4));
    let bytes: usize = shell
        .query_row(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let per_day = bytes / 30;
    assert!(per_day < 250_000, "{per_day} bytes per day with an experiment running all day");
}
