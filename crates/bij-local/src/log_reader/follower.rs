//! Follows log files while they grow.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use bij_core::ExperimentId;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::{LogError, LogQuery, merge};
use crate::log_file::{LogLine, log_path};

/// Returns lines as they are written, across rotation and also of experiments that start later.
#[derive(Debug)]
pub struct LogFollower {
    logs: PathBuf,
    query: LogQuery,
    inotify: Inotify,
    files: BTreeMap<ExperimentId, FileTail>,
}

/// An open log file and the incomplete line read from its end.
#[derive(Debug)]
struct FileTail {
    file: File,
    inode: u64,
    partial: Vec<u8>,
}

impl LogFollower {
    pub(super) fn start(logs: PathBuf, query: LogQuery) -> Result<Self, LogError> {
        let failed = |source| LogError { path: logs.clone(), source };
        // The directory may not exist before the first line of the first experiment.
        std::fs::create_dir_all(&logs).map_err(failed)?;
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK);
        let inotify = inotify.map_err(|errno| failed(errno.into()))?;
        let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVE;
        inotify.add_watch(&logs, flags).map_err(|errno| failed(errno.into()))?;
        let mut follower = Self { logs, query, inotify, files: BTreeMap::new() };
        for id in follower.ids()? {
            if let Some(mut tail) = follower.open(&id)? {
                let path = log_path(&follower.logs, &id);
                let end = tail.file.seek(SeekFrom::End(0));
                end.map_err(|source| LogError { path, source })?;
                follower.files.insert(id, tail);
            }
        }
        Ok(follower)
    }

    /// Waits up to `timeout` for new lines and returns them by time. Returns none after the time-out or
    /// a signal.
    ///
    /// # Errors
    /// [`LogError`] if a file cannot be read.
    pub fn next_lines(&mut self, timeout: Duration) -> Result<Vec<LogLine>, LogError> {
        let lines = self.new_lines()?;
        if !lines.is_empty() {
            return Ok(lines);
        }
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut watched = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        match poll(&mut watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(self.failed(errno.into())),
        }
        match self.inotify.read_events() {
            // Which file changed does not matter: all are read, and there are few.
            Ok(_) | Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(self.failed(errno.into())),
        }
        self.new_lines()
    }

    fn new_lines(&mut self) -> Result<Vec<LogLine>, LogError> {
        let mut all = Vec::new();
        for id in self.ids()? {
            let mut lines = std::collections::VecDeque::new();
            // First the last lines of a file that was rotated meanwhile.
            self.read_on(&id, &mut lines)?;
            if let Some(fresh) = self.open(&id)? {
                let known = self.files.get(&id).map(|tail| tail.inode);
                if known != Some(fresh.inode) {
                    self.files.insert(id.clone(), fresh);
                    self.read_on(&id, &mut lines)?;
                }
            }
            lines.retain(|line| self.query.matches(line));
            all.push(lines);
        }
        Ok(merge(all))
    }

    fn read_on(
        &mut self,
        id: &ExperimentId,
        lines: &mut std::collections::VecDeque<LogLine>,
    ) -> Result<(), LogError> {
        let Some(tail) = self.files.get_mut(id) else { return Ok(()) };
        let path = log_path(&self.logs, id);
        let read = tail.file.read_to_end(&mut tail.partial);
        read.map_err(|source| LogError { path, source })?;
        let whole = tail.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let rest = tail.partial.split_off(whole);
        for line in String::from_utf8_lossy(&tail.partial).split_terminator('\n') {
            lines.extend(LogLine::parse(id, line));
        }
        tail.partial = rest;
        Ok(())
    }

    fn open(&self, id: &ExperimentId) -> Result<Option<FileTail>, LogError> {
        let path = log_path(&self.logs, id);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.ino(), file)));
        match opened {
            Ok((inode, file)) => Ok(Some(FileTail { file, inode, partial: Vec::new() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LogError { path, source }),
        }
    }

    fn ids(&self) -> Result<Vec<ExperimentId>, LogError> {
        super::LogReader { logs: self.logs.clone() }.ids(&self.query)
    }

    fn failed(&self, source: io::Error) -> LogError {
        LogError { path: self.logs.clone(), source }
    }
}
