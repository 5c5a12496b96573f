//! Every captured board keeps the contract of the board port, read as root and as a user.

use std::sync::Arc;

use bij_jetson::{CapturedTree, Hardware};
use bij_sim::contract::board_contract;

use crate::tree::{ALL, captured};

#[test]
fn every_captured_board_keeps_the_contract() {
    for name in ALL {
        board_contract(&Hardware::new(Arc::new(captured(name))));
        board_contract(&Hardware::new(Arc::new(captured(name).as_user())));
    }
}

#[test]
fn a_machine_without_any_files_keeps_the_contract() {
    board_contract(&Hardware::new(Arc::new(CapturedTree::default())));
}

#[test]
fn this_machine_keeps_the_contract() {
    board_contract(&Hardware::open("/").unwrap());
}
