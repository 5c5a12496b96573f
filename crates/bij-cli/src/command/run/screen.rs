//! The terminal while experiments run: their output, and below it a status line for each.

use std::collections::BTreeMap;
use std::time::Instant;

use bij_core::{ActiveState, ExperimentId, Limit, UnitStatus};
use bij_host::read_progress;

use crate::context::Context;
use crate::error::CliError;
use crate::terminal::{Drawing, Terminal};
use crate::view::{LiveLine, LiveState, Steps, output_line};

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
            live.memory = unit.resources.memory_current.map(bij_core::Bytes::get);
            live.memory_max =
                unit.resources.memory_max.and_then(Limit::at).map(bij_core::Bytes::get);
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
