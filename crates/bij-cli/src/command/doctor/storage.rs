//! Checks of what outlives a boot: file systems, the journal, the database.

use std::path::Path;

use bij_core::Bytes;
use bij_core::port::LedgerError;
use nix::errno::Errno;
use nix::sys::statvfs::{FsFlags, Statvfs, statvfs};

use super::Check;
use crate::context::Context;

/// Free space below which records may be lost soon.
const ENOUGH: Bytes = Bytes::new(256 << 20);
/// Free space below which checkpoints may not fit.
const COMFORTABLE: Bytes = Bytes::new(2 << 30);

/// Checks where experiments keep their state and records.
pub(super) fn checks(context: &Context) -> Vec<Check> {
    let layout = &context.layout;
    let mut checks = Vec::new();
    for path in [layout.state(), layout.runtime(), layout.logs()] {
        checks.extend(file_system(path, statvfs(path)));
    }
    if layout.is_system() {
        checks.push(journal(&context.root));
    }
    checks.push(database(&layout.database(), context.ledger().faults()));
    checks
}

/// Checks the file system of a directory; `None` if the directory is not made yet.
fn file_system(path: &Path, found: Result<Statvfs, Errno>) -> Option<Check> {
    const NAME: &str = "space";
    let shown = path.display();
    let found = match found {
        Ok(found) => found,
        Err(Errno::ENOENT) => return None,
        Err(error) => {
            let remedy = format!("ls -ld {shown}");
            return Some(Check::failure(NAME, format!("{shown} cannot be read: {error}"), remedy));
        }
    };
    let free = Bytes::new(found.blocks_available().saturating_mul(found.fragment_size()));
    Some(if found.flags().contains(FsFlags::ST_RDONLY) {
        Check::failure(
            NAME,
            format!("{shown} is read-only"),
            format!(
                "sudo mount -o remount,rw $(findmnt -no TARGET -T {shown}); dmesg says why it is"
            ),
        )
    } else if found.files() > 0 && found.files_available() < 1000 {
        Check::failure(
            NAME,
            format!("{shown} has room for {} more files", found.files_available()),
            format!("df -i {shown}; remove files"),
        )
    } else if free < ENOUGH {
        Check::failure(
            NAME,
            format!("{shown} has {free} left"),
            format!("df -h {shown}; remove files"),
        )
    } else if free < COMFORTABLE && !path.starts_with("/run") {
        let message = format!("{shown} has {free} left, which checkpoints may not fit into");
        Check::warning(NAME, message, format!("df -h {shown}; remove files"))
    } else {
        Check::ok(NAME, format!("{shown} has {free} left"))
    })
}

fn journal(root: &Path) -> Check {
    const NAME: &str = "journal";
    if root.join("var/log/journal").is_dir() {
        return Check::ok(NAME, "kept over reboots");
    }
    Check::warning(
        NAME,
        "the output of experiments is lost at a reboot: the journal is in memory only",
        "sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald",
    )
}

fn database(path: &Path, faults: Result<Vec<String>, LedgerError>) -> Check {
    const NAME: &str = "database";
    let shown = path.display();
    match faults {
        _ if !path.exists() => Check::ok(NAME, "no experiment has run yet"),
        Ok(faults) if faults.is_empty() => Check::ok(NAME, format!("{shown} is sound")),
        Ok(faults) => Check::failure(
            NAME,
            format!("{shown} is damaged: {}", faults.join("; ")),
            format!(
                "sudo systemctl stop brain-experiment-coordinator; sudo mv {shown} {shown}.damaged; \
                 sudo systemctl start brain-experiment-coordinator"
            ),
        ),
        Err(error) => {
            let text = bij_core::error_chain(&error);
            Check::warning(NAME, format!("{shown} was not checked: {text}"), "sudo bij doctor")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_directory_that_is_not_made_yet_is_no_fault() {
        let missing = Path::new("/nonexistent/brain");
        assert_eq!(file_system(missing, statvfs(missing)), None);
        let denied = file_system(missing, Err(Errno::EACCES)).unwrap();
        assert_eq!(denied.verdict, Verdict::Failure);
        assert!(file_system(Path::new("/proc"), statvfs("/proc")).is_some());
    }

    #[test]
    fn a_damaged_database_is_a_failure_and_a_closed_one_a_warning() {
        let path = Path::new("/");
        assert_eq!(database(path, Ok(Vec::new())).verdict, Verdict::Ok);
        let damaged = database(path, Ok(vec!["page 3".to_owned()]));
        assert_eq!(damaged.verdict, Verdict::Failure);
        assert!(damaged.message.contains("page 3"));
    }
}
