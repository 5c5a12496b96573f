//! Writes log files in one thread, so that a slow disk delays only experiments that print.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use bij_core::{AttemptNumber, ExperimentId, RunNumber, Timestamp};
use tokio::sync::{mpsc, oneshot};

/// Lines queued for the disk before experiments that print have to wait.
const QUEUE: usize = 1024;

/// Size at which a file becomes `<id>.log.1`, in bytes.
pub(crate) const ROTATE_AT: u64 = 64 << 20;

/// Mode of log files: their owner and its group may read them.
const MODE: u32 = 0o640;

/// Returns the path of an experiment's log.
pub(crate) fn log_path(logs: &Path, id: &ExperimentId) -> PathBuf {
    logs.join(format!("{id}.log"))
}

/// Returns the path of the rotated log.
pub(crate) fn rotated_log_path(logs: &Path, id: &ExperimentId) -> PathBuf {
    logs.join(format!("{id}.log.1"))
}

#[derive(Debug)]
enum LogRequest {
    Line(LogLine),
    /// Answered when all lines before it are written, with the first error since the last flush.
    Flush(ExperimentId, oneshot::Sender<Option<io::Error>>),
}

/// Handle of the thread that writes log files.
#[derive(Clone, Debug)]
pub(crate) struct LogWriter {
    queue: mpsc::Sender<LogRequest>,
}

impl LogWriter {
    /// Starts the thread. It writes all queued lines and ends when the last clone is dropped.
    pub(crate) fn start(logs: PathBuf, rotate_at: u64) -> io::Result<Self> {
        let (queue, mut inbox) = mpsc::channel(QUEUE);
        let mut files = LogFiles { logs, rotate_at, open: BTreeMap::new() };
        thread::Builder::new().name("bij-log".to_owned()).spawn(move || {
            while let Some(request) = inbox.blocking_recv() {
                files.handle(request);
                while let Ok(request) = inbox.try_recv() {
                    files.handle(request);
                }
                files.flush();
            }
        })?;
        Ok(Self { queue })
    }

    /// Queues a line; waits while the queue is full.
    pub(crate) async fn write(&self, line: LogLine) {
        // The thread lives as long as `self`.
        let _ = self.queue.send(LogRequest::Line(line)).await;
    }

    /// Waits until the lines of an experiment are written.
    ///
    /// # Errors
    /// The first error since the last call; some lines are lost then.
    pub(crate) async fn flush(&self, id: &ExperimentId) -> io::Result<()> {
        let (reply, answer) = oneshot::channel();
        let _ = self.queue.send(LogRequest::Flush(id.clone(), reply)).await;
        match answer.await {
            Ok(Some(error)) => Err(error),
            Ok(None) | Err(_) => Ok(()),
        }
    }
}

struct LogFiles {
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

impl LogFiles {
    fn handle(&mut self, request: LogRequest) {
        match request {
            LogRequest::Line(line) => {
                let id = line.experiment.clone();
                let log = self.open.entry(id).or_default();
                let written = log.write(&self.logs, self.rotate_at, &line);
                log.record_result(written);
            }
            LogRequest::Flush(id, reply) => {
                let mut log = self.open.remove(&id).unwrap_or_default();
                let flushed = log.flush();
                log.record_result(flushed);
                // The caller may have been cancelled.
                let _ = reply.send(log.error);
            }
        }
    }

