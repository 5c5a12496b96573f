//! Arguments of journalctl.

use bij_core::Timestamp;

/// Options of every query. Neither `--system` nor `--user` is among them: lines of a unit with `User=` are in that
/// user's journal, and those of root's user manager in the system's.
pub(crate) fn options() -> Vec<String> {
    ["-o", "json", "--all", "--quiet", "--no-pager"].map(ToOwned::to_owned).to_vec()
}

/// Returns the journalctl arguments for the kernel's lines of this boot.
pub(crate) fn kernel_arguments() -> Vec<String> {
    let mut arguments = options();
    arguments.extend(["--boot", "_TRANSPORT=kernel"].map(ToOwned::to_owned));
    arguments
}

/// Formats a time for systemd.time(7): seconds since the epoch, with a fraction.
pub(crate) fn format_time(at: Timestamp) -> String {
    let micros = at.as_micros().max(0);
    format!("@{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
