//! What can be seen through /proc.

use std::fs;
use std::path::{Path, PathBuf};

/// One look. What the sandbox hides is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Processes in sight, itself among them.
    pub(crate) processes: Option<u64>,
    /// How often the kernel took the processor away from it.
    pub(crate) interruptions: Option<u64>,
    /// Memory of its own, in bytes.
    pub(crate) resident: Option<u64>,
    /// The process that traces it, if one does (ptrace(2)).
    pub(crate) tracer: Option<u64>,
}

/// Looks at a proc(5) file system.
#[derive(Debug)]
pub(crate) struct Eye {
    proc: PathBuf,
}

impl Eye {
    /// Opens it on `proc`, which is `/proc` outside of tests.
    pub(crate) fn on(proc: impl Into<PathBuf>) -> Self {
        Self { proc: proc.into() }
    }

    pub(crate) fn look(&self) -> Sight {
        let status = fs::read_to_string(self.proc.join("self/status")).unwrap_or_default();
        Sight {
            processes: count_processes(&self.proc),
            interruptions: field(&status, "nonvoluntary_ctxt_switches:"),
            resident: field(&status, "VmRSS:").and_then(|kibibytes| kibibytes.checked_mul(1024)),
            tracer: field(&status, "TracerPid:").filter(|pid| *pid != 0),
        }
    }
}

fn count_processes(proc: &Path) -> Option<u64> {
    let is_process = |name: &std::ffi::OsStr| {
        name.to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let entries = fs::read_dir(proc).ok()?.flatten();
    Some(entries.filter(|entry| is_process(&entry.file_name())).count() as u64)
}

/// The number in a line such as `VmRSS:     1234 kB`.
fn field(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captured_proc_is_seen_as_it_was() {
        let proc = tempfile::tempdir().unwrap();
        for entry in ["1", "42", "self", "sys", "4x"] {
            fs::create_dir(proc.path().join(entry)).unwrap();
        }
        let status = "Name:\tx\nTracerPid:\t7\nVmRSS:\t    2048 kB\n\
                      voluntary_ctxt_switches:\t9\nnonvoluntary_ctxt_switches:\t3\n";
        fs::write(proc.path().join("self/status"), status).unwrap();
        let sight = Eye::on(proc.path()).look();
        assert_eq!(sight.processes, Some(2));
        assert_eq!(sight.interruptions, Some(3));
        assert_eq!(sight.resident, Some(2 << 20));
        assert_eq!(sight.tracer, Some(7));
    }

    #[test]
    fn in_the_dark_it_sees_nothing_and_does_not_mind() {
        let nowhere = tempfile::tempdir().unwrap();
        assert_eq!(Eye::on(nowhere.path().join("no")).look(), Sight::default());
    }

    #[test]
    fn the_real_one_shows_itself() {
        let sight = Eye::on("/proc").look();
        assert!(sight.processes.unwrap() >= 1 && sight.resident.unwrap() > 0, "{sight:?}");
    }
}
