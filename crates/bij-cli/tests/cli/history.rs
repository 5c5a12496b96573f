//! A history that is shown through the coordinator, to a user who may not open the database.

use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::process::Child;

use bij_core::request::HISTORY_PAGE_LEN;
use serde_json::Value;

use super::bij::{Bij, CallResult};
use super::model::Coordinator;

/// A coordinator that knows so many attempts, and a database that may be opened by no user.
fn with_attempts(count: u32) -> (Bij, Coordinator) {
    let bij = Bij::new();
    let database = bij.path("var/lib/brain-in-jar/state.db");
    std::fs::create_dir_all(database.parent().unwrap()).unwrap();
    // Root may open every file but a link to itself.
    symlink(&database, &database).unwrap();
    let coordinator = Coordinator::start(&bij);
    for _ in 0..count {
        coordinator.model.state().begin_attempt();
    }
    (bij, coordinator)
}

/// The runs of a table.
fn table(said: &CallResult) -> Vec<String> {
    let mut lines = said.out.lines();
    assert!(lines.next().unwrap().starts_with("RUN "), "{said:?}");
    lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// The runs of an array.
fn array(said: &CallResult) -> Vec<String> {
    let name = |row: &Value| format!("{}#{}", row["id"].as_str().unwrap(), row["run"]);
    said.json().as_array().unwrap().iter().map(name).collect()
}

fn expected(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    let name = |number| if number % 3 == 0 { "a_longer_name" } else { "x" };
    numbers.map(|number| format!("{}#{number}", name(number))).collect()
}

#[test]
fn a_history_from_the_coordinator_is_shown_whole_and_in_order() {
    let count = HISTORY_PAGE_LEN * 2 + 7;
    let (bij, _coordinator) = with_attempts(count);
    let of = |name: &str| -> Vec<String> {
        expected(1..=count).into_iter().filter(|run| run.starts_with(name)).collect()
    };
    assert_eq!(table(&bij.call(&["history"])), expected(1..=count));
    assert_eq!(array(&bij.call(&["--json", "history"])), expected(1..=count));
    assert_eq!(table(&bij.call(&["history", "x"])), of("x#"));
    let several = ["--json", "history", "x", "a_longer_name"];
    assert_eq!(array(&bij.call(&several)), [of("x#"), of("a_")].concat());
    for newest in [0, 3, 300, 9999] {
        let (words, from) = (newest.to_string(), (count + 1).saturating_sub(newest).max(1));
        let said = bij.call(&["--json", "history", "-n", &words]);
        assert_eq!(array(&said), expected(from..=count), "{newest}");
    }
    let of_run = bij.call(&["--json", "history", "--run", "300"]);
    assert_eq!(array(&of_run), ["a_longer_name#300"]);
    let none = bij.call(&["--json", "history", "--run", "99999"]);
    assert_eq!((none.out.as_str(), none.err.as_str()), ("[]\n", "No attempts.\n"));
}

#[test]
fn attempts_that_begin_while_a_history_is_shown_appear_at_most_once_and_hide_none() {
    let count = HISTORY_PAGE_LEN * 2 + 7;
    for words in [&["history"][..], &["history", "-n", "300"], &["history", "x", "a_longer_name"]] {
        for json in [false, true] {
            let (bij, coordinator) = with_attempts(count);
            let words = if json { [&["--json"], words].concat() } else { words.to_vec() };
            let before = bij.call(&words);
            coordinator.model.state().attempts_meanwhile = 30;
            let during = bij.call(&words);
            let of = if json { array } else { table };
            let (before, during) = (of(&before), of(&during));
            let mut once = during.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), during.len(), "{words:?}");
            let hidden: Vec<_> = before.iter().filter(|run| !during.contains(run)).collect();
            // The first question is where the newest 300 begin, and an attempt begins before it.
            let moved = usize::from(words.contains(&"-n"));
            assert_eq!(hidden, before[..moved].iter().collect::<Vec<_>>(), "{words:?}");
        }
    }
}

#[test]
fn pieces_are_shown_before_the_last_one_is_asked_for() {
    let (bij, coordinator) = with_attempts(HISTORY_PAGE_LEN * 8);
    // Without a table nothing is measured; the table is read twice, and each time to its end.
    for (words, fails_after) in [(&["--json", "history"][..], 5), (&["history"], 9 + 5)] {
        coordinator.model.state().attempts_calls = 0;
        coordinator.model.state().history_fails_after = Some(fails_after);
        let said = bij.call(words);
        assert!(said.code != 0 && said.err.contains("the disk is gone"), "{}", said.err);
        let shown = said.out.matches("\"run\":").count() + said.out.lines().skip(1).count();
        assert!(shown >= HISTORY_PAGE_LEN as usize * 4, "{words:?}: {shown}");
    }
}

#[test]
fn what_is_shown_does_not_pile_up() {
    for words in [&["history"][..], &["--json", "history"], &["--json", "history", "-n", "99999"]] {
        let peak = |pieces| {
            let (bij, _coordinator) = with_attempts(HISTORY_PAGE_LEN * pieces);
            peak_memory(bij.spawn(words))
        };
        let (few, many) = (peak(2), peak(60));
        // 60 pieces have 30 MB of evidence.
        assert!(many < few + (12 << 10), "{words:?}: {many} KiB instead of {few}");
    }
}

/// The most memory that a process had resident while it printed, in KiB (`VmHWM` in `proc_pid_status(5)`).
fn peak_memory(mut child: Child) -> u64 {
    let mut out = child.stdout.take().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (mut peak, mut read) = (0, vec![0; 1 << 16]);
    while out.read(&mut read).unwrap() > 0 {
        let text = std::fs::read_to_string(&status).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        // A process that is on its way out has no memory.
        let now = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(now.unwrap_or(0));
    }
    assert!(child.wait().unwrap().success());
    peak
}
