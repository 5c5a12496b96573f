//! An AGX Thor, whose GPU does not use nvmap.

use bij_jetson::WhyNot;

use crate::tree::{AGX_THOR, captured, sample};

#[test]
fn a_table_of_zeros_is_no_measurement() {
    let board = sample(captured(AGX_THOR));
    assert!(matches!(board.memory.gpu_by_pid, Err(WhyNot::Unmeasured(_))), "{:?}", board.memory);
    assert_eq!(board.gpu.unwrap().name, "gpu-gpc-0");
}
