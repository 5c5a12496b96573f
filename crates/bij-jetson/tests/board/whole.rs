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
        let on_disk = board.machine().sample();
        assert_eq!(render(&on_disk), render(&sample(captured(name))), "{name}");
    }
}

#[test]
fn a_quick_sample_has_the_values_of_a_whole_sample() {
    for name in ALL {
        for tree in [captured(name), captured(name).as_user()] {
            let quick = Hardware::new(Arc::new(tree.clone())).quick_sample();
            let whole = sample(tree);
            let bare = |zones: &[Zone]| -> Vec<_> {
                zones.iter().map(|zone| (zone.name.clone(), zone.celsius.clone())).collect()
            };
            assert_eq!(quick.zones.as_deref().map(bare), whole.zones.as_deref().map(bare));
            let throttled = whole.throttled();
            assert_eq!(
                quick.throttled.as_ref().map(|names| names.iter().map(String::as_str).collect()),
                throttled.as_ref().cloned(),
                "{name}"
            );
            assert_eq!((&quick.total, &quick.gpu), (&whole.total, &whole.gpu), "{name}");
            assert_eq!(quick.rails, whole.rails, "{name}");
            assert_eq!(quick.memory_available, whole.memory.available);
            let counts = whole.over_current.iter().flatten().map(|c| c.count.clone().unwrap());
            assert_eq!(quick.over_current.unwrap_or(0), counts.sum::<u64>(), "{name}");
        }
    }
}

#[test]
fn each_part_alone_reads_as_in_a_whole_sample() {
    for name in ALL {
        let machine = Hardware::new(Arc::new(captured(name)));
        let whole = machine.sample();
        assert_eq!((machine.identity(), machine.fan()), (whole.identity, whole.fan), "{name}");
        assert_eq!((machine.zones(), machine.sensors()), (whole.zones, whole.sensors), "{name}");
        assert_eq!(machine.cooling(), whole.cooling, "{name}");
        assert_eq!(machine.over_current(), whole.over_current, "{name}");
        assert_eq!((machine.rails(), machine.energy()), (whole.rails, whole.energy), "{name}");
        assert_eq!((machine.gpu(), machine.cpus()), (whole.gpu, whole.cpus), "{name}");
        assert_eq!(machine.gpu_memory(), whole.memory.gpu_by_pid.clone(), "{name}");
        assert_eq!((machine.memory(), machine.emc()), (whole.memory, whole.emc), "{name}");
        assert_eq!(machine.power_modes(), whole.power, "{name}");
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
        assert_eq!(Board::unpack(&tree).nvpmodel().conf().as_ref(), Ok(&conf));
    }
}
