//! Each captured board as its SOURCES.md and its tables say.

use bij_jetson::{Files as _, Machine, PowerConf};
use insta::assert_snapshot;

use crate::told::told;
use crate::tree::{ALL, Board, JETPACK_5, JETPACK_6, PC, captured, sample};

#[test]
fn an_agx_orin_with_jetpack_5_as_root_sees_it() {
    assert_snapshot!(told(&sample(captured(JETPACK_5))));
}

#[test]
fn an_agx_orin_with_jetpack_5_as_a_user_sees_it() {
    assert_snapshot!(told(&sample(captured(JETPACK_5).as_user())));
}

#[test]
fn an_agx_orin_with_jetpack_6_as_root_sees_it() {
    assert_snapshot!(told(&sample(captured(JETPACK_6))));
}

#[test]
fn a_pc() {
    assert_snapshot!(told(&sample(captured(PC))));
}

#[test]
fn a_tree_on_the_disk_reads_as_in_memory() {
    for name in ALL {
        let board = Board::unpack(&captured(name));
        let on_disk = Machine::below(board.path("")).sample();
        assert_eq!(told(&on_disk), told(&sample(captured(name))), "{name}");
    }
}

#[test]
fn every_configuration_of_nvpmodel_is_written_as_it_was_read() {
    for name in [JETPACK_5, JETPACK_6] {
        let tree = captured(name);
        let text = String::from_utf8(tree.read("etc/nvpmodel.conf").unwrap()).unwrap();
        let conf = PowerConf::parse(&text).unwrap();
        assert_eq!(PowerConf::parse(&conf.to_string()).as_ref(), Ok(&conf));
        // And nothing of it was passed over: but for blanks and comments it is the same text.
        let words = |text: &str| {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines.map(|line| line.replace(' ', "")).filter(|l| !l.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(words(&conf.to_string()), words(&text), "{name}");
        assert_eq!(PowerConf::read(&tree).as_ref(), Ok(&conf));
    }
}
