//! Completion in shells: `bij completions SHELL` prints a script that calls `bij` itself, with
//! [`VARIABLE`] in its environment, for every word to be completed.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use bij_core::port::{DefinitionSource as _, RunQueue as _};
use bij_core::queue::{Queue, QueuedRun};
use bij_core::request::{EntryState, QueueQuery};
use bij_core::{ExperimentId, Layout, RunId};
use bij_definition::Definitions;
use bij_store::Reader;
use clap::CommandFactory as _;
use clap_complete::CompleteEnv;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter as _};
use clap_complete::env::{Bash, Fish, Shells, Zsh};

use crate::args::Global;
use crate::command::Cli;
use crate::coordinator;
use crate::error::CliError;
use crate::scope::{self, Scope, ScopeFacts};
use crate::terminal::Terminal;
/// A shell for which there is a completion script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The environment variable that names the calling shell. clap's usual name could be set for another program,
/// and `bij` would then print completions.
const VARIABLE: &str = "_BIJ_COMPLETE";

/// How long the coordinator may take: the user has just pressed a key.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Prints completions if a shell asks for them, and returns whether it did.
pub(crate) fn answer_shell(words: &[OsString]) -> Result<bool, clap::Error> {
    let directory = std::env::current_dir().ok();
    CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .shells(Shells(&[&Bash, &Zsh, &Fish]))
        .try_complete(words, directory.as_deref())
}

/// Prints the script for a shell: `bij completions`.
pub(crate) fn print_script(shell: Shell) -> Result<(), CliError> {
    use clap_complete::env::EnvCompleter;
    let shell: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut text = Vec::new();
    shell.write_registration(VARIABLE, "bij", "bij", "bij", &mut text)?;
    Terminal::print(String::from_utf8_lossy(&text).trim_start())
}

/// Returns the experiments that are defined.
pub(crate) fn ids() -> Vec<CompletionCandidate> {
    defined_ids().into_iter().map(|id| CompletionCandidate::new(id.as_str())).collect()
}

/// Returns the experiments of runs that are not over, or after a `#` the runs themselves.
pub(crate) fn runs(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let runs = queue_names().runs;
    if current.contains('#') {
        let named = runs.iter().map(|(run, state)| (run.to_string(), state));
        let matching = named.filter(|(name, _)| name.starts_with(current));
        return matching
            .map(|(name, state)| {
                CompletionCandidate::new(name).help(Some(state.as_str().to_owned().into()))
            })
            .collect();
    }
    let mut ids: Vec<&str> = runs.iter().map(|(run, _)| run.experiment.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().filter(|id| id.starts_with(current)).map(CompletionCandidate::new).collect()
}

/// Returns the groups that are set up or that runs name.
pub(crate) fn groups() -> Vec<CompletionCandidate> {
    let mut names = queue_names().groups;
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// Returns the experiments that are defined, and files.
pub(crate) fn targets(current: &OsStr) -> Vec<CompletionCandidate> {
    let prefix = current.to_str().unwrap_or_default();
    let ids = defined_ids().into_iter().filter(|id| id.as_str().starts_with(prefix));
    let mut all: Vec<CompletionCandidate> =
        ids.map(|id| CompletionCandidate::new(id.as_str())).collect();
    all.extend(PathCompleter::any().complete(current));
    all
}

fn defined_ids() -> Vec<ExperimentId> {
    layout().and_then(|layout| Definitions::new(layout).ids().ok()).unwrap_or_default()
}

/// The names in the queue that can be completed.
#[derive(Default)]
struct QueueNames {
    runs: Vec<(RunId, EntryState)>,
    groups: Vec<String>,
}

/// Reads the names from the database, or asks the coordinator where the caller may not open the database.
fn queue_names() -> QueueNames {
    let Some(layout) = layout() else { return QueueNames::default() };
    match Reader::at(&layout).load() {
        Ok(Queue { runs, groups, paused: _ }) => {
            let named = groups.into_iter().map(|group| group.name);
            let used = runs.iter().map(|queued| queued.terms.group.clone());
            let groups = named.chain(used).map(String::from).collect();
            let state = |queued: QueuedRun| (EntryState::from(&queued.state), queued.run);
            let runs = runs.into_iter().map(state).map(|(state, run)| (run, state)).collect();
            QueueNames { runs, groups }
        }
        Err(_) => ask_coordinator(&layout).unwrap_or_default(),
    }
}

fn ask_coordinator(layout: &Layout) -> Option<QueueNames> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let ask = async {
            let client = coordinator::connect_to_socket(layout).await.ok()?;
            let entries = client.queue(&QueueQuery::default()).await.ok()?;
            let groups = client.groups().await.ok()?.into_iter().map(|group| group.name.into());
            let runs = entries.iter().map(|entry| (entry.id(), entry.state)).collect();
            Some(QueueNames { runs, groups: groups.collect() })
        };
        tokio::time::timeout(ANSWER_TIMEOUT, ask).await.ok().flatten()
    })
}

/// Returns the layout that the unfinished command line would use.
fn layout() -> Option<Layout> {
    // The shell's script passes that line after the first `--`.
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let global = scope_options(words);
    let host = ScopeFacts::observe();
    scope::layout(Scope::decide(&global, &host), &global, &host).ok()
}

/// Returns the options of an unfinished command line that decide scope and layout.
fn scope_options(mut words: impl Iterator<Item = OsString>) -> Global {
    let mut global = Global::default();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--user") => global.user = true,
            Some("--local") => global.local = true,
            Some("--root") => global.root = words.next().map(PathBuf::from),
            Some("--") => break,
            Some(word) => {
                let root = word.strip_prefix("--root=").map(PathBuf::from);
                global.root = root.or(global.root);
            }
            None => {}
        }
    }
    global
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_line_decides_scope_and_root() {
        let options = |line: &str| scope_options(line.split(' ').map(OsString::from));
        assert!(options("bij --user status").user);
        assert_eq!(options("bij --root /a status").root, Some("/a".into()));
        assert_eq!(options("bij status --root=/b x").root, Some("/b".into()));
        assert!(!options("bij run -- program --user").user);
        assert_eq!(options("bij --root").root, None);
    }
}
