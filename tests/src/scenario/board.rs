//! A tree that the coordinator takes for the board.

use std::fs;
use std::path::Path;

use super::coordinator::COORDINATOR;
use crate::check::Failure;
use crate::command::sh;
use crate::guest::Next;
use crate::steps::write;

const DROP_IN: &str = "/run/systemd/system/brain-experiment-coordinator.service.d/50-board.conf";
/// What a scenario may write anew.
pub(super) const SETTINGS: &str = "/etc/brain-in-jar/coordinator.toml";

/// Has the next coordinator see this tree, and afterwards all as it was, without the tree. `more` is
/// what its unit needs besides.
pub(super) fn instead_of_board(
    tree: &str,
    more: &str,
    meanwhile: impl FnOnce() -> Result<Next, Failure>,
) -> Result<Next, Failure> {
    let settings = fs::read(SETTINGS)?;
    let program = "/usr/libexec/brain-in-jar/bijd";
    let text = format!("[Service]\nExecStart=\nExecStart={program} --board {tree}\n{more}");
    write(Path::new(DROP_IN), &text)?;
    let result = meanwhile();
    fs::write(SETTINGS, settings)?;
    sh(&format!(
        "systemctl stop 'brain-experiment@*.service' {COORDINATOR}
         rm -r {DROP_IN} {tree}
         systemctl daemon-reload && systemctl start {COORDINATOR}"
    ))?
    .success()?;
    result
}
