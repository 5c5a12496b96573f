//! The kernel's own line about a kill for memory.
//!
//! It is written once for every kill and names the victim's control group (`dump_oom_victim()` of
//! the kernel's `mm/oom_kill.c`):
//! `oom-kill:constraint=CONSTRAINT_MEMCG,…,oom_memcg=/brain.slice,task_memcg=/brain.slice/UNIT,task=…`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

use bij_core::{ExperimentId, TimeSpan};
use nix::fcntl::OFlag;

/// Arguments to read this boot's lines of the kernel.
pub(super) fn arguments() -> Vec<String> {
    let words = ["-o", "json", "--quiet", "--no-pager", "--boot", "_TRANSPORT=kernel"];
    words.map(ToOwned::to_owned).to_vec()
}

/// Everything in the kernel's ring buffer, if this process may read it.
pub(super) fn buffer() -> Option<String> {
    let mut options = OpenOptions::new();
    // Without the flag the last read would wait for the next message.
    let file = options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let mut file = file.open("/dev/kmsg").ok()?;
    let mut text = String::new();
    // One read gives one record; the kernel's longest has 8 KiB.
    let mut record = vec![0; 8192];
    loop {
        match file.read(&mut record) {
            Ok(0) => return Some(text),
            Ok(length) => text.push_str(&String::from_utf8_lossy(&record[..length])),
            // EPIPE: records were overwritten before they were read; it goes on behind them.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Some(text),
        }
    }
}

/// The newest line about a kill in this experiment's unit among records of `/dev/kmsg`:
/// `priority,sequence,microseconds since boot,flags;message` (Documentation/ABI/testing/dev-kmsg).
pub(super) fn kill_line(
    buffer: &str,
    id: &ExperimentId,
    since: Option<TimeSpan>,
) -> Option<String> {
    let mut told = buffer.lines().filter_map(|line| {
        let (prefix, message) = line.split_once(';')?;
        let micros = prefix.split(',').nth(2)?.parse().ok().map(TimeSpan::from_micros)?;
        (since.is_none_or(|since| micros >= since) && names(message, id)).then_some(message)
    });
    told.next_back().map(ToOwned::to_owned)
}

/// Whether a message tells of a kill in the group of this experiment's unit or one below it.
pub(super) fn names(message: &str, id: &ExperimentId) -> bool {
    let unit = id.unit_name();
    let group = |field: &str| field.starts_with("task_memcg=") || field.starts_with("oom_memcg=");
    message.starts_with("oom-kill:")
        && message
            .split(',')
            .filter(|field| group(field))
            .any(|field| field.split('/').any(|part| part == unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
         oom_memcg=/brain.slice,task_memcg=/brain.slice/brain-experiment@x.service,task=python,pid=7,uid=0";

    #[test]
    fn the_newest_line_that_names_the_unit_is_found() {
        let id = ExperimentId::new("x").unwrap();
        let buffer =
            format!("6,1,1000,-;other\n4,2,2000,-;{LINE}\n SUBSYSTEM=x\n4,3,3000,-;{LINE},2\n");
        assert_eq!(kill_line(&buffer, &id, None), Some(format!("{LINE},2")));
        assert_eq!(kill_line(&buffer, &id, Some(TimeSpan::from_micros(3001))), None);
        let other = ExperimentId::new("x.service").unwrap();
        assert_eq!(kill_line(&buffer, &other, None), None);
    }

    #[test]
    fn a_process_cannot_name_itself_into_the_evidence() {
        let id = ExperimentId::new("x").unwrap();
        let forged = "oom-kill:constraint=CONSTRAINT_NONE,task_memcg=/a.slice,task=/brain-experiment@x.service,pid=1";
        assert!(names(LINE, &id));
        assert!(!names(forged, &id));
    }
}
