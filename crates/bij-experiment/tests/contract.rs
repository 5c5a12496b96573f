//! bij reads what this crate writes, and this crate reads what bij writes.

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
fn only_the_exit_code_for_resuming_is_not_a_crash() {
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
    attempt.report(&Progress::at(120).total(1000).checkpoint("/state dir/model 7.ckpt")).unwrap();
    let read: bij_core::Progress = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    assert_eq!((read.step, read.total), (Some(120), Some(1000)));
    assert_eq!(read.checkpoint.as_deref(), Some("/state dir/model 7.ckpt"));
}

/// Paths made of words with a meaning on the line, and any other paths.
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
    fn a_line_is_refused_or_read_back_unchanged(
        step: u64,
        total in proptest::option::of(any::<u64>()),
        path in proptest::option::of(path()),
    ) {
        let mut progress = Progress::at(step);
        if let Some(total) = total {
            progress = progress.total(total);
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
