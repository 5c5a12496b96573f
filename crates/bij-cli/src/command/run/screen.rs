//! What is on the terminal while experiments run: their lines, and below them a line on each.

use std::collections::BTreeMap;
use std::time::Instant;

use bij_core::{ActiveState, ExperimentId, Limit, UnitStatus};

use crate::context::Context;
use crate::error::CliError;
use crate::facts::read_progress;
use crate::terminal::{Drawing, Terminal};
use crate::view::{Live, LiveState, Steps, output_line};

/// The terminal of one `bij run`.
pub(super) struct Screen<'a> {
    context: &'a Context,
    terminal: Terminal,
    ids: &'a [ExperimentId],
    lives: BTreeMap<ExperimentId, Live>,
    cpu: BTreeMap<ExperimentId, (Instant, u64)>,
    drawing: Drawing,
    reader: Reader,
}

/// Whoever reads our stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    There,
    /// The pipe is closed: nothing is printed any more, and the experiments are to stop.
    Gone,
}

impl<'a> Screen<'a> {
    pub(super) fn new(context: &'a Context, ids: &'a [ExperimentId]) -> Self {
        let lives = ids.iter().map(|id| (id.clone(), Live::new(id.clone()))).collect();
        let terminal = context.terminal;
        let drawing = Drawing::new(terminal);
        let reader = Reader::There;
        Self { context, terminal, ids, lives, cpu: BTreeMap::new(), drawing, reader }
    }

    /// Prints a line of an experiment: on stdout, unless that is for JSON. It tells once that
    /// nobody reads any more.
    pub(super) fn output(&mut self, id: &ExperimentId, text: &str) -> Result<Reader, CliError> {
        if self.terminal.json() {
            self.error_output(id, text);
            return Ok(Reader::There);
        }
        if self.reader == Reader::Gone {
            return Ok(Reader::There);
        }
        self.drawing.clear();
        let line = output_line(id, self.hue(id), text, &self.terminal.format());
        match self.terminal.output(&line) {
            Ok(()) => Ok(Reader::There),
            Err(error) if error.broken_pipe => {
                self.reader = Reader::Gone;
                Ok(Reader::Gone)
            }
            Err(error) => Err(error),
        }
    }

    /// Prints a line that an experiment wrote to its stderr, on ours.
    pub(super) fn error_output(&mut self, id: &ExperimentId, text: &str) {
        self.drawing.clear();
        let line = output_line(id, self.hue(id), text, &self.terminal.err_format());
        self.terminal.error_output(&line);
    }

    fn hue(&self, id: &ExperimentId) -> Option<usize> {
        self.ids.iter().position(|known| known == id).filter(|_| self.ids.len() > 1)
    }

    /// Says what went wrong with an experiment.
    pub(super) fn error(&mut self, error: &CliError) {
        self.drawing.clear();
        self.terminal.error(error);
    }

    /// Says what happened to an experiment.
    pub(super) fn say(&mut self, id: &ExperimentId, text: &str) {
        self.drawing.clear();
        self.terminal.status(&format!("{id}: {text}"));
    }

    /// Changes what is known of one.
    pub(super) fn update(&mut self, id: &ExperimentId, change: impl FnOnce(&mut Live)) {
        if let Some(live) = self.lives.get_mut(id) {
            change(live);
        }
    }

    /// Takes in what the manager says of one.
    pub(super) fn look(&mut self, unit: &UnitStatus) {
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
                _ if unit.sub_state.starts_with("auto-restart") => LiveState::Waiting,
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

    /// Draws the lines anew.
    pub(super) fn draw(&mut self) {
        let format = self.terminal.measured_again().err_format();
        let lines = self.ids.iter().filter_map(|id| self.lives.get(id));
        self.drawing.draw(&lines.map(|live| live.line(&format)).collect::<Vec<_>>());
    }

    /// Takes the lines away for good.
    pub(super) fn end(&mut self) {
        self.drawing.clear();
    }
}
