//! Clocks are held and restored, and stored clocks are never lost.

use bij_core::Outcome;
use bij_jetson::{ClocksError, ToolError};

use crate::tree::{Board, JETPACK_6, PC, captured};

const MIN: &str = "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq";

#[test]
fn clocks_are_held_and_restored() {
    let board = Board::unpack(&captured(JETPACK_6));
    let (clocks, machine) = (board.clocks(), board.machine());
    assert_eq!(machine.clocks_held(), Ok(false));
    assert_eq!(clocks.maximise().unwrap(), Outcome::Changed);
    assert_eq!(board.text(MIN), "1728000\n");
    assert_eq!(machine.clocks_held(), Ok(true));
    assert_eq!(clocks.maximise().unwrap(), Outcome::Unchanged, "the store is kept");
    assert_eq!(clocks.restore().unwrap(), Outcome::Changed);
    assert_eq!(board.text(MIN), "729600\n");
    assert_eq!(machine.clocks_held(), Ok(false));
    assert_eq!(clocks.restore().unwrap(), Outcome::Unchanged);
}

#[test]
fn clocks_that_cannot_be_stored_are_not_changed() {
    let board = Board::unpack(&captured(JETPACK_6));
    board.faults("store-nothing");
    let error = board.clocks().maximise().unwrap_err();
    assert!(matches!(error, ClocksError::NothingStored { .. }), "{error}");
    board.faults("not-root");
    let error = board.clocks().maximise().unwrap_err();
    assert!(error.to_string().contains("as a root user"), "{error}");
    assert_eq!(board.text(MIN), "729600\n");
    assert!(!board.path("stored-clocks").exists());
}

#[test]
fn an_error_of_the_tool_leaves_no_clock_held() {
    let board = Board::unpack(&captured(JETPACK_6));
    board.faults("no-gpu");
    let error = board.clocks().maximise().unwrap_err();
    assert!(error.to_string().contains("GPU frequency scaling not supported"), "{error}");
    assert!(!board.path("stored-clocks").exists(), "the next attempt stores them again");
}

#[test]
fn clocks_that_could_not_be_restored_are_reported_and_kept() {
    let board = Board::unpack(&captured(JETPACK_6));
    let clocks = board.clocks();
    clocks.maximise().unwrap();
    board.faults(&format!("stuck /{MIN}"));
    let error = clocks.restore().unwrap_err();
    assert!(matches!(error, ClocksError::NotRestored { .. }), "{error}");
    board.faults("");
    assert_eq!(clocks.restore().unwrap(), Outcome::Changed);
    assert_eq!(board.text(MIN), "729600\n");
}

#[test]
fn a_missing_tool_is_an_error() {
    let board = Board::unpack(&captured(PC));
    std::fs::remove_file(board.path("usr/bin/jetson_clocks")).unwrap();
    let error = board.clocks().maximise().unwrap_err();
    assert!(matches!(error, ClocksError::Tool(ToolError::Missing { .. })), "{error}");
}

#[test]
fn clocks_are_held_again_after_a_kill_between_storing_and_holding() {
    let board = Board::unpack(&captured(JETPACK_6));
    let clocks = board.clocks();
    clocks.maximise().unwrap();
    std::fs::write(board.path(MIN), "729600\n").unwrap();
    assert_eq!(clocks.maximise().unwrap(), Outcome::Unchanged);
    assert_eq!(board.text(MIN), "1728000\n");
    // A tool that was killed while it stored leaves an incomplete temporary file.
    clocks.restore().unwrap();
    std::fs::write(board.path("stored-clocks.new"), "half a li").unwrap();
    assert_eq!(clocks.maximise().unwrap(), Outcome::Changed);
    assert_eq!(clocks.restore().unwrap(), Outcome::Changed);
    assert_eq!(board.text(MIN), "729600\n");
}
