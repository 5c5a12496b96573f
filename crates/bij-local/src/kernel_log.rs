//! Finds the kernel's log line about a kill for memory.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;

/// Buffer for one record, in bytes; more than the kernel's `CONSOLE_EXT_LOG_MAX`.
const RECORD_MAX: usize = 16 * 1024;

/// Returns the newest line of the kernel's log about a kill in the cgroup called `name`.
///
/// `None` if there is none, or if the log may not be read (`kernel.dmesg_restrict`, sysctl(8)).
pub(crate) fn oom_line(kmsg: &Path, name: &str) -> Option<String> {
    let flags = OFlag::O_NONBLOCK.bits();
    let mut log = OpenOptions::new().read(true).custom_flags(flags).open(kmsg).ok()?;
    let mut record = vec![0; RECORD_MAX];
    let mut found = None;
    loop {
        match log.read(&mut record) {
            Ok(0) => return found,
            Ok(length) => {
                if let Some(line) =
                    parse_oom_line(&String::from_utf8_lossy(&record[..length]), name)
                {
                    found = Some(line);
                }
            }
            // EPIPE: records were overwritten before this read; the next read goes on.
            Err(error)
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {}
            // EAGAIN is the end of the log.
            Err(_) => return found,
        }
    }
}

/// Returns the text of a record, `priority,number,time,flags;text`, if it is an OOM kill in `name`.
fn parse_oom_line(record: &str, name: &str) -> Option<String> {
    let (_, text) = record.split_once(';')?;
    let line = text.lines().next()?;
    let names = line.split(',').filter_map(|field| field.split_once('='));
    let ours = names
        .filter(|(key, _)| matches!(*key, "oom_memcg" | "task_memcg"))
        .any(|(_, path)| path.rsplit('/').next() == Some(name));
    (ours && line.starts_with("oom-kill:")).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_about_the_cgroup_is_taken() {
        let line = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
             oom_memcg=/a/bij-x-1,task_memcg=/a/bij-x-1,task=perl,pid=4399,uid=0";
        let record = format!("6,2901,4689674328,-;{line}\n SUBSYSTEM=x\n");
        assert_eq!(parse_oom_line(&record, "bij-x-1").as_deref(), Some(line));
        assert_eq!(parse_oom_line(&record, "bij-x-10"), None);
        assert_eq!(
            parse_oom_line("6,1,1,-;task_memcg=/a/bij-x-1 in another record", "bij-x-1"),
            None
        );
        assert_eq!(parse_oom_line("no record", "bij-x-1"), None);
    }
}
