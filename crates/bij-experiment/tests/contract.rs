//! What this crate says is what bij reads, and what bij says is what this crate reads.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::ffi::OsString;

use bij_experiment::{Attempt, Cause, Ending, Progress};
use proptest::prelude::*;

fn attempt(variables: &[(&str, &str)]) -> Attempt {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Attempt::from_lookup(|name| variables.get(name).map(OsString::from), 1).unwrap()
}

#[test]
fn every_cause_of_bij_is_known() {
    for cause in bij_core::Cause::ALL {
        let attempt = attempt(&[("BIJ_LAST_CAUSE", cause.as_str())]);
        let known = attempt.last_cause().unwrap();
        assert!(!matches!(known, Cause::Other(_)), "{cause}");
        assert_eq!(known.to_string(), cause.to_string());
    }
}

#[test]
fn only_asking_to_be_resumed_is_an_exit_that_is_no_crash() {
    let is_crash = |code: u8| bij_core::Cause::Exit.is_crash(Some(code.into()));
    assert!(!is_crash(Ending::ResumeMe.code()));
    assert!(is_crash(Ending::NeverAgain.code()));
    assert!(is_crash(1));
}

#[test]
fn a_reported_line_is_read_from_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("progress");
    let attempt = attempt(&[("BIJ_PROGRESS", file.to_str().unwrap())]);
    attempt.report(&Progress::at(120).of(1000).checkpoint("/state dir/model 7.ckpt")).unwrap();
    let read: bij_core::Progress = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    assert_eq!((read.step, read.total), (Some(120), Some(1000)));
    assert_eq!(read.checkpoint.as_deref(), Some("/state dir/model 7.ckpt"));
}

/// Paths of everything that has a meaning on the line, and of anything else.
fn path() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        " ",
        "/",
        "=",
        "step=",
        "total=",
        "text=",
        "checkpoint=",
        "step",
        "a",
        "ü",
        "\u{2028}",
        "\u{a0}",
        "\n",
        "\r",
        "\t",
        "\u{85}",
        "\"",
        "\\",
    ]);
    prop_oneof![prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat()), ".*"]
}

proptest! {
    #[test]
    fn a_line_is_refused_or_read_as_it_was_meant(
        step: u64,
        total in proptest::option::of(any::<u64>()),
        path in proptest::option::of(path()),
    ) {
        let mut progress = Progress::at(step);
        if let Some(total) = total {
            progress = progress.of(total);
        }
        if let Some(path) = &path {
            progress = progress.checkpoint(path);
        }
        if let Ok(line) = progress.line() {
            let read: bij_core::Progress = format!("{line}\n").parse().unwrap();
            prop_assert_eq!(read.step, Some(step));
            prop_assert_eq!(read.total, total);
            prop_assert_eq!(read.checkpoint, path);
            prop_assert_eq!(read.text, None);
        } else {
            prop_assert!(path.is_some());
        }
    }
}
