//! The boot and its clocks.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use bij_core::{BootId, MonotonicTime, TimeSpan, Uptime};
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

/// Returns the uptime of this machine; `None` if the kernel does not have the clock.
pub fn uptime() -> Option<Uptime> {
    since_boot(ClockId::CLOCK_BOOTTIME).map(|span| Uptime::BOOT + span)
}

/// Returns the time of this machine's monotonic clock; `None` if it cannot be read.
pub fn monotonic() -> Option<MonotonicTime> {
    since_boot(ClockId::CLOCK_MONOTONIC).map(|span| MonotonicTime::BOOT + span)
}

fn since_boot(clock: ClockId) -> Option<TimeSpan> {
    clock_gettime(clock).ok().map(|now| Duration::from(now).into())
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
        assert!(monotonic().unwrap().as_micros() <= uptime().unwrap().as_micros());
    }
}
