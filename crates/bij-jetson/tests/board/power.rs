//! The mode in force and the mode of the next boot are distinguished, whichever program has set them.

use bij_core::Outcome;
use bij_jetson::{ModeSince, PowerControl, SwitchError};

use crate::tree::{Board, JETPACK_5, captured};

/// An AGX Orin in mode 0; mode 3 can be set at once, modes 1 and 2 need a reboot.
fn board() -> (Board, PowerControl) {
    let board = Board::unpack(&captured(JETPACK_5));
    let runtime = board.path("run/brain-in-jar");
    std::fs::create_dir_all(&runtime).unwrap();
    let power = PowerControl::below(board.path(""), &runtime);
    (board, power)
}

/// Returns the mode in force, and the mode of the next boot.
fn modes(power: &PowerControl) -> (Option<u32>, Option<u32>) {
    let modes = power.modes();
    (power.in_force(&modes), modes.recorded.ok().map(|mode| mode.id))
}

fn set(power: &PowerControl, mode: &str, later: bool) -> Result<(ModeSince, String), SwitchError> {
    let set = power.set(&power.find(mode)?, later)?;
    Ok((set.since, set.to_string()))
}

#[test]
fn the_mode_of_the_next_boot_is_not_mistaken_for_the_one_in_force() {
    let (_board, power) = board();
    assert_eq!(modes(&power), (Some(0), Some(0)));
    let error = set(&power, "15W", false).unwrap_err();
    assert!(error.remedy().is_some(), "{error}");
    let (since, text) = set(&power, "15W", true).unwrap();
    assert_eq!(
        (since, text.as_str()),
        (ModeSince::NextBoot, "the next boot comes up in power mode MODE_15W")
    );
    // nvpmodel itself now names mode 1 as the one in force.
    assert_eq!(modes(&power), (Some(0), Some(1)));
    assert!(matches!(set(&power, "1", false), Err(SwitchError::NeedsReboot { id: 1 })));
    assert!(matches!(power.switch(1), Err(SwitchError::NeedsReboot { id: 1 })));
    assert_eq!(power.switch(0).unwrap(), Outcome::Unchanged);
    assert_eq!(modes(&power), (Some(0), Some(1)));
}

#[test]
fn a_temporary_switch_keeps_the_mode_of_the_next_boot_and_a_permanent_one_replaces_it() {
    let (board, power) = board();
    set(&power, "MODE_15W", true).unwrap();
    assert_eq!(power.switch(3).unwrap(), Outcome::Changed);
    assert_eq!(modes(&power), (Some(3), Some(1)));
    assert_eq!(board.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq"), "1497600\n");
    let (_, text) = set(&power, "3", false).unwrap();
    assert_eq!(text, "the board is in power mode MODE_50W");
    assert_eq!(modes(&power), (Some(3), Some(3)));
    set(&power, "MODE_15W", true).unwrap();
    let (_, text) = set(&power, "MAXN", false).unwrap();
    assert_eq!(text, "the board is in power mode MAXN");
    assert_eq!(modes(&power), (Some(0), Some(0)));
}

#[test]
fn a_mode_that_another_program_sets_replaces_the_note() {
    let (board, power) = board();
    set(&power, "MODE_15W", true).unwrap();
    board.nvpmodel().switch(3, &board.clocks()).unwrap();
    assert_eq!(modes(&power), (Some(3), Some(3)));
    assert_eq!(power.switch(0).unwrap(), Outcome::Changed);
    assert_eq!(modes(&power), (Some(0), Some(0)));
}

#[test]
fn held_clocks_are_released_before_a_mode_is_set() {
    let (board, power) = board();
    let min = "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq";
    let before = board.text(min);
    power.clocks().maximise().unwrap();
    assert_ne!(board.text(min), before);
    assert_eq!(board.machine().clocks_held(), Ok(true));
    assert_eq!(power.switch(3).unwrap(), Outcome::Changed);
    assert!(!power.clocks().are_held());
    assert_eq!(board.text(min), before);
}

#[test]
fn a_board_without_modes_and_an_unknown_mode_are_errors() {
    let (board, power) = board();
    let error = set(&power, "TURBO", false).unwrap_err().to_string();
    assert!(error.starts_with("there is no power mode TURBO; there are 0 MAXN, "), "{error}");
    std::fs::remove_file(board.path("etc/nvpmodel.conf")).unwrap();
    let error = set(&power, "MAXN", false).unwrap_err();
    assert!(matches!(error, SwitchError::NoModes), "{error}");
}
