//! Numbers mean nothing, and nothing has to be there.

use std::collections::BTreeSet;

use bij_jetson::{BoardSample, CapturedTree};
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

use crate::told::told;
use crate::tree::{ALL, captured, sample};

/// Directories whose numbers the kernel gives in the order in which drivers come up.
const NUMBERED: [&str; 3] =
    ["sys/class/thermal/thermal_zone", "sys/class/thermal/cooling_device", "sys/class/hwmon/hwmon"];

/// The numbers that a tree has of one kind.
fn numbers(tree: &CapturedTree, prefix: &str) -> Vec<u32> {
    let rests = tree.paths().filter_map(|path| path.strip_prefix(prefix));
    let numbers: BTreeSet<u32> =
        rests.filter_map(|rest| rest.split('/').next()?.parse().ok()).collect();
    numbers.into_iter().collect()
}

/// The tree with its directories numbered anew, from some number on.
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

/// All temperatures, powers and counts that a sample gives, by their names.
fn values(board: &BoardSample) -> BTreeSet<String> {
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
    fn a_board_is_the_same_whatever_its_numbers(
        order in proptest::collection::vec(any::<Index>(), 20), from in 0u32..100,
    ) {
        for name in ALL {
            let tree = captured(name);
            let told_anew = told(&sample(renumbered(&tree, &order, from)));
            prop_assert_eq!(told_anew, told(&sample(tree)), "{}", name);
        }
    }

    #[test]
    fn what_is_missing_is_missing_and_nothing_else_changes_its_value(
        board in 0..ALL.len(), lost in subsequence((0..600).collect::<Vec<usize>>(), 0..200),
        order in proptest::collection::vec(any::<Index>(), 20),
    ) {
        let whole = captured(ALL[board]);
        // A sensor of hwmon that lost its label has another name, and is not what is judged here.
        let may_go = |path: &&str| !(path.contains("/temp") && path.ends_with("_label"));
        let paths: Vec<String> = whole.paths().filter(may_go).map(ToOwned::to_owned).collect();
        let mut tree = whole.clone();
        lost.iter().filter_map(|at| paths.get(*at)).for_each(|path| tree.remove(path));
        let (left, all) = (sample(renumbered(&tree, &order, 0)), sample(whole));
        let (left_values, values) = (values(&left), values(&all));
        let made_up: Vec<_> = left_values.difference(&values).collect();
        prop_assert!(made_up.is_empty(), "{made_up:?}");
        let rails = |board: &BoardSample| board.rails.iter().flatten().count();
        if left.total.is_ok() && rails(&left) == rails(&all) {
            prop_assert_eq!(left.total, all.total);
        }
    }

    #[test]
    fn no_content_is_a_reason_to_panic_or_for_an_impossible_number(
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
