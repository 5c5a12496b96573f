//! Properties of renumbered boards and of boards with missing or odd files.

use std::collections::BTreeSet;

use bij_jetson::{CapturedTree, HardwareReading};
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

use crate::render::render;
use crate::tree::{ALL, captured, sample};

/// Directories that the kernel numbers in the order in which drivers are loaded.
const NUMBERED: [&str; 3] =
    ["sys/class/thermal/thermal_zone", "sys/class/thermal/cooling_device", "sys/class/hwmon/hwmon"];

/// Returns the numbers of a tree's directories of one kind.
fn numbers(tree: &CapturedTree, prefix: &str) -> Vec<u32> {
    let rests = tree.paths().filter_map(|path| path.strip_prefix(prefix));
    let numbers: BTreeSet<u32> =
        rests.filter_map(|rest| rest.split('/').next()?.parse().ok()).collect();
    numbers.into_iter().collect()
}

/// Returns the tree with its directories renumbered, beginning with `from`.
fn renumbered(tree: &CapturedTree, order: &[Index], from: u32) -> CapturedTree {
    let mut tree = tree.clone();
    for prefix in NUMBERED {
        let mut left = numbers(&tree, prefix);
        let mut moves = Vec::new();
        for (number, index) in (from..).zip(order) {
            if left.is_empty() {
                break;
            }
            let old = left.remove(index.index(left.len()));
            moves.push((format!("{prefix}{old}"), format!("{prefix}{number}")));
        }
        assert!(left.is_empty(), "more directories than places in the order");
        tree.rename(&moves);
    }
    tree
}

/// Returns all temperatures, powers and counts of a sample with their names.
fn values(board: &HardwareReading) -> BTreeSet<String> {
    let zones = board.zones.iter().chain(&board.sensors).flatten();
    let rails = board.rails.iter().flatten();
    let counters = board.over_current.iter().flatten();
    let zones = zones.filter_map(|z| Some(format!("{} {:?}", z.name, z.celsius.as_ref().ok()?)));
    let rails = rails.filter_map(|r| Some(format!("{} {:?}", r.name, r.milliwatts.as_ref().ok()?)));
    let counters =
        counters.filter_map(|c| Some(format!("{} {:?}", c.name, c.count.as_ref().ok()?)));
    zones.chain(rails).chain(counters).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn renumbering_changes_no_reading(
        order in proptest::collection::vec(any::<Index>(), 20), from in 0u32..100,
    ) {
        for name in ALL {
            let tree = captured(name);
            let renumbered_text = render(&sample(renumbered(&tree, &order, from)));
            prop_assert_eq!(renumbered_text, render(&sample(tree)), "{}", name);
        }
    }

    #[test]
    fn missing_files_change_no_other_reading(
        board in 0..ALL.len(), lost in subsequence((0..600).collect::<Vec<usize>>(), 0..200),
        order in proptest::collection::vec(any::<Index>(), 20),
    ) {
        let whole = captured(ALL[board]);
        // Labels stay, because a sensor of hwmon without its label has another name.
        let may_go = |path: &&str| !(path.contains("/temp") && path.ends_with("_label"));
        let paths: Vec<String> = whole.paths().filter(may_go).map(ToOwned::to_owned).collect();
        let mut tree = whole.clone();
        lost.iter().filter_map(|at| paths.get(*at)).for_each(|path| tree.remove(path));
        let (left, all) = (sample(renumbered(&tree, &order, 0)), sample(whole));
        let (left_values, values) = (values(&left), values(&all));
        let made_up: Vec<_> = left_values.difference(&values).collect();
        prop_assert!(made_up.is_empty(), "{made_up:?}");
        let rails = |board: &HardwareReading| board.rails.iter().flatten().count();
        if left.total.is_ok() && rails(&left) == rails(&all) {
            prop_assert_eq!(left.total, all.total);
        }
    }

    #[test]
    fn odd_content_causes_no_panic_and_no_implausible_value(
        board in 0..ALL.len(), at in proptest::collection::vec(any::<Index>(), 1..40),
        content in proptest::collection::vec(
            prop_oneof!["-?[0-9]{1,20}", "[ -~]{0,12}", Just("-256000".to_owned()),
                Just("\0".to_owned()), Just(String::new()), Just("9223372036854775807".to_owned())],
            40),
    ) {
        let mut tree = captured(ALL[board]);
        let paths: Vec<String> = tree.paths().map(ToOwned::to_owned).collect();
        for (index, content) in at.iter().zip(content) {
            tree.set(&paths[index.index(paths.len())], content);
        }
        let board = sample(tree);
        for zone in board.zones.iter().chain(&board.sensors).flatten() {
            if let Ok(celsius) = &zone.celsius {
                prop_assert!((-100.0..250.0).contains(&celsius.degrees()), "{zone:?}");
            }
        }
        if let Ok(load) = board.gpu.and_then(|gpu| gpu.load) {
            prop_assert!(load <= bij_core::Percent::HUNDRED);
        }
    }
}
