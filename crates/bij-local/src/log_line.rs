//! One line of an experiment's log file.

use std::fmt;

use bij_core::{AttemptNumber, ExperimentId, RunNumber, Timestamp};

/// The source of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The experiment's standard output.
    Out,
    /// The experiment's standard error.
    Err,
    /// A message of the supervisor about the experiment.
    Bij,
}

impl Stream {
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
    pub stream: Stream,
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
        let stream = [Stream::Out, Stream::Err, Stream::Bij]
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
                    stream: Stream::Err,
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
