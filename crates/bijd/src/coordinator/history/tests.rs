use bij_core::port::{AttemptScan, Ledger as _};
use bij_core::request::PAGE_LEN;
use bij_core::{BoardMinute, TimeSpan};
use bij_sim::contract::ledger_fixture::{self as fixture, fresh};
use bij_store::Store;
use tempfile::TempDir;

use super::*;

const PIECE_LEN: usize = HISTORY_PAGE_LEN as usize;

/// A ledger with some more attempts than two answers have, each of an experiment of its own.
fn ledger() -> (TempDir, Store, Arc<Reader>) {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    let mut store = Store::open(&database).unwrap();
    for number in 1..=HISTORY_PAGE_LEN * 2 + 7 {
        store.open(&fresh(&format!("x{number:04}"), 1, number)).unwrap();
    }
    (directory, store, Arc::new(Reader::new(database)))
}

fn numbers(attempts: &[Attempt]) -> Vec<u32> {
    let number = |attempt: &Attempt| attempt.run.experiment.as_str()[1..].parse().unwrap();
    attempts.iter().map(number).collect()
}

#[tokio::test]
async fn no_answer_has_more_attempts_than_a_piece_and_the_next_one_goes_on_behind_it() {
    let (_directory, mut store, history) = ledger();
    let mut scan = AttemptScan::default();
    let mut read = Vec::new();
    for expected in [PIECE_LEN, PIECE_LEN, 8, 0] {
        let piece = attempts(&history, AttemptsQuery::next(&scan)).await.unwrap();
        assert_eq!(piece.len(), expected);
        scan.after = piece.last().map(|last| last.key);
        read.extend(numbers(&piece));
        if read.len() == PIECE_LEN {
            store.open(&fresh("x0508", 1, 508)).unwrap();
        }
    }
    assert_eq!(read, (1..=508).collect::<Vec<_>>());
    let newest = |newest, skip_newest| AttemptsQuery {
        newest: Some(newest),
        skip_newest,
        ..AttemptsQuery::default()
    };
    let piece = attempts(&history, newest(u32::MAX, 1)).await.unwrap();
    assert_eq!(numbers(&piece), (258..=507).collect::<Vec<_>>());
    assert_eq!(numbers(&attempts(&history, newest(1, 0)).await.unwrap()), [508]);
}

#[tokio::test]
async fn an_attempt_that_is_not_in_the_history_is_refused() {
    let (_directory, _store, history) = ledger();
    let scan = AttemptScan { after: Some(fixture::key(9, 9)), ..AttemptScan::default() };
    let refused = attempts(&history, AttemptsQuery::next(&scan)).await.unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Store);
    assert!(refused.text.starts_with("the history has lost attempt"), "{refused:?}");
}

#[tokio::test]
async fn sums_come_in_pieces_in_the_order_of_their_experiments() {
    let (_directory, _store, history) = ledger();
    let (mut after, mut read) = (None, Vec::new());
    for expected in [PIECE_LEN, PIECE_LEN, 7, 0] {
        let piece = tallies(&history, TalliesQuery { experiment: None, after }).await.unwrap();
        assert_eq!(piece.len(), expected);
        after = piece.last_key_value().map(|(id, _)| id.clone());
        read.extend(piece.into_values().map(|tally| tally.last.unwrap()));
    }
    assert_eq!(numbers(&read), (1..=507).collect::<Vec<_>>());
}

#[tokio::test]
async fn minutes_go_on_before_the_piece_that_was_sent() {
    let (_directory, mut store, history) = ledger();
    let minute = |samples| BoardMinute {
        at: fixture::at(0),
        span: TimeSpan::from_secs(60),
        samples,
        hottest: None,
        celsius: None,
        power: None,
        gpu_load: None,
        memory_available: None,
        throttled: None,
    };
    let mut keep = |samples| store.keep_board_minute(&minute(samples)).unwrap();
    (1..=PAGE_LEN + 7).for_each(&mut keep);
    let mut ask = async |newest, before| {
        let read = minutes(&history, MinutesQuery { newest, before }).await.unwrap();
        keep(9999);
        let samples: Vec<u32> = read.minutes.iter().map(|minute| minute.samples).collect();
        (read.first, samples)
    };
    let expect = |read: (i64, Vec<u32>), first: i64, samples: std::ops::RangeInclusive<u32>| {
        assert_eq!(read, (first, samples.collect()));
    };
    expect(ask(None, None).await, 8, 8..=PAGE_LEN + 7);
    expect(ask(Some(5), Some(8)).await, 3, 3..=7);
    expect(ask(None, Some(3)).await, 1, 1..=2);
    assert_eq!(ask(None, Some(1)).await, (0, vec![]));
}
