//! `bij board` over a captured tree on the disk.

use std::path::Path;

use bij_jetson::CapturedTree;

use super::bij::Bij;

#[test]
fn a_captured_board_is_shown_as_text_and_as_json() {
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bij-jetson/tests/trees");
    let bij = Bij::new();
    CapturedTree::load(&trees.join("agx-orin-jp6")).unwrap().unpack(&bij.path("")).unwrap();
    let before = bij.listing();
    let said = bij.call(&["board"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.starts_with("NVIDIA Jetson AGX Orin Developer Kit\n"), "{said:?}");
    let board = bij.call(&["--json", "board"]).json();
    assert_eq!(board["total_milliwatts"], 8918);
    assert_eq!(board["power_mode"]["name"], "MODE_30W");
    assert_eq!(board["zones"][4]["name"], "gpu");
    assert_eq!(board["zones"][4]["why"], "off");
    assert_eq!(bij.listing(), before, "looking leaves nothing behind");
}

#[test]
fn a_machine_of_which_nothing_is_known_is_no_error() {
    let said = Bij::new().call(&["--json", "board"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.json()["why"]["model"], "absent");
}
