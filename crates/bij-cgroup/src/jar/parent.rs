//! Handing controllers down in version 2.
//!
//! A group's children have a controller only if the group names it in `cgroup.subtree_control`,
//! and a group that does so may hold no processes itself (cgroup-v2.rst, "No Internal Process
//! Constraint"; the real root is exempt).

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::{Controller, parse};

/// The group into which the caller moves itself when it is in the way.
const ASIDE: &str = "bij-supervisor";

/// Hands down whatever of `wanted` can be handed down from the group at `parent`.
///
/// What cannot is no error: limits that lack their controller are reported one by one.
pub(super) fn hand_down(parent: &Path, wanted: &[Controller]) {
    let list = |name| fs::read_to_string(parent.join(name)).unwrap_or_default();
    let has = |text: &str, controller: Controller| {
        text.split_whitespace().any(|word| word == controller.as_str())
    };
    let (available, handed_down) = (list("cgroup.controllers"), list("cgroup.subtree_control"));
    for controller in wanted.iter().copied() {
        if !has(&available, controller) || has(&handed_down, controller) {
            continue;
        }
        let order = format!("+{controller}");
        let control = parent.join("cgroup.subtree_control");
        let Err(error) = fs::write(&control, &order) else { continue };
        if error.kind() == ErrorKind::ResourceBusy && step_aside(parent) {
            // A second refusal shows where the limit is written.
            let _ = fs::write(&control, &order);
        }
    }
}

/// Moves the calling process into a group of its own below `parent`, if nobody else is in
/// `parent`: other people's processes are not ours to move.
fn step_aside(parent: &Path) -> bool {
    let Ok(text) = fs::read_to_string(parent.join("cgroup.procs")) else { return false };
    if !parse::processes(&text).eq([std::process::id()]) {
        return false;
    }
    let aside = parent.join(ASIDE);
    match fs::create_dir(&aside) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => false,
        _ => fs::write(aside.join("cgroup.procs"), "0").is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_there_and_not_yet_handed_down_is_ordered() {
        let dir = tempfile::tempdir().unwrap();
        let control = dir.path().join("cgroup.subtree_control");
        fs::write(dir.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
        fs::write(&control, "cpu\n").unwrap();
        hand_down(dir.path(), &[Controller::Cpu, Controller::Pids]);
        assert_eq!(fs::read_to_string(&control).unwrap(), "cpu\n");
        hand_down(dir.path(), &[Controller::Memory]);
        assert_eq!(fs::read_to_string(&control).unwrap(), "+memory");
    }

    #[test]
    fn nobody_steps_aside_for_somebody_else() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.procs"), format!("{}\n1\n", std::process::id())).unwrap();
        assert!(!step_aside(dir.path()));
        assert!(!dir.path().join(ASIDE).exists());
        fs::write(dir.path().join("cgroup.procs"), format!("{}\n", std::process::id())).unwrap();
        assert!(step_aside(dir.path()));
        assert_eq!(fs::read_to_string(dir.path().join(ASIDE).join("cgroup.procs")).unwrap(), "0");
    }
}
