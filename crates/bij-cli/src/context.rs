//! What every verb works with; opened only when a verb wants it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bij_core::port::{DefinitionSource as _, FindError, Found, UnitManager as _};
use bij_core::{ActiveState, ExperimentId, Layout};
use bij_definitions::Definitions;
use bij_store::Reader;
use tokio::sync::OnceCell;

use crate::args::Global;
use crate::error::{CliError, Kind};
use crate::lingering;
use crate::log_source::{LogSource, Wanted};
use crate::past::Past;
use crate::scope::{self, Scope, Surroundings};
use crate::terminal::Terminal;
use crate::units::Units;
use crate::view::LogRow;

/// The adapters of one call of `bij`, and where they look.
pub(crate) struct Context {
    pub(crate) terminal: Terminal,
    pub(crate) scope: Scope,
    pub(crate) layout: Layout,
    /// What all paths lie below.
    pub(crate) root: PathBuf,
    /// The options by which another `bij` looks at the same place: `bij --user`.
    pub(crate) again: String,
    definitions: Definitions,
    units: OnceCell<Arc<Units>>,
    past: OnceCell<Arc<Past>>,
}

impl Context {
    /// Decides where to look; touches no file yet.
    pub(crate) fn new(terminal: Terminal, global: &Global) -> Result<Self, CliError> {
        let around = Surroundings::of_process();
        let scope = Scope::decide(global, &around);
        let layout = scope::layout(scope, global, &around)?;
        let definitions = Definitions::new(layout.clone());
        let again = scope.again(global);
        let root = global.root.clone().unwrap_or_else(|| PathBuf::from("/"));
        Ok(Self {
            terminal,
            scope,
            layout,
            root,
            again,
            definitions,
            units: OnceCell::new(),
            past: OnceCell::new(),
        })
    }

    /// The ledger, for those who may open it; others have [`Context::past`].
    pub(crate) fn ledger(&self) -> Reader {
        Reader::at(&self.layout)
    }

    /// Tells what is odd about a definition and does no harm by itself.
    pub(crate) fn warn_of(&self, found: &Found) {
        for warning in &found.warnings {
            self.terminal.warning(&warning.to_string());
        }
    }

    /// Warns a caller of `--user` whose experiments end with the last session.
    pub(crate) fn warn_of_lingering(&self) {
        if self.scope == Scope::User
            && let Some(warning) = lingering::warning(&self.root)
        {
            self.terminal.warning(&warning);
        }
    }

    /// Where the history is looked up; chosen when it is first asked for.
    pub(crate) async fn past(&self) -> Result<Arc<Past>, CliError> {
        let choose = || async { Past::of(self).await.map(Arc::new) };
        Ok(Arc::clone(self.past.get_or_try_init(choose).await?))
    }

    /// The definitions.
    pub(crate) const fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// The service manager; connected when it is first asked for.
    pub(crate) async fn units(&self) -> Result<Arc<Units>, CliError> {
        let connect =
            || async { crate::units::connect(self.scope, &self.layout).await.map(Arc::new) };
        Ok(Arc::clone(self.units.get_or_try_init(connect).await?))
    }

    /// Whether somebody has defined it, well or badly, or it has a history.
    pub(crate) async fn must_be_defined(&self, id: &ExperimentId) -> Result<(), CliError> {
        let Err(missing @ FindError::Missing { .. }) = self.definitions.find(id) else {
            return Ok(());
        };
        let Ok(past) = self.past().await else { return Err(missing.into()) };
        match past.tally(id).await {
            Ok(tally) if tally.attempts > 0 => Ok(()),
            Ok(_) | Err(_) => Err(missing.into()),
        }
    }

    /// Whether it is defined or the manager has something to tell of it: whoever starts what
    /// nobody has defined leaves a failed or enabled unit, and wants to look at it and be rid of it.
    pub(crate) async fn must_exist(&self, id: &ExperimentId) -> Result<(), CliError> {
        let Err(missing) = self.must_be_defined(id).await else { return Ok(()) };
        let Ok(units) = self.units().await else { return Err(missing) };
        match units.status(id).await {
            Ok(unit)
                if unit.active_state != ActiveState::Inactive || unit.enabled == Some(true) =>
            {
                Ok(())
            }
            Ok(_) | Err(_) => Err(missing),
        }
    }

    /// The definition in a file. The outer error is about the file: one that is not there is a
    /// wrong definition, not a missing experiment.
    pub(crate) fn find_file(&self, path: &Path) -> Result<Result<Found, FindError>, CliError> {
        if path.is_dir() {
            let message = format!("{} is a directory, not a definition", path.display());
            return Err(CliError::new(Kind::Definition, message)
                .hint(format!("name its files: {}/*.toml", path.display())));
        }
        match self.definitions.find_file(path) {
            Err(error @ (FindError::Unreadable { .. } | FindError::Missing { .. })) => {
                let error = CliError::from(error);
                let denied = error.kind == Kind::Permission;
                let kind = if denied { error.kind } else { Kind::Definition };
                Err(CliError { kind, ..error })
            }
            found => Ok(found),
        }
    }

    /// The last lines that an experiment wrote; none if they cannot be read.
    pub(crate) fn last_lines(&self, id: &ExperimentId, count: usize) -> Vec<LogRow> {
        let wanted = Wanted { ids: vec![id.clone()], newest: Some(count), ..Wanted::default() };
        let mut lines = Vec::new();
        let source = LogSource::of(self);
        let read = source.read(&wanted, |line| {
            lines.push(line);
            Ok(())
        });
        match read {
            Ok(()) => lines,
            Err(error) => {
                self.terminal.hint(&format!("no lines of log: {}", error.sentence()));
                Vec::new()
            }
        }
    }
}
