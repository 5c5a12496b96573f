//! The terminal while experiments run: their output, and below it a status line for each.

use std::collections::BTreeMap;
use std::time::Instant;

use bij_core::{ActiveState, Bytes, ExperimentId, Limit, UnitStatus};
use bij_host::read_progress;

use crate::context::Context;
use crate::error::CliError;
use crate::terminal::{Drawing, Terminal};
use crate::view::{Steps, TextFormat, Tone, last_frame, visible};

/// The terminal of one `bij run`.
pub(super) struct Screen<'a> {
    context: &'a Context,
    terminal: Terminal,
    ids: &'a [ExperimentId],
    lines: BTreeMap<ExperimentId, LiveLine>,
    /// When the processor time of each experiment was read, and its value in nanoseconds.
    cpu: BTreeMap<ExperimentId, (Instant, u64)>,
    drawing: Drawing,
    reader: StdoutReader,
}

/// Whether stdout has a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StdoutReader {
    Open,
    /// The pipe is closed: nothing more is printed, and the experiments are stopped.
    Closed,
}

impl<'a> Screen<'a> {
    pub(super) fn new(context: &'a Context, ids: &'a [ExperimentId]) -> Self {
        let lines = ids.iter().map(|id| (id.clone(), LiveLine::new(id.clone()))).collect();
        let terminal = context.terminal;
        let drawing = Drawing::new(terminal);
        let reader = StdoutReader::Open;
        Self { context, terminal, ids, lines, cpu: BTreeMap::new(), drawing, reader }
    }

    /// Prints a line of an experiment's output: on stdout, or with `--json` on stderr. Returns
    /// [`StdoutReader::Closed`] once, when stdout turns out to be closed.
    pub(super) fn output(
        &mut self,
        id: &ExperimentId,
        text: &str,
    ) -> Result<StdoutReader, CliError> {
        if self.terminal.is_json() {
            self.error_output(id, text);
            return Ok(StdoutReader::Open);
        }
        if self.reader == StdoutReader::Closed {
            return Ok(StdoutReader::Open);
        }
        self.drawing.clear();
        let line = output_line(id, self.hue(id), text, &self.terminal.format());
        match self.terminal.output(&line) {
            Ok(()) => Ok(StdoutReader::Open),
            Err(error) if error.broken_pipe => {
                self.reader = StdoutReader::Closed;
                Ok(StdoutReader::Closed)
            }
            Err(error) => Err(error),
        }
    }

    /// Prints a line of an experiment's stderr on stderr.
    pub(super) fn error_output(&mut self, id: &ExperimentId, text: &str) {
        self.drawing.clear();
        let line = output_line(id, self.hue(id), text, &self.terminal.err_format());
        self.terminal.error_output(&line);
    }

    fn hue(&self, id: &ExperimentId) -> Option<usize> {
        self.ids.iter().position(|known| known == id).filter(|_| self.ids.len() > 1)
    }

    pub(super) fn error(&mut self, error: &CliError) {
        self.drawing.clear();
        self.terminal.error(error);
    }

    /// Prints a status line about an experiment.
    pub(super) fn status(&mut self, id: &ExperimentId, text: &str) {
        self.drawing.clear();
        self.terminal.status(&format!("{id}: {text}"));
    }

    /// Changes the line of an experiment.
    pub(super) fn update(&mut self, id: &ExperimentId, change: impl FnOnce(&mut LiveLine)) {
        if let Some(line) = self.lines.get_mut(id) {
            change(line);
        }
    }

    /// Updates the line of an experiment from the status of its unit.
    pub(super) fn observe(&mut self, unit: &UnitStatus) {
        let used = unit.resources.cpu_usage_nsec.map(|nsec| (Instant::now(), nsec));
        let before = match used {
            Some(used) => self.cpu.insert(unit.id.clone(), used),
            None => self.cpu.remove(&unit.id),
        };
        let percent = used.zip(before).and_then(|((now, used), (then, before))| {
            let passed = u64::try_from(now.duration_since(then).as_nanos()).ok()?;
            used.checked_sub(before)?.checked_mul(100)?.checked_div(passed)
        });
        let steps = read_progress(&self.context.layout.progress(&unit.id));
        self.update(&unit.id, |live| {
            live.state = match unit.active_state {
                ActiveState::Active | ActiveState::Reloading => LiveState::Up,
                ActiveState::Inactive => LiveState::Done,
                ActiveState::Failed => LiveState::Failed,
                _ if unit.sub_state.is_waiting_for_restart() => LiveState::Waiting,
                _ => LiveState::Busy,
            };
            live.steps = steps.as_ref().map(Steps::from);
            live.memory = unit.resources.memory_current.map(Bytes::get);
            live.memory_max = unit.resources.memory_max.and_then(Limit::at).map(Bytes::get);
            live.cpu_percent = percent;
            live.restarts = unit.restarts.unwrap_or(live.restarts);
        });
    }

    pub(super) fn draw(&mut self) {
        let format = self.terminal.remeasured().err_format();
        let lines = self.ids.iter().filter_map(|id| self.lines.get(id));
        self.drawing.draw(&lines.map(|line| line.format(&format)).collect::<Vec<_>>());
    }

    pub(super) fn end(&mut self) {
        self.drawing.clear();
    }
}

/// Formats a line of output; after the experiment's name if several run side by side.
fn output_line(id: &ExperimentId, hue: Option<usize>, text: &str, format: &TextFormat) -> String {
    match hue {
        Some(hue) => {
            let name = format.paint(Tone::Nth(hue), id.as_str());
            format!("{name} | {}", visible(last_frame(text)))
        }
        // A program may read the pipe, so every byte stays.
        None if !format.is_terminal => text.to_owned(),
        None => visible(last_frame(text)).into_owned(),
    }
}

/// The state of an experiment in the foreground.
#[derive(Clone, Debug)]
pub(super) struct LiveLine {
    pub(super) id: ExperimentId,
    pub(super) state: LiveState,
    pub(super) attempt: Option<u32>,
    pub(super) steps: Option<Steps>,
    pub(super) memory: Option<u64>,
    pub(super) memory_max: Option<u64>,
    /// Processor use; 100 is one processor.
    pub(super) cpu_percent: Option<u64>,
    pub(super) restarts: u32,
}

/// The state of an experiment in the foreground, as its line shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LiveState {
    /// The experiment is starting or stopping.
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
    pub(crate) fn format(&self, format: &TextFormat) -> String {
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

    #[test]
    fn a_single_experiment_is_not_named_and_its_output_in_a_pipe_is_unchanged() {
        let id = ExperimentId::new("x").unwrap();
        let pipe = TextFormat::for_test();
        // A terminal of unknown width, such as a serial console.
        let terminal = TextFormat { is_terminal: true, ..TextFormat::for_test() };
        assert_eq!(output_line(&id, None, "1%\r\x1b[1m2%", &pipe), "1%\r\x1b[1m2%");
        assert_eq!(output_line(&id, None, "1%\r\x1b[1m2%", &terminal), "2%");
        assert_eq!(output_line(&id, Some(0), "1%\r2%", &pipe), "x | 2%");
    }

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
            line().format(&TextFormat::for_test()),
            "● amnesiac_001  attempt 2  120/1000 (12%)  48.0M of 64.0M  cpu 98%  1 restart"
        );
    }

    #[test]
    fn the_line_never_wraps() {
        let narrow = TextFormat { width: Some(20), ..TextFormat::for_test() };
        assert_eq!(line().format(&narrow).chars().count(), 19);
    }
}
