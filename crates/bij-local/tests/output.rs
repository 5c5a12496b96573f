//! The output of experiments, of any kind and size.

mod support;

use bij_core::{AttemptNumber, Cause};
use bij_local::{LogQuery, LogReader, LogStream};
use support::{World, id, script};

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_output_becomes_lines() {
    let world = World::new();
    let text = r"printf ' 1%%\r 50%%\r100%%\n'; printf 'a\0b\n'; printf 'bad \377 byte\n'; printf 'no end'";
    let story = world.run(script("x", text)).await;
    assert_eq!(story.printed(), ["100%", "a\u{2400}b", "bad \u{fffd} byte", "no end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_ten_megabytes_comes_in_pieces_and_whole() {
    let world = World::new();
    let text = "perl -e 'print \"y\" x 10000000, \"\\n\"'; echo after";
    let story = world.run(script("x", text)).await;
    let printed = story.printed();
    assert_eq!(printed.last(), Some(&"after"));
    let pieces = &printed[..printed.len() - 1];
    assert!(pieces.iter().all(|piece| piece.len() <= 64 * 1024));
    assert_eq!(pieces.iter().map(|piece| piece.len()).sum::<usize>(), 10_000_000);
    let lines = LogReader::new(&world.layout).read(&LogQuery::default()).unwrap();
    let kept: usize = lines
        .iter()
        .filter(|line| line.stream == LogStream::Out && line.text.starts_with('y'))
        .map(|line| line.text.len())
        .sum();
    assert_eq!(kept, 10_000_000);
    assert!(!lines[1].continued && lines[2].continued);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_is_lost_when_events_are_not_read() {
    let world = World::new();
    let supervisor = world.supervisor([script("x", "seq 1 200000; exit 0")]);
    // The events are kept, but not read yet.
    let events = supervisor.run(&[id("x")]).unwrap();
    let logs = LogReader::new(&world.layout);
    support::until("it begins", || !world.attempts().is_empty()).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(world.attempts()[0].end.is_none(), "the experiment waits until its events are read");
    let story = support::Story::collect(events).await;
    assert_eq!(story.printed().len(), 200_000);
    let query = LogQuery { experiments: vec![id("x")], ..LogQuery::default() };
    let lines = logs.read(&query).unwrap();
    assert_eq!(lines.iter().filter(|line| line.stream == LogStream::Out).count(), 200_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_events_delays_no_experiment() {
    let world = World::new();
    let supervisor = world.supervisor([script("x", "seq 1 20000; exit 0")]);
    drop(supervisor.run(&[id("x")]).unwrap());
    support::until("it ends", || world.attempts().first().is_some_and(|a| a.end.is_some())).await;
    assert_eq!(world.attempts()[0].end.as_ref().unwrap().cause, Cause::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_distinguishes_attempts_and_the_supervisors_lines() {
    let world = World::new();
    let story = world.run(script("x", "echo attempt $BIJ_ATTEMPT; test $BIJ_ATTEMPT = 2")).await;
    assert_eq!(story.causes(), [Cause::Exit, Cause::Success]);
    let query = LogQuery { attempt: Some(AttemptNumber(1)), ..LogQuery::default() };
    let lines = LogReader::new(&world.layout).read(&query).unwrap();
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(lines.len(), 3, "{texts:?}");
    assert!(texts[0].starts_with("started as process "));
    assert_eq!(texts[1], "attempt 1");
    assert!(texts[2].starts_with("ended: exit, exit code 1, after "), "{texts:?}");
}
