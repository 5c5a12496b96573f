//! The settings with which a unit can use the GPU of each captured machine.

use std::sync::Arc;

use bij_jetson::{CapturedTree, Hardware};
use insta::assert_snapshot;

use crate::tree::{JETPACK_5, JETPACK_6, PC, captured};

fn settings(mut tree: CapturedTree) -> String {
    tree.set("etc/group", "root:x:0:\nvideo:x:44:\nrender:x:104:\n");
    let settings = Hardware::new(Arc::new(tree)).gpu_policy().unwrap().settings();
    settings.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_machine_gives_the_nodes_of_its_own_gpu() {
    assert_snapshot!(settings(captured(JETPACK_5)));
    assert_snapshot!(settings(captured(JETPACK_6)));
    assert_snapshot!(settings(captured(PC)));
}
