//! `bij simulate`, over traces and over the model.

use std::fmt::Write as _;
use std::path::Path;

use bij_jetson::CapturedTree;
use serde_json::Value;

use super::bij::{Bij, CallResult};

/// Two hours: it warms from 45 °C to `top` within half an hour, stays so, and cools in the last.
fn trace(top: u32) -> String {
    let mut text = "seconds,zone,celsius\n".to_owned();
    for second in (0..7200).step_by(5) {
        let share = f64::from(second.min(7200 - second).min(1800)) / 1800.0;
        let celsius = 45.0 + f64::from(top - 45) * share;
        writeln!(
            text,
            "{second},cpu,{:.2}\n{second},tj,{celsius:.2}\n{second},cv0,",
            celsius - 1.5
        )
        .unwrap();
    }
    text
}

fn lines(result: &CallResult) -> Vec<Value> {
    assert_eq!((result.code, result.err.as_str()), (0, ""));
    result.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_trace_is_replayed_against_the_thresholds() {
    let bij = Bij::new();
    let path = bij.write("trace.csv", trace(72));
    let path = path.to_str().unwrap();
    let result = bij.call(&["simulate", path]);
    assert_eq!((result.code, result.err.as_str()), (0, ""));
    let words: Vec<&str> = result.out.split_whitespace().collect();
    assert_eq!(words[..5], ["AFTER", "LEVEL", "THE", "LADDER", "BECAUSE"]);
    assert!(result.out.contains(" tj is at 71.8 °C\n"), "{}", result.out);
    assert!(
        result.out.ends_with("2 moves in 1h 59min 55s; the highest temperature was 72.0 °C.\n")
    );

    let steps = |result: &CallResult| {
        lines(result)
            .iter()
            .map(|line| line["step"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(steps(&bij.call(&["--json", "simulate", path])), ["hold", "admit", "end"]);
    let lower = bij.call(&["--json", "simulate", path, "--throttle", "60", "--critical", "68"]);
    let lower = steps(&lower);
    assert!(lower.contains(&"cap".to_owned()) && lower.contains(&"stop".to_owned()), "{lower:?}");
    let higher = bij.call(&["simulate", path, "--throttle", "80"]);
    assert!(higher.out.starts_with("No move in "), "{higher:?}");
}

#[test]
fn a_warm_network_card_is_no_reason_for_a_move() {
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bij-jetson/tests/trees");
    let bij = Bij::new();
    let mut tree = CapturedTree::load(trees.join("igx-thor")).unwrap();
    tree.set("sys/class/hwmon/hwmon3/temp1_input", "87000\n");
    tree.unpack(bij.path("")).unwrap();
    let board = bij.call(&["--json", "board"]).out;
    let look = |second: u32| board.replacen('{', &format!("{{\"seconds\":{second},"), 1);
    let trace: String = (0..600).step_by(5).map(look).collect();
    let path = bij.write("trace.jsonl", trace);
    let result = bij.call(&["simulate", path.to_str().unwrap()]);
    assert!(result.out.starts_with("No move in "), "{result:?}");
    assert!(result.out.contains("the highest temperature was 42.1 °C"), "{result:?}");
}

#[test]
fn thresholds_that_are_not_given_come_from_the_settings() {
    let bij = Bij::new();
    let path = bij.write("trace.csv", trace(72));
    bij.write("etc/brain-in-jar/coordinator.toml", "[coordinator]\nthrottle_celsius = 80\n");
    let result = bij.call(&["simulate", path.to_str().unwrap()]);
    assert!(result.out.starts_with("No move in "), "{result:?}");
}

#[test]
fn several_experiments_share_the_processors() {
    let bij = Bij::new();
    let path = bij.write("trace.csv", trace(90));
    let path = path.to_str().unwrap();
    let result = lines(&bij.call(&["--json", "simulate", path, "--experiments", "3"]));
    let stopped: Vec<&str> = result
        .iter()
        .filter(|line| line["step"] == "stop")
        .map(|line| line["experiment"].as_str().unwrap())
        .collect();
    assert_eq!(stopped, ["experiment-3", "experiment-2", "experiment-1"], "the youngest first");
    let cap = result.iter().find(|line| line["step"] == "cap").unwrap();
    assert_eq!((&cap["experiment"], &cap["zone"]), (&"experiment-3".into(), &"tj".into()));
    assert!(cap["to_percent"].as_f64() < Some(400.0));
    assert!(cap["celsius"].as_f64() <= cap["soon_celsius"].as_f64());
    let end = result.last().unwrap();
    assert_eq!((&end["step"], &end["hottest_celsius"]), (&"end".into(), &90.0.into()));
}

#[test]
fn a_modelled_board_reacts_to_the_ladder() {
    let bij = Bij::new();
    let result =
        lines(&bij.call(&["--json", "simulate", "--model", "weak", "constant", "--hours", "2"]));
    let end = result.last().unwrap();
    assert!(end["hottest_celsius"].as_f64() < Some(86.0), "{end}");
    assert!(end["work_percent"].as_f64() > end["all_or_nothing_percent"].as_f64(), "{end}");
    assert_eq!(end["moves"], result.len() - 1);
}

#[test]
fn invalid_traces_and_thresholds_are_errors() {
    let bij = Bij::new();
    let path = bij.write("trace.csv", "0,cpu,50\n5,cpu\n");
    let path = path.to_str().unwrap();
    let result = bij.call(&["simulate", path]);
    assert_eq!(result.code, 101);
    assert!(
        result.err.contains("trace.csv:2: 2 columns instead of seconds,zone,celsius"),
        "{result:?}"
    );
    assert!(result.err.contains("docs/board.md"), "{result:?}");
    let result = bij.call(&["simulate", "nowhere.csv"]);
    assert!(result.err.starts_with("error: cannot read nowhere.csv: "), "{result:?}");
    let result = bij.call(&["simulate", path, "--throttle", "85"]);
    assert_eq!(result.code, 2);
    assert!(
        result.err.contains("85.0 °C, is not above the one to throttle at, 85.0 °C"),
        "{result:?}"
    );
    let result = bij.call(&["simulate", path, "--throttle", "800"]);
    assert_eq!(result.code, 2);
    assert!(result.err.contains("degrees Celsius from 20 to 125"), "{result:?}");
    let result = bij.call(&["simulate", "--model", "none", "idle"]);
    assert_eq!(result.code, 2);
    assert!(result.err.contains("\"idle\" is no load: constant, pair, many-small"), "{result:?}");
    assert_eq!(bij.call(&["simulate"]).code, 2);
    assert_eq!(bij.call(&["simulate", path, "--model", "none", "ramp"]).code, 2);
}
