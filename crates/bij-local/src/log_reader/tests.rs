use std::time::Duration;

use super::*;
use crate::log_file::{LogStream, LogWriter};

fn line(id: &str, second: i64, attempt: u32, text: &str) -> LogLine {
    LogLine {
        experiment: ExperimentId::new(id).unwrap(),
        at: Timestamp::from_micros(1_795_471_200_000_000 + second * 1_000_000),
        run: RunNumber(1),
        attempt: AttemptNumber(attempt),
        stream: LogStream::Out,
        continued: false,
        text: text.to_owned(),
    }
}

async fn write(logs: &Path, rotate_at: u64, lines: &[LogLine]) {
    let writer = LogWriter::start(logs.to_owned(), rotate_at).unwrap();
    for line in lines {
        writer.write(line.clone()).await;
    }
    for line in lines {
        writer.flush(&line.experiment).await.unwrap();
    }
}

fn texts(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[tokio::test]
async fn queries_filter_lines_and_merge_experiments_by_time() {
    let directory = tempfile::tempdir().unwrap();
    let lines = [
        line("a", 1, 1, "a one"),
        line("b", 2, 1, "b two"),
        line("a", 3, 2, "a three"),
        line("b", 4, 2, "b four"),
    ];
    write(directory.path(), u64::MAX, &lines).await;
    let reader = LogReader { logs: directory.path().to_owned() };
    let read = |query: &LogQuery| {
        let lines = reader.read(query).unwrap();
        texts(&lines).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let all = LogQuery::default();
    assert_eq!(read(&all), ["a one", "b two", "a three", "b four"]);
    assert_eq!(read(&LogQuery { newest: Some(3), ..all.clone() }), ["b two", "a three", "b four"]);
    let a = vec![ExperimentId::new("a").unwrap()];
    assert_eq!(read(&LogQuery { experiments: a, ..all.clone() }), ["a one", "a three"]);
    let second = AttemptNumber(2);
    assert_eq!(read(&LogQuery { attempt: Some(second), ..all.clone() }), ["a three", "b four"]);
    let grep = Some(Regex::new("o$|^b").unwrap());
    assert_eq!(read(&LogQuery { grep, ..all.clone() }), ["b two", "b four"]);
    let (since, until) = (Some(lines[1].at), Some(lines[2].at));
    assert_eq!(read(&LogQuery { since, until, ..all }), ["b two", "a three"]);
}

#[tokio::test]
async fn a_full_file_is_rotated_and_both_files_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let lines: Vec<LogLine> =
        (0..10).map(|n| line("a", n, 1, &format!("line {n} {}", "x".repeat(40)))).collect();
    write(directory.path(), 500, &lines).await;
    let current = fs::metadata(directory.path().join("a.log")).unwrap().len();
    assert!(current <= 500, "{current}");
    assert!(directory.path().join("a.log.1").exists());
    let reader = LogReader { logs: directory.path().to_owned() };
    let read = reader.read(&LogQuery::default()).unwrap();
    assert_eq!(read, lines[10 - read.len()..]);
    assert!(read.len() > 5);
}

#[tokio::test]
async fn a_follower_returns_new_lines_across_rotation_and_of_new_experiments() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), u64::MAX, &[line("a", 0, 1, "old")]).await;
    let reader = LogReader { logs: directory.path().to_owned() };
    let mut follower = reader.follow(LogQuery::default()).unwrap();
    assert!(follower.next_lines(Duration::from_millis(1)).unwrap().is_empty());
    write(directory.path(), u64::MAX, &[line("a", 1, 1, "new"), line("b", 2, 1, "first")]).await;
    let lines = follower.next_lines(Duration::from_secs(5)).unwrap();
    assert_eq!(texts(&lines), ["new", "first"]);
    // Written, rotated away, and written again between two looks.
    write(directory.path(), u64::MAX, &[line("a", 3, 1, "last of the old file")]).await;
    fs::rename(directory.path().join("a.log"), directory.path().join("a.log.1")).unwrap();
    write(directory.path(), u64::MAX, &[line("a", 4, 1, "first of the new file")]).await;
    let lines = follower.next_lines(Duration::from_secs(5)).unwrap();
    assert_eq!(texts(&lines), ["last of the old file", "first of the new file"]);
}

#[test]
fn missing_logs_are_no_error_and_torn_lines_are_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let missing = LogReader { logs: directory.path().join("none") };
    assert_eq!(missing.read(&LogQuery::default()).unwrap(), []);
    let whole = line("a", 1, 1, "whole").to_string();
    let text = format!("\0\0\0\0\n{whole}\n{}", &whole[..30]);
    fs::write(directory.path().join("a.log"), text).unwrap();
    let reader = LogReader { logs: directory.path().to_owned() };
    assert_eq!(texts(&reader.read(&LogQuery::default()).unwrap()), ["whole"]);
}
