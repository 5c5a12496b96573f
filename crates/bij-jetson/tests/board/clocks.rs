//! Clocks are held and let go, and what was stored is never lost.

use bij_core::Outcome;
use bij_jetson::{ClocksError, ToolError, clocks_held};

use crate::tree::{Board, JETPACK_6, PC, captured};

const MIN: &str = "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq";

#[test]
fn clocks_are_held_and_let_go() {
    let board = Board::unpack(&captured(JETPACK_6));
    let (clocks, root) = (board.clocks(), board.root());
    assert_eq!(clocks_held(&root), Ok(false));
    assert_eq!(clocks.maximise().unwrap(), Outcome::Changed);
    assert_eq!(board.text(MIN), "1728000\n");
    assert_eq!(clocks_held(&root), Ok(true));
    assert_eq!(clocks.maximise().unwrap(), Outcome::Unchanged, "what was stored stays");
    assert_eq!(clocks.restore().unwrap(), Outcome::Changed);
    assert_eq!(board.text(MIN), "729600\n");
    assert_eq!(clocks_held(&root), Ok(false));
    assert_eq!(clocks.restore().unwrap(), Outcome::Unchanged);
}

#[test]
fn what_cannot_be_stored_is_not_changed() {
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
fn a_gpu_that_is_late_is_told_and_nothing_stays_held() {
    let board = Board::unpack(&captured(JETPACK_6));
    board.faults("no-gpu");
    let error = board.clocks().maximise().unwrap_err();
    assert!(error.to_string().contains("GPU frequency scaling not supported"), "{error}");
    assert!(!board.path("stored-clocks").exists(), "the next try begins anew");
}

#[test]
fn what_could_not_be_restored_is_told_and_kept() {
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
fn a_pc_has_no_such_tool() {
    let board = Board::unpack(&captured(PC));
    std::fs::remove_file(board.path("usr/bin/jetson_clocks")).unwrap();
    let error = board.clocks().maximise().unwrap_err();
    assert!(matches!(error, ClocksError::Tool(ToolError::Missing { .. })), "{error}");
}

#[test]
fn whoever_was_killed_between_storing_and_holding_has_it_done_the_next_time() {
    let board = Board::unpack(&captured(JETPACK_6));
    let clocks = board.clocks();
    clocks.maximise().unwrap();
    std::fs::write(board.path(MIN), "729600\n").unwrap();
    assert_eq!(clocks.maximise().unwrap(), Outcome::Unchanged);
    assert_eq!(board.text(MIN), "1728000\n");
    // One that was killed while it stored has stored nothing.
    clocks.restore().unwrap();
    std::fs::write(board.path("stored-clocks.new"), "half a li").unwrap();
    assert_eq!(clocks.maximise().unwrap(), Outcome::Changed);
    assert_eq!(clocks.restore().unwrap(), Outcome::Changed);
    assert_eq!(board.text(MIN), "729600\n");
}
