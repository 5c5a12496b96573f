//! `bij board` over a captured tree on the disk.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use bij_core::request::{RecordedSample, ZoneSample};
use bij_core::{BoardMinute, Bytes, Layout, TimeSpan, Timestamp};
use bij_jetson::CapturedTree;
use bij_store::Store;

use super::bij::Bij;
use super::model::Coordinator;

#[test]
fn a_captured_board_is_shown_as_text_and_as_json() {
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bij-jetson/tests/trees");
    let bij = Bij::new();
    CapturedTree::load(trees.join("agx-orin-jp6")).unwrap().unpack(bij.path("")).unwrap();
    let before = bij.listing();
    let result = bij.call(&["board"]);
    assert_eq!((result.code, result.err.as_str()), (0, ""));
    assert!(result.out.starts_with("NVIDIA Jetson AGX Orin Developer Kit\n"), "{result:?}");
    let board = bij.call(&["--json", "board"]).json();
    assert_eq!(board["total_milliwatts"], 8918);
    assert_eq!(board["power_mode"]["name"], "MODE_30W");
    assert_eq!(board["zones"][4]["name"], "gpu");
    assert_eq!(board["zones"][4]["why"], "off");
    assert_eq!(bij.listing(), before, "reading leaves nothing behind");
}

#[test]
fn a_tree_that_is_not_there_is_no_board() {
    let bij = Bij::new();
    std::fs::remove_dir(bij.path("")).unwrap();
    for words in [&["board"][..], &["board", "--watch"]] {
        let result = bij.call(words);
        assert_eq!((result.code, result.out.as_str()), (2, ""), "{result:?}");
        assert!(result.err.starts_with("error: --root: there is no directory /"), "{result:?}");
    }
}

#[test]
fn a_directory_without_a_machine_is_no_board() {
    let bij = Bij::new();
    for words in [&["board"][..], &["board", "--watch"], &["--json", "board"]] {
        let result = bij.call(words);
        assert_eq!((result.code, result.out.as_str()), (2, ""), "{result:?}");
        let reason = "is not the root of a machine: proc is missing or empty in it";
        assert!(result.err.contains(reason), "{result:?}");
    }
}

#[test]
fn watching_through_a_pipe_prints_a_line_of_json_per_reading() {
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bij-jetson/tests/trees");
    let bij = Bij::new();
    CapturedTree::load(trees.join("agx-orin-jp6")).unwrap().unpack(bij.path("")).unwrap();
    let mut child = bij.spawn(&["board", "--watch"]);
    let out = BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<serde_json::Value> =
        out.lines().take(2).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    for board in &lines {
        assert_eq!(board["total_milliwatts"], 8918);
        assert!(board["at"].as_str().unwrap().ends_with('Z'), "{board}");
    }
    assert!(lines[0]["at"].as_str() < lines[1]["at"].as_str());
    // The pipe is closed, so `bij` ends.
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn recorded_minutes_are_shown() {
    let bij = Bij::new();
    let result = bij.call(&["board", "--minutes", "9"]);
    assert_eq!((result.code, &*result.out, &*result.err), (0, "", "No minutes are recorded.\n"));
    let database = Layout::system(&bij.path("")).database();
    let mut store = Store::open(&database).unwrap();
    for number in 0..3 {
        let minute = BoardMinute {
            at: Timestamp::from_micros(number * 60_000_000),
            span: TimeSpan::from_secs(59),
            samples: 60,
            hottest: None,
            celsius: None,
            power: None,
            gpu_load: None,
            memory_available: Some(Bytes::new(1 << 30)),
            throttled: None,
        };
        store.keep_board_minute(&minute).unwrap();
    }
    let json = bij.call(&["--json", "board", "--minutes", "2"]).json();
    assert_eq!(json.as_array().unwrap().len(), 2);
    assert_eq!(json[0]["at"], "1970-01-01T00:01:00.000000Z");
    assert_eq!(json[1]["memory_available"], 1 << 30);
    assert_eq!(bij.call(&["board", "--minutes", "1", "--watch"]).code, 2);
}

#[test]
fn samples_of_the_last_hour_come_from_the_coordinator() {
    let bij = Bij::new();
    assert_eq!(bij.call(&["board", "--samples", "2"]).code, 104, "there is none");
    let coordinator = Coordinator::start(&bij);
    let result = bij.call(&["board", "--samples", "2"]);
    assert_eq!((result.code, &*result.out), (0, ""));
    let sample = |uptime_usec: u32| RecordedSample {
        at: "2026-11-23T22:00:00Z".parse().unwrap(),
        uptime_usec: uptime_usec.into(),
        zones: [("cpu", 50.0), ("tj", 71.25)]
            .map(|(name, celsius)| ZoneSample { name: name.to_owned(), celsius })
            .into(),
        total_milliwatts: Some(8918),
        gpu_load_percent: Some(98.76),
        memory_available: None,
        throttled: Some(true),
        over_current_events: None,
    };
    coordinator.model.state().board = (1..=1500).map(sample).collect();
    let result = bij.call(&["--json", "board", "--samples", "2"]);
    let lines: Vec<serde_json::Value> =
        result.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{result:?}");
    assert_eq!((&lines[0]["uptime_usec"], &lines[1]["uptime_usec"]), (&1499.into(), &1500.into()));
    assert_eq!(lines[0]["zones"][1]["celsius"], 71.25);
    let text = bij.call(&["board", "--samples", "1"]).out;
    let words: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().skip(2).collect();
    assert_eq!(words, ["tj", "71.2", "°C", "8918mW", "98.76%", "yes"]);
}

#[test]
fn a_machine_without_readings_is_no_error() {
    let bij = Bij::new();
    bij.write("proc/version", "Linux version 6.1.0\n");
    bij.write("sys/kernel/notes", "");
    let result = bij.call(&["--json", "board"]);
    assert_eq!(result.code, 0, "{result:?}");
    assert_eq!(result.json()["why"]["model"], "absent");
}
