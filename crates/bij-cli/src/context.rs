//! The adapters of one call of `bij`; each is opened when a verb first uses it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bij_core::port::{DefinitionSource as _, FindError, FoundDefinition, UnitManager as _};
use bij_core::{ActiveState, ExperimentId, Layout};
use bij_definition::Definitions;
use bij_store::Reader;
use tokio::sync::OnceCell;

use crate::args::Global;
use crate::error::{CliError, Kind};
use crate::history_source::HistorySource;
use crate::log_source::{LogFilter, LogSource};
use crate::scope::{self, Scope, ScopeFacts, lingering_warning};
use crate::terminal::Terminal;
use crate::units::{self, ScopeUnits};
use crate::view::LogRow;

/// The adapters of one call of `bij`, with its scope and paths.
pub(crate) struct Context {
    pub(crate) terminal: Terminal,
    pub(crate) scope: Scope,
    pub(crate) layout: Layout,
    /// The directory below which all paths are; `/` without `--root`.
    pub(crate) root: PathBuf,
    /// The command, with options, by which another `bij` uses the same scope and paths: `bij --user`.
    pub(crate) bij_command: String,
    definitions: Definitions,
    units: OnceCell<Arc<ScopeUnits>>,
    history: OnceCell<Arc<HistorySource>>,
}

impl Context {
    /// Decides scope and paths; opens nothing yet.
    pub(crate) fn new(terminal: Terminal, global: &Global) -> Result<Self, CliError> {
        let host = ScopeFacts::observe();
        let scope = Scope::decide(global, &host);
        let layout = scope::layout(scope, global, &host)?;
        let definitions = Definitions::new(layout.clone());
        let bij_command = scope.bij_command(global);
        let root = global.root.clone().unwrap_or_else(|| PathBuf::from("/"));
        Ok(Self {
            terminal,
            scope,
            layout,
            root,
            bij_command,
            definitions,
            units: OnceCell::new(),
            history: OnceCell::new(),
        })
    }

    /// Returns a reader of the ledger, for callers that may open it; see [`Context::history`] for the others.
    pub(crate) fn ledger(&self) -> Reader {
        Reader::at(&self.layout)
    }

    /// Prints the warnings about a definition.
    pub(crate) fn warn_about_definition(&self, found: &FoundDefinition) {
        for warning in &found.warnings {
            self.terminal.warning(&warning.to_string());
        }
    }

    /// Warns a caller of `--user` if experiments end with the user's last session.
    pub(crate) fn warn_about_lingering(&self) {
        if self.scope == Scope::User
            && let Some(warning) = lingering_warning(&self.root)
        {
            self.terminal.warning(&warning);
        }
    }

    /// Returns the source of the history, which is chosen at the first call.
    pub(crate) async fn history(&self) -> Result<Arc<HistorySource>, CliError> {
        let choose = || async { HistorySource::choose(self).await.map(Arc::new) };
        Ok(Arc::clone(self.history.get_or_try_init(choose).await?))
    }

    /// Returns the definitions of the layout.
    pub(crate) const fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// Returns the service manager, which is connected at the first call.
    pub(crate) async fn units(&self) -> Result<Arc<ScopeUnits>, CliError> {
        let connect = || async { units::connect(self.scope, &self.layout).await.map(Arc::new) };
        Ok(Arc::clone(self.units.get_or_try_init(connect).await?))
    }

    /// Fails unless the experiment has a definition, valid or not, or a history.
    pub(crate) async fn must_be_defined(&self, id: &ExperimentId) -> Result<(), CliError> {
        let Err(missing @ FindError::Missing { .. }) = self.definitions.find(id) else {
            return Ok(());
        };
        let Ok(history) = self.history().await else { return Err(missing.into()) };
        match history.tally(id).await {
            Ok(tally) if tally.attempts > 0 => Ok(()),
            Ok(_) | Err(_) => Err(missing.into()),
        }
    }

    /// Fails unless the experiment is defined, has a history, or has a unit that is up, failed or enabled. Starting
    /// an experiment that is not defined leaves such a unit behind, which must be possible to show and to remove.
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

    /// Returns the definition in a file. The outer error is about the file: a missing file is a wrong
    /// definition, not a missing experiment.
    pub(crate) fn find_file(
        &self,
        path: &Path,
    ) -> Result<Result<FoundDefinition, FindError>, CliError> {
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

    /// Returns the last lines of an experiment's output; none if they cannot be read.
    pub(crate) fn last_lines(&self, id: &ExperimentId, count: usize) -> Vec<LogRow> {
        let filter =
            LogFilter { ids: vec![id.clone()], newest: Some(count), ..LogFilter::default() };
        let mut lines = Vec::new();
        let source = LogSource::new(self);
        let read = source.read(&filter, |line| {
            lines.push(line);
            Ok(())
        });
        match read {
            Ok(()) => lines,
            Err(error) => {
                self.terminal.hint(&format!("the log cannot be read: {}", error.sentence()));
                Vec::new()
            }
        }
    }
}
