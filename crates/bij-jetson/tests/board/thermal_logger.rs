//! The example of a thermal logger, on every captured board.

use insta::assert_snapshot;

use crate::tree::{ALL, Board, captured};

#[path = "../../examples/thermal_logger.rs"]
#[expect(dead_code, reason = "a test calls `run` and not `main`")]
mod example;

fn log(root: std::path::PathBuf) -> Result<String, String> {
    let mut out = Vec::new();
    let logged = example::run([root.into(), "--once".into()], &mut out);
    logged.map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn every_captured_board_is_logged() {
    let log = |name: &str| {
        let board = Board::unpack(&captured(name));
        format!("{name}\n{}", log(board.path("")).unwrap())
    };
    assert_snapshot!(ALL.map(log).join("\n"));
}

#[test]
fn a_root_without_a_machine_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let error = log(directory.path().to_owned()).unwrap_err();
    assert!(error.contains("is not the root of a machine"), "{error}");
}
