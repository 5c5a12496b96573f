//! Log files are written by one thread, so that a slow disk holds up only those who print.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use bij_core::ExperimentId;
use tokio::sync::{mpsc, oneshot};

use crate::log_line::LogLine;

/// Lines under way to the disk before those who print have to wait.
const QUEUE: usize = 1024;

/// Size at which a file becomes `<id>.log.1`, in bytes.
pub(crate) const ROTATE_AT: u64 = 64 << 20;

/// What experiments print is their owner's and his group's business.
const MODE: u32 = 0o640;

/// The file of an experiment's log.
pub(crate) fn path_of(logs: &Path, id: &ExperimentId) -> PathBuf {
    logs.join(format!("{id}.log"))
}

/// The file before it.
pub(crate) fn rotated_path_of(logs: &Path, id: &ExperimentId) -> PathBuf {
    logs.join(format!("{id}.log.1"))
}

#[derive(Debug)]
enum Entry {
    Line(LogLine),
    /// Answered when everything before it has been written, with what went wrong since the last.
    Flush(ExperimentId, oneshot::Sender<Option<io::Error>>),
}

/// Writes log files.
#[derive(Clone, Debug)]
pub(crate) struct LogWriter {
    queue: mpsc::Sender<Entry>,
}

impl LogWriter {
    /// Starts the thread; it ends with the last clone of this, everything written.
    pub(crate) fn start(logs: PathBuf, rotate_at: u64) -> io::Result<Self> {
        let (queue, mut inbox) = mpsc::channel(QUEUE);
        let mut files = Files { logs, rotate_at, open: BTreeMap::new() };
        thread::Builder::new().name("bij-log".to_owned()).spawn(move || {
            while let Some(entry) = inbox.blocking_recv() {
                files.take(entry);
                while let Ok(entry) = inbox.try_recv() {
                    files.take(entry);
                }
                files.flush();
            }
        })?;
        Ok(Self { queue })
    }

    /// Writes a line; waits while the disk is behind.
    pub(crate) async fn write(&self, line: LogLine) {
        // The thread lives as long as this.
        let _ = self.queue.send(Entry::Line(line)).await;
    }

    /// Waits until an experiment's lines are written, and tells what went wrong with them.
    ///
    /// # Errors
    /// The first failure since the last call: some lines are lost.
    pub(crate) async fn flush(&self, id: &ExperimentId) -> io::Result<()> {
        let (reply, answer) = oneshot::channel();
        let _ = self.queue.send(Entry::Flush(id.clone(), reply)).await;
        match answer.await {
            Ok(Some(error)) => Err(error),
            Ok(None) | Err(_) => Ok(()),
        }
    }
}

struct Files {
    logs: PathBuf,
    rotate_at: u64,
    open: BTreeMap<ExperimentId, LogFile>,
}

#[derive(Default)]
struct LogFile {
    file: Option<BufWriter<File>>,
    size: u64,
    error: Option<io::Error>,
}

impl Files {
    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Line(line) => {
                let id = line.experiment.clone();
                let log = self.open.entry(id).or_default();
                let written = log.write(&self.logs, self.rotate_at, &line);
                log.note(written);
            }
            Entry::Flush(id, reply) => {
                let mut log = self.open.remove(&id).unwrap_or_default();
                let flushed = log.flush();
                log.note(flushed);
                // Whoever asked may have gone.
                let _ = reply.send(log.error);
            }
        }
    }

    fn flush(&mut self) {
        for log in self.open.values_mut() {
            let flushed = log.flush();
            log.note(flushed);
        }
    }
}

impl LogFile {
    fn write(&mut self, logs: &Path, rotate_at: u64, line: &LogLine) -> io::Result<()> {
        let text = format!("{line}\n");
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let path = path_of(logs, &line.experiment);
        if self.file.is_some() && self.size.saturating_add(length) > rotate_at {
            self.flush()?;
            self.file = None;
            fs::rename(&path, rotated_path_of(logs, &line.experiment))?;
        }
        if self.file.is_none() {
            fs::create_dir_all(logs)?;
            let file = OpenOptions::new().create(true).append(true).mode(MODE).open(&path)?;
            self.size = file.metadata()?.len();
            self.file = Some(BufWriter::new(file));
        }
        let file = self.file.as_mut().expect("it was opened above");
        file.write_all(text.as_bytes())?;
        self.size += length;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), io::Write::flush)
    }

    /// After a failure the file is opened again for the next line: the disk may have room then.
    fn note(&mut self, done: io::Result<()>) {
        if let Err(error) = done {
            if let Some(file) = self.file.take() {
                // What could not be written is lost; dropping the writer would try again.
                let _ = file.into_parts();
            }
            self.error.get_or_insert(error);
        }
    }
}
