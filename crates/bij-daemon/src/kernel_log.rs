//! Where a generator's lines go: there is no journal yet when it first runs (systemd.generator(7)).

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;

/// The kernel takes no longer records (`PRINTK_MESSAGE_MAX` less its header).
const LONGEST: usize = 900;

/// Lines for people: to the kernel's log as root, else to standard error.
#[derive(Debug)]
pub struct KernelLog {
    program: &'static str,
    kmsg: Option<File>,
}

impl KernelLog {
    /// Opens the kernel's log at `kmsg`, usually `/dev/kmsg`; if that cannot be written, or none is
    /// wanted, lines go to standard error.
    pub fn open(program: &'static str, kmsg: Option<&Path>) -> Self {
        let flags = OFlag::O_NOCTTY.bits();
        let open = |path| OpenOptions::new().write(true).custom_flags(flags).open(path).ok();
        Self { program, kmsg: kmsg.and_then(open) }
    }

    /// Writes a warning of one or several lines; nobody is left to be told if that fails.
    pub fn warn(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let line: String = line.chars().filter(|c| !c.is_control()).collect();
            let mut record = format!("{}: {line}", self.program);
            while record.len() > LONGEST {
                record.pop();
            }
            let written = match &mut self.kmsg {
                // <4> is a warning of the facility "kernel"; 3 * 8 + 4 one of a daemon.
                Some(kmsg) => kmsg.write_all(format!("<28>{record}\n").as_bytes()),
                None => writeln!(std::io::stderr(), "{record}"),
            };
            drop(written);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_record_that_the_kernel_takes() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("kmsg");
        std::fs::write(&path, "").unwrap();
        let mut log = KernelLog::open("g", Some(&path));
        log.warn(&format!("one\x1b\n\n  two {}", "é".repeat(1000)));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "<28>g: one");
        assert!(lines[1].starts_with("<28>g:   two é") && lines[1].len() < 920, "{}", lines.len());
        assert_eq!(lines.len(), 2);
    }
}
