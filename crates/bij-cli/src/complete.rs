//! What the completion of shells offers: `bij completions SHELL` prints a script that calls `bij`
//! itself, with [`VARIABLE`] in its environment, for every word that is to be completed.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use bij_api::message::{QueueQuery, State};
use bij_core::port::{DefinitionSource as _, RunQueue as _};
use bij_core::queue::{Queue, QueuedRun};
use bij_core::{ExperimentId, Layout, RunId};
use bij_definitions::Definitions;
use bij_store::Reader;
use clap::CommandFactory as _;
use clap_complete::CompleteEnv;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter as _};
use clap_complete::env::{Bash, Fish, Shells, Zsh};

use crate::args::{Cli, Global, Shell};
use crate::coordinator;
use crate::error::CliError;
use crate::scope::{self, Scope, Surroundings};
use crate::terminal::Terminal;

/// Names the shell that asks. Another program's variable must not make a completer of `bij`.
const VARIABLE: &str = "_BIJ_COMPLETE";

/// A person who has pressed a key waits for no longer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Answers a shell that wants a word completed; tells whether one did.
pub(crate) fn answer(words: &[OsString]) -> Result<bool, clap::Error> {
    let here = std::env::current_dir().ok();
    CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .shells(Shells(&[&Bash, &Zsh, &Fish]))
        .try_complete(words, here.as_deref())
}

/// Prints the script for a shell: `bij completions`.
pub(crate) fn script(shell: Shell) -> Result<(), CliError> {
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

/// Experiments that are defined.
pub(crate) fn ids() -> Vec<CompletionCandidate> {
    defined().into_iter().map(|id| CompletionCandidate::new(id.as_str())).collect()
}

/// Runs that are not over: experiments, and once a `#` is typed their numbers.
pub(crate) fn runs(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let runs = queued().runs;
    if current.contains('#') {
        let named = runs.iter().map(|(run, state)| (run.to_string(), state));
        let begun = named.filter(|(name, _)| name.starts_with(current));
        return begun
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

/// Groups that are set up, or that runs name.
pub(crate) fn groups() -> Vec<CompletionCandidate> {
    let mut names = queued().groups;
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// Experiments that are defined, and files.
pub(crate) fn targets(current: &OsStr) -> Vec<CompletionCandidate> {
    let begun = current.to_str().unwrap_or_default();
    let ids = defined().into_iter().filter(|id| id.as_str().starts_with(begun));
    let mut all: Vec<CompletionCandidate> =
        ids.map(|id| CompletionCandidate::new(id.as_str())).collect();
    all.extend(PathCompleter::any().complete(current));
    all
}

fn defined() -> Vec<ExperimentId> {
    layout().and_then(|layout| Definitions::new(layout).ids().ok()).unwrap_or_default()
}

/// What of the queue can be completed.
#[derive(Default)]
struct Queued {
    runs: Vec<(RunId, State)>,
    groups: Vec<String>,
}

/// From the database, or from the coordinator where the database may not be opened.
fn queued() -> Queued {
    let Some(layout) = layout() else { return Queued::default() };
    match Reader::at(&layout).load() {
        Ok(Queue { runs, groups, paused: _ }) => {
            let named = groups.into_iter().map(|group| group.name);
            let used = runs.iter().map(|queued| queued.terms.group.clone());
            let groups = named.chain(used).map(String::from).collect();
            let state = |queued: QueuedRun| (State::from(&queued.state), queued.run);
            let runs = runs.into_iter().map(state).map(|(state, run)| (run, state)).collect();
            Queued { runs, groups }
        }
        Err(_) => asked(&layout).unwrap_or_default(),
    }
}

fn asked(layout: &Layout) -> Option<Queued> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let ask = async {
            let client = coordinator::connect_to_socket(layout).await.ok()?;
            let entries = client.queue(&QueueQuery::default()).await.ok()?;
            let groups = client.groups().await.ok()?.into_iter().map(|group| group.name.into());
            let runs = entries.iter().map(|entry| (entry.id(), entry.state)).collect();
            Some(Queued { runs, groups: groups.collect() })
        };
        tokio::time::timeout(ANSWERS_WITHIN, ask).await.ok().flatten()
    })
}

/// Where the command line that is being typed would look.
fn layout() -> Option<Layout> {
    // The shell's script puts that line behind the first `--`.
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let global = typed(words);
    let around = Surroundings::of_process();
    scope::layout(Scope::decide(&global, &around), &global, &around).ok()
}

/// The options of an unfinished command line that say where to look.
fn typed(mut words: impl Iterator<Item = OsString>) -> Global {
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
    fn an_unfinished_line_says_where_to_look() {
        let typed = |line: &str| typed(line.split(' ').map(OsString::from));
        assert!(typed("bij --user status").user);
        assert_eq!(typed("bij --root /a status").root, Some("/a".into()));
        assert_eq!(typed("bij status --root=/b x").root, Some("/b".into()));
        assert!(!typed("bij run -- program --user").user);
        assert_eq!(typed("bij --root").root, None);
    }
}
