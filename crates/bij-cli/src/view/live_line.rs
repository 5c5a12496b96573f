//! The status line that is redrawn while an experiment runs in the foreground.

use bij_core::{Bytes, ExperimentId};

use super::status::Steps;
use super::{Format, Tone};

/// The state of an experiment in the foreground.
#[derive(Clone, Debug)]
pub(crate) struct LiveLine {
    pub(crate) id: ExperimentId,
    pub(crate) state: LiveState,
    pub(crate) attempt: Option<u32>,
    pub(crate) steps: Option<Steps>,
    pub(crate) memory: Option<u64>,
    pub(crate) memory_max: Option<u64>,
    /// Processor use; 100 is one processor.
    pub(crate) cpu_percent: Option<u64>,
    pub(crate) restarts: u32,
}

/// The state of an experiment in the foreground, as its line shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LiveState {
    /// Starting or stopping.
    Busy,
    Up,
    /// Crashed, and waiting for its restart.
    Waiting,
    /// Ended without an error.
    Done,
    Failed,
}

impl LiveLine {
    /// Creates the line of an experiment that is about to start.
    pub(crate) fn new(id: ExperimentId) -> Self {
        Self {
            id,
            state: LiveState::Busy,
            attempt: None,
            steps: None,
            memory: None,
            memory_max: None,
            cpu_percent: None,
            restarts: 0,
        }
    }

    /// Formats the line, cut to the width of the terminal.
    pub(crate) fn format(&self, format: &Format) -> String {
        let (symbol, tone) = match self.state {
            LiveState::Up => ("●", Tone::Good),
            LiveState::Busy | LiveState::Waiting => ("●", Tone::Busy),
            LiveState::Done => ("○", Tone::Good),
            LiveState::Failed => ("×", Tone::Bad),
        };
        let mut parts = vec![self.id.to_string()];
        parts.extend(self.attempt.map(|attempt| format!("attempt {attempt}")));
        if self.state == LiveState::Waiting {
            parts.push("waits for its restart".to_owned());
        }
        parts.extend(self.steps.as_ref().map(Steps::line).filter(|line| !line.is_empty()));
        let bytes = |value: u64| Bytes::new(value).to_string();
        parts.extend(self.memory.map(|memory| match self.memory_max {
            Some(max) => format!("{} of {}", bytes(memory), bytes(max)),
            None => bytes(memory),
        }));
        parts.extend(self.cpu_percent.map(|percent| format!("cpu {percent}%")));
        parts.extend(match self.restarts {
            0 => None,
            1 => Some("1 restart".to_owned()),
            restarts => Some(format!("{restarts} restarts")),
        });
        let text = parts.join("  ");
        // The last column stays free: a terminal may wrap a line that fills it.
        let width = format.width.map_or(usize::MAX, |width| width.saturating_sub(3));
        let text = match text.char_indices().nth(width) {
            Some((end, _)) => &text[..end],
            None => &text,
        };
        format!("{} {text}", format.paint(tone, symbol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> LiveLine {
        LiveLine {
            state: LiveState::Up,
            attempt: Some(2),
            steps: Some(Steps { step: Some(120), total: Some(1000), text: None }),
            memory: Some(48 << 20),
            memory_max: Some(64 << 20),
            cpu_percent: Some(98),
            restarts: 1,
            ..LiveLine::new(ExperimentId::new("amnesiac_001").unwrap())
        }
    }

    #[test]
    fn the_line_has_attempt_progress_memory_cpu_and_restarts() {
        assert_eq!(
            line().format(&Format::for_test()),
            "● amnesiac_001  attempt 2  120/1000 (12%)  48.0M of 64.0M  cpu 98%  1 restart"
        );
    }

    #[test]
    fn the_line_never_wraps() {
        let narrow = Format { width: Some(20), ..Format::for_test() };
        assert_eq!(line().format(&narrow).chars().count(), 19);
    }
}
