//! The line that is drawn over and over while an experiment runs in the foreground.

use bij_core::{Bytes, ExperimentId};

use super::status::Steps;
use super::{Format, Tone};

/// What is known of a running experiment at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) id: ExperimentId,
    pub(crate) state: LiveState,
    pub(crate) attempt: Option<u32>,
    pub(crate) steps: Option<Steps>,
    pub(crate) memory: Option<u64>,
    pub(crate) memory_max: Option<u64>,
    /// Of one processor.
    pub(crate) cpu_percent: Option<u64>,
    pub(crate) restarts: u32,
}

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LiveState {
    /// On its way up or down.
    Busy,
    /// Up.
    Up,
    /// Dead, and about to be brought back.
    Waiting,
    /// Over, and all was well.
    Done,
    /// Over.
    Failed,
}

impl Live {
    /// An experiment that is about to start.
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

    /// One line, cut to what fits.
    pub(crate) fn line(&self, format: &Format) -> String {
        let (sign, tone) = match self.state {
            LiveState::Up => ("●", Tone::Good),
            LiveState::Busy | LiveState::Waiting => ("●", Tone::Busy),
            LiveState::Done => ("○", Tone::Good),
            LiveState::Failed => ("×", Tone::Bad),
        };
        let mut parts = vec![self.id.to_string()];
        parts.extend(self.attempt.map(|attempt| format!("attempt {attempt}")));
        if self.state == LiveState::Waiting {
            parts.push("waits to be brought back".to_owned());
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
        let room = format.width.map_or(usize::MAX, |width| width.saturating_sub(3));
        let text = match text.char_indices().nth(room) {
            Some((end, _)) => &text[..end],
            None => &text,
        };
        format!("{} {text}", format.paint(tone, sign))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Live {
        Live {
            state: LiveState::Up,
            attempt: Some(2),
            steps: Some(Steps { step: Some(120), total: Some(1000), text: None }),
            memory: Some(48 << 20),
            memory_max: Some(64 << 20),
            cpu_percent: Some(98),
            restarts: 1,
            ..Live::new(ExperimentId::new("amnesiac_001").unwrap())
        }
    }

    #[test]
    fn it_tells_attempt_progress_memory_cpu_and_restarts() {
        assert_eq!(
            live().line(&Format::for_test()),
            "● amnesiac_001  attempt 2  120/1000 (12%)  48.0M of 64.0M  cpu 98%  1 restart"
        );
    }

    #[test]
    fn it_never_wraps() {
        let narrow = Format { width: Some(20), ..Format::for_test() };
        assert_eq!(live().line(&narrow).chars().count(), 19);
    }
}
