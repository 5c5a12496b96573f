//! The boot and its clocks.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use bij_core::{BootId, TimeSpan};
use nix::time::{ClockId, clock_gettime};

/// The kernel's file with the id of the boot (`random(4)`), below the root of a tree.
const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";

/// Returns the id of the boot of the tree below `root`; `/` is this machine.
///
/// # Errors
/// The error of the system; a file without a valid id is [`io::ErrorKind::InvalidData`].
pub fn boot_id(root: &Path) -> io::Result<BootId> {
    let text = fs::read_to_string(root.join(BOOT_ID))?;
    text.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Returns the time since the boot, including suspends (`CLOCK_BOOTTIME`, `clock_gettime(2)`), which cannot be set.
/// `None` if the kernel does not have the clock.
pub fn uptime() -> Option<TimeSpan> {
    clock(ClockId::CLOCK_BOOTTIME)
}

/// Returns the time since the boot, without suspends (`CLOCK_MONOTONIC`), the clock of systemd and of the kernel's
/// log.
pub fn monotonic() -> Option<TimeSpan> {
    clock(ClockId::CLOCK_MONOTONIC)
}

fn clock(clock: ClockId) -> Option<TimeSpan> {
    let now = Duration::from(clock_gettime(clock).ok()?);
    u64::try_from(now.as_micros()).ok().map(TimeSpan::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_id_is_that_of_the_tree() {
        let tree = tempfile::tempdir().unwrap();
        assert_eq!(boot_id(tree.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
        let path = tree.path().join(BOOT_ID);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "0f2a1d5c-9a1e-4b39-8a44-d2e0fbc7a111\n").unwrap();
        assert_eq!(boot_id(tree.path()).unwrap().to_string(), "0f2a1d5c9a1e4b398a44d2e0fbc7a111");
        fs::write(&path, "no id\n").unwrap();
        assert_eq!(boot_id(tree.path()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn the_clocks_of_the_boot_do_not_go_back() {
        assert!(uptime().unwrap() <= uptime().unwrap());
        assert!(monotonic().unwrap() <= uptime().unwrap());
    }
}
