//! Reads boards whose files have hostile content: every reading is a value or a reason.

use std::path::Path;

use bij_fuzz::{FuzzTarget, assert_harmless};

use crate::capture::CapturedTree;
use crate::{EnergyCounter, HardwareReading, PowerConf, QuickSample};

fn tree(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees").join(name)
}

#[test]
fn fuzz_nvpmodel() {
    let trees =
        ["agx-orin-jp5", "agx-orin-jp6"].map(|name| tree(name).join("files/etc/nvpmodel.conf"));
    FuzzTarget::new("nvpmodel", env!("CARGO_MANIFEST_DIR"))
        .also(trees.map(|path| std::fs::read(path).unwrap()))
        .tokens(&[
            "< POWER_MODEL ID=",
            " NAME=MAXN >\n",
            "< PARAM TYPE=FILE NAME=X >\n",
            "ID=4294967296",
            "-1",
        ])
        .run(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            let conf = PowerConf::parse(&text);
            let lines = text.lines().count();
            for passed_over in &conf.passed_over {
                assert!((1..=lines).contains(&passed_over.line), "{passed_over} of {lines}");
                assert_harmless(&passed_over.to_string());
            }
            for mode in &conf.modes {
                assert_eq!(conf.mode(mode.id).map(|found| found.id), Some(mode.id));
            }
        });
}

/// Replaces files of the tree by the lines of the input: each line becomes the content of an existing file, or of a
/// new file beside it that is named after the line.
fn hostile(board: &CapturedTree, input: &[u8]) -> CapturedTree {
    let mut hostile = board.clone();
    let paths: Vec<&str> = board.paths().collect();
    for (number, line) in input.split(|byte| *byte == b'\n').enumerate().take(60) {
        let hash =
            line.iter().fold(number * 31, |hash, byte| hash * 33 % 65_521 + usize::from(*byte));
        let path = paths[hash % paths.len()];
        if hash % 5 == 0 {
            let name = String::from_utf8_lossy(line).replace(['/', '\0'], "_");
            let (directory, _) = path.rsplit_once('/').unwrap_or((path, ""));
            let name: String = name.chars().take(40).collect();
            hostile.set(&format!("{directory}/{name}x"), line);
        } else {
            hostile.set(path, line);
        }
    }
    hostile
}

#[test]
fn fuzz_board() {
    let tree = CapturedTree::load(tree("agx-orin-jp6")).unwrap();
    FuzzTarget::new("board", env!("CARGO_MANIFEST_DIR"))
        .also([tree.paths().flat_map(|path| [path.as_bytes(), b"\n"].concat()).collect()])
        .tokens(&[
            "thermal_zone",
            "hwmon",
            "cpu0",
            "in1_label",
            "-273000",
            "0-4294967295",
            "1,,2",
            "kB",
        ])
        .run(|bytes| {
            let board = hostile(&tree, bytes);
            let sample = HardwareReading::read(&board);
            assert!(!format!("{sample:?}").is_empty());
            let _ = QuickSample::read(&board);
            let _ = EnergyCounter::all(&board);
        });
}
