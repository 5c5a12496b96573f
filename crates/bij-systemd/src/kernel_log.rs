//! The kernel's log line about an OOM kill.
//!
//! The kernel writes one line per kill, with the victim's control group (`dump_oom_victim()` of its
//! `mm/oom_kill.c`):
//! `oom-kill:constraint=CONSTRAINT_MEMCG,…,oom_memcg=/brain.slice,task_memcg=/brain.slice/UNIT,task=…`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

use bij_core::MonotonicTime;
use nix::fcntl::OFlag;

use crate::UnitName;

/// Reads the kernel's ring buffer; `None` if this process may not.
pub(crate) fn read() -> Option<String> {
    let mut options = OpenOptions::new();
    // Without the flag, the read after the last record would block.
    let file = options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let mut file = file.open("/dev/kmsg").ok()?;
    let mut text = String::new();
    // Each read returns one record of at most 8 KiB.
    let mut record = vec![0; 8192];
    loop {
        match file.read(&mut record) {
            Ok(0) => return Some(text),
            Ok(length) => text.push_str(&String::from_utf8_lossy(&record[..length])),
            // EPIPE: records were overwritten before they were read; the next read continues behind them.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Some(text),
        }
    }
}

/// Returns the newest line about an OOM kill in this unit among records of `/dev/kmsg`:
/// `priority,sequence,microseconds since boot,flags;message` (Documentation/ABI/testing/dev-kmsg).
pub(crate) fn kill_line(
    buffer: &str,
    unit: &UnitName,
    since: Option<MonotonicTime>,
) -> Option<String> {
    let mut kills = buffer.lines().filter_map(|line| {
        let (prefix, message) = line.split_once(';')?;
        let at = prefix.split(',').nth(2)?.parse().ok().map(MonotonicTime::from_micros)?;
        (since.is_none_or(|since| at >= since) && names_unit(message, unit)).then_some(message)
    });
    kills.next_back().map(ToOwned::to_owned)
}

/// Returns `true` if a message is about an OOM kill in the control group of this unit, or below it.
pub(crate) fn names_unit(message: &str, unit: &UnitName) -> bool {
    let group = |field: &str| field.starts_with("task_memcg=") || field.starts_with("oom_memcg=");
    message.starts_with("oom-kill:")
        && message
            .split(',')
            .filter(|field| group(field))
            .any(|field| field.split('/').any(|part| part == unit.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
         oom_memcg=/brain.slice,task_memcg=/brain.slice/brain-experiment@x.service,task=python,pid=7,uid=0";

    #[test]
    fn the_newest_line_that_names_the_unit_is_found() {
        let id = UnitName::new("brain-experiment@x.service").unwrap();
        let buffer =
            format!("6,1,1000,-;other\n4,2,2000,-;{LINE}\n SUBSYSTEM=x\n4,3,3000,-;{LINE},2\n");
        assert_eq!(kill_line(&buffer, &id, None), Some(format!("{LINE},2")));
        assert_eq!(kill_line(&buffer, &id, Some(MonotonicTime::from_micros(3001))), None);
        let other = UnitName::new("brain-experiment@x.service.service").unwrap();
        assert_eq!(kill_line(&buffer, &other, None), None);
    }

    #[test]
    fn a_process_cannot_forge_evidence_by_its_name() {
        let id = UnitName::new("brain-experiment@x.service").unwrap();
        let forged = "oom-kill:constraint=CONSTRAINT_NONE,task_memcg=/a.slice,task=/brain-experiment@x.service,pid=1";
        assert!(names_unit(LINE, &id));
        assert!(!names_unit(forged, &id));
    }
}