    fn flush(&mut self) {
        for log in self.open.values_mut() {
            let flushed = log.flush();
            log.record_result(flushed);
        }
    }
}

impl LogFile {
    fn write(&mut self, logs: &Path, rotate_at: u64, line: &LogLine) -> io::Result<()> {
        let text = format!("{line}\n");
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let path = log_path(logs, &line.experiment);
        if self.file.is_some() && self.size.saturating_add(length) > rotate_at {
            self.flush()?;
            self.file = None;
            fs::rename(&path, rotated_log_path(logs, &line.experiment))?;
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

    /// Keeps the first error and closes the file, which is opened again for the next line: the disk
    /// may have space by then.
    fn record_result(&mut self, done: io::Result<()>) {
        if let Err(error) = done {
            if let Some(file) = self.file.take() {
                // The unwritten lines are lost; dropping the writer would write them again.
                let _ = file.into_parts();
            }
            self.error.get_or_insert(error);
        }
    }
}

/// The source of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogStream {
    /// The experiment's standard output.
    Out,
    /// The experiment's standard error.
    Err,
    /// A message of the supervisor about the experiment.
    Bij,
}

impl LogStream {
    /// Returns the word in the log file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
            Self::Bij => "bij",
        }
    }
}

/// One line of an experiment's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The experiment whose log it is in.
    pub experiment: ExperimentId,
    /// When it was read from the experiment.
    pub at: Timestamp,
    /// The run it belongs to.
    pub run: RunNumber,
    /// The attempt within that run.
    pub attempt: AttemptNumber,
    /// The source of the line.
    pub stream: LogStream,
    /// Whether this continues the previous line of the same stream, which was too long for one.
    pub continued: bool,
    /// The text, without its line end. It may hold control characters other than NUL, carriage
    /// return and line feed: escape them before they reach a terminal.
    pub text: String,
}

impl LogLine {
    /// Parses the format that [`fmt::Display`] writes; `None` if it is malformed.
    pub(crate) fn parse(experiment: &ExperimentId, line: &str) -> Option<Self> {
        let mut fields = line.splitn(4, ' ');
        let at = fields.next()?.parse().ok()?;
        let (run, attempt) = fields.next()?.split_once('.')?;
        let word = fields.next()?;
        let continued = word.ends_with('+');
        let stream = [LogStream::Out, LogStream::Err, LogStream::Bij]
            .into_iter()
            .find(|stream| stream.as_str() == word.trim_end_matches('+'))?;
        Some(Self {
            experiment: experiment.clone(),
            at,
            run: RunNumber(run.parse().ok()?),
            attempt: AttemptNumber(attempt.parse().ok()?),
            stream,
            continued,
            text: fields.next().unwrap_or("").to_owned(),
        })
    }
}

impl fmt::Display for LogLine {
    /// Writes the format of the log file: `2026-11-23T22:00:00.000000Z 3.1 out text`; `out+` continues
    /// the line before.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { experiment: _, at, run, attempt, stream, continued, text } = self;
        let mark = if *continued { "+" } else { "" };
        write!(f, "{at} {run}.{attempt} {}{mark} {text}", stream.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let id = ExperimentId::new("x").unwrap();
        for text in ["", "plain", " leading and  double blanks ", "\u{2400}\x1b[31m"] {
            for continued in [false, true] {
                let line = LogLine {
                    experiment: id.clone(),
                    at: Timestamp::from_micros(1_795_471_200_000_001),
                    run: RunNumber(3),
                    attempt: AttemptNumber(12),
                    stream: LogStream::Err,
                    continued,
                    text: text.to_owned(),
                };
                assert_eq!(LogLine::parse(&id, &line.to_string()), Some(line));
            }
        }
        for torn in ["", "2026-11-23T22:00:00Z", "2026-11-23T22:00:00Z 1 out x", "x 1.1 out x"] {
            assert_eq!(LogLine::parse(&id, torn), None, "{torn:?}");
        }
    }

    /// A parsed line is written and parsed again as the same line.
    #[test]
    fn fuzz_log_line() {
        let id = ExperimentId::new("x").unwrap();
        bij_fuzz::FuzzTarget::new("log-line", env!("CARGO_MANIFEST_DIR"))
            .tokens(&["2026-11-23T22:00:00.000000Z", " ", "3.1", "out", "err+", "bij"])
            .run(|bytes| {
                for line in String::from_utf8_lossy(bytes).lines() {
                    let Some(read) = LogLine::parse(&id, line) else { continue };
                    assert_eq!(LogLine::parse(&id, &read.to_string()), Some(read));
                }
            });
    }
}
