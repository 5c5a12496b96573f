//! Each captured board reads as its SOURCES.md and its tables say.

use std::sync::Arc;

use bij_jetson::{Files as _, Hardware, PowerConf, Zone};
use insta::assert_snapshot;

use crate::render::render;
use crate::tree::{ALL, Board, JETPACK_5, JETPACK_6, JETSON_NANO, PC, XAVIER_NX, captured, sample};

#[test]
fn an_agx_orin_with_jetpack_5_as_root_sees_it() {
    assert_snapshot!(render(&sample(captured(JETPACK_5))));
}

#[test]
fn an_agx_orin_with_jetpack_5_as_a_user_sees_it() {
    assert_snapshot!(render(&sample(captured(JETPACK_5).as_user())));
}

#[test]
fn an_agx_orin_with_jetpack_6_as_root_sees_it() {
    assert_snapshot!(render(&sample(captured(JETPACK_6))));
}

#[test]
fn a_pc() {
    assert_snapshot!(render(&sample(captured(PC))));
}

#[test]
fn a_tree_on_disk_reads_as_in_memory() {
    for name in ALL {
        let board = Board::unpack(&captured(name));
        let on_disk = Hardware::below(board.path("")).sample();
        assert_eq!(render(&on_disk), render(&sample(captured(name))), "{name}");
    }
}

#[test]
fn a_fast_sample_has_the_values_of_a_whole_sample() {
    for name in ALL {
        for tree in [captured(name), captured(name).as_user()] {
            let fast = Hardware::new(Arc::new(tree.clone())).fast_sample();
            let whole = sample(tree);
            let bare = |zones: &[Zone]| -> Vec<_> {
                zones.iter().map(|zone| (zone.name.clone(), zone.celsius.clone())).collect()
            };
            assert_eq!(fast.zones.as_deref().map(bare), whole.zones.as_deref().map(bare));
            let throttled = whole.throttled();
            assert_eq!(
                fast.throttled.as_ref().map(|names| names.iter().map(String::as_str).collect()),
                throttled.as_ref().cloned(),
                "{name}"
            );
            assert_eq!((&fast.total, &fast.gpu), (&whole.total, &whole.gpu), "{name}");
            assert_eq!(fast.memory_available, whole.memory.available);
            let counts = whole.over_current.iter().flatten().map(|c| c.count.clone().unwrap());
            assert_eq!(fast.over_current.unwrap_or(0), counts.sum::<u64>(), "{name}");
        }
    }
}

#[test]
fn every_configuration_of_nvpmodel_is_written_as_it_was_read() {
    for name in [JETPACK_5, JETPACK_6, XAVIER_NX, JETSON_NANO] {
        let tree = captured(name);
        let text = String::from_utf8(tree.read("etc/nvpmodel.conf").unwrap()).unwrap();
        let conf = PowerConf::parse(&text);
        assert_eq!(conf.passed_over, []);
        assert_eq!(PowerConf::parse(&conf.to_string()), conf);
        // Nothing was skipped: except for blanks and comments it is the same text.
        let words = |text: &str| {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines.map(|line| line.replace(' ', "")).filter(|l| !l.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(words(&conf.to_string()), words(&text), "{name}");
        assert_eq!(PowerConf::read(&tree).as_ref(), Ok(&conf));
    }
}
