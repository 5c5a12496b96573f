//! Power modes are switched, and every failure has an error of its own.

use std::time::Duration;

use bij_core::Outcome;
use bij_jetson::{QueryError, SwitchError, ToolError};

use crate::tree::{Board, JETPACK_5, JETPACK_6, captured};

/// An AGX Orin in mode 2 whose GPU was not used since boot, so that every mask can be set.
fn fresh() -> Board {
    let mut tree = captured(JETPACK_6);
    tree.remove("dev/nvgpu/igpu0/as");
    let board = Board::unpack(&tree);
    board.faults("no-context");
    board
}

fn switch(board: &Board, id: u32) -> Result<Outcome, SwitchError> {
    board.nvpmodel().switch(id, &board.clocks())
}

#[test]
fn nvpmodel_names_the_mode_in_force() {
    let current = fresh().nvpmodel().query().unwrap();
    assert_eq!((current.id, current.name.as_deref()), (2, Some("MODE_30W")));
}

#[test]
fn a_switch_changes_the_mode_and_a_second_one_changes_nothing() {
    let board = fresh();
    assert_eq!(switch(&board, 3).unwrap(), Outcome::Changed);
    assert_eq!(board.text("var/lib/nvpmodel/status"), "pmode:0003\n");
    assert_eq!(board.text("sys/devices/system/cpu/online"), "0-11\n");
    assert_eq!(board.text("sys/devices/system/cpu/cpu8/cpufreq/scaling_max_freq"), "1497600\n");
    let after = board.machine().sample();
    assert!(after.cpus.unwrap().iter().all(|cpu| cpu.online));
    assert_eq!(after.power.current.unwrap().name.as_deref(), Some("MODE_50W"));
    std::fs::remove_file(board.path("sys/devices/system/cpu/cpu11/online")).unwrap();
    assert_eq!(switch(&board, 3).unwrap(), Outcome::Unchanged, "nothing was written");
}

#[test]
fn modes_with_equal_masks_are_switched_at_once_and_others_are_not_tried() {
    let board = Board::unpack(&captured(JETPACK_5));
    assert_eq!(switch(&board, 3).unwrap(), Outcome::Changed, "0 and 3 have the same mask");
    board.faults("hang");
    for id in [1, 2] {
        assert!(
            matches!(switch(&board, id), Err(SwitchError::NeedsReboot { id: mode }) if mode == id)
        );
    }
    assert!(!board.path("rebooted").exists());
}

#[test]
fn a_reboot_that_was_not_predicted_is_declined() {
    for faults in ["", "decline-with-0"] {
        let board = fresh();
        board.faults(faults);
        let error = switch(&board, 0).unwrap_err();
        assert!(matches!(error, SwitchError::NeedsReboot { id: 0 }), "{error}");
        assert!(!board.path("rebooted").exists());
        assert_eq!(board.text("var/lib/nvpmodel/status"), "pmode:0002\n");
    }
}

#[test]
fn a_false_success_is_detected() {
    let board = fresh();
    board.faults("no-context\nsilent");
    let error = switch(&board, 3).unwrap_err();
    assert!(matches!(error, SwitchError::Silent { wanted: 3, found: 2 }), "{error}");
}

#[test]
fn a_tool_that_hangs_is_killed() {
    let board = fresh();
    board.faults("no-context\nhang");
    let nvpmodel = board.nvpmodel().with_limit(Duration::from_secs(2));
    let error = nvpmodel.switch(3, &board.clocks()).unwrap_err();
    assert!(matches!(error, SwitchError::Tool(ToolError::TimedOut { .. })), "{error}");
}

#[test]
fn a_mask_that_the_kernel_refuses_is_named_with_its_errno() {
    let board = fresh();
    let mask = "/sys/devices/platform/gpu.0/tpc_pg_mask";
    board.faults(&format!("no-context\nrefuse {mask} 16"));
    match switch(&board, 3).unwrap_err() {
        SwitchError::Refused { path, value, errno } => {
            assert_eq!((path.as_str(), value.as_str(), errno), (mask, "0", 16));
        }
        error => panic!("{error}"),
    }
}

#[test]
fn a_missing_tool_and_a_missing_configuration_are_distinguished() {
    let board = fresh();
    std::fs::remove_file(board.path("usr/sbin/nvpmodel")).unwrap();
    let error = switch(&board, 3).unwrap_err();
    assert!(matches!(error, SwitchError::Tool(ToolError::Missing { .. })), "{error}");
    std::fs::write(board.path("usr/sbin/nvpmodel"), "not executable").unwrap();
    let error = switch(&board, 3).unwrap_err();
    assert!(matches!(error, SwitchError::Tool(ToolError::NotStarted { .. })), "{error}");
    std::fs::remove_file(board.path("etc/nvpmodel.conf")).unwrap();
    let error = switch(&board, 3).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this machine has no power modes: /etc/nvpmodel.conf is not there"
    );
}

#[test]
fn a_configuration_for_a_larger_module_is_detected_before_a_write() {
    let mut tree = captured(JETPACK_6);
    for cpu in 8..12 {
        tree.remove(&format!("sys/devices/system/cpu/cpu{cpu}"));
    }
    tree.remove("dev/nvgpu/igpu0/as");
    let board = Board::unpack(&tree);
    match switch(&board, 3).unwrap_err() {
        SwitchError::WrongConf { path } => assert_eq!(path, "/sys/devices/system/cpu/cpu8/online"),
        error => panic!("{error}"),
    }
    assert_eq!(board.text("sys/devices/platform/gpu.0/tpc_pg_mask"), "240\n");
}

#[test]
fn the_error_of_an_unknown_mode_lists_the_known_ones() {
    let error = switch(&fresh(), 9).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no power mode 9; there are 0 MAXN, 1 MODE_15W, 2 MODE_30W, 3 MODE_50W"
    );
}

#[test]
fn a_killed_tool_and_a_tool_that_names_no_mode_are_distinguished() {
    let board = fresh();
    board.faults("no-context\nkill");
    let error = switch(&board, 3).unwrap_err();
    assert!(matches!(error, SwitchError::Tool(ToolError::Killed { signal: 9, .. })), "{error}");
    board.faults("no-context\nno-mode");
    let error = board.nvpmodel().query().unwrap_err();
    assert!(matches!(error, QueryError::Unanswered { .. }), "{error}");
    let error = switch(&board, 3).unwrap_err();
    assert!(matches!(error, SwitchError::Unverified(QueryError::Unanswered { .. })), "{error}");
    assert_eq!(board.text("var/lib/nvpmodel/status"), "pmode:0003\n", "it was tried");
}

#[test]
fn a_user_who_may_not_read_every_file_gets_the_mode_too() {
    let board = Board::unpack(&captured(JETPACK_5));
    board.faults("user");
    assert_eq!(board.nvpmodel().query().unwrap().name.as_deref(), Some("MAXN"));
}

#[test]
fn held_clocks_are_released_before_the_mode_changes() {
    let board = fresh();
    let clocks = board.clocks();
    assert_eq!(clocks.maximise().unwrap(), Outcome::Changed);
    let min = "sys/class/devfreq/17000000.gpu/min_freq";
    assert_eq!(board.text(min), "612000000\n");
    assert_eq!(switch(&board, 3).unwrap(), Outcome::Changed);
    assert_eq!(board.text(min), "306000000\n");
    assert_eq!(clocks.restore().unwrap(), Outcome::Unchanged);
}
