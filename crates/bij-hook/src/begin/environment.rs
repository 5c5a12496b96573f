//! The environment of an attempt: its variables, the processes that may read them, and the file from which `bij-exec`
//! reads them.

use std::borrow::Cow;

use bij_core::port::{DefinitionSource, Ledger, Opened};
use bij_core::spec::ExperimentSpec;
use bij_core::{Attempt, Cause, ExperimentId, Layout, Obstacle, RunEnd};
use bij_host::{HostContext, files, logged, read_progress};
use nix::errno::Errno;
use nix::unistd::{Uid, User, geteuid};
use thiserror::Error;

use super::BeginError;
use crate::{HookContext, HookJournal, HookManager};

impl<D: DefinitionSource, L: Ledger, M: HookManager, J: HookJournal> HookContext<'_, D, L, M, J> {
    /// Writes the environment of the attempt into a file that only the experiment's user can read.
    pub(super) fn write_environment(
        &self,
        spec: &ExperimentSpec,
        opened: Option<&Opened>,
        recent: &[Attempt],
    ) -> Result<(), BeginError> {
        let layout = self.host.layout();
        let reader = environment_reader(self.host, spec)?;
        let variables = self.attempt_variables(&spec.id, opened, recent);
        let is_dynamic = matches!(reader, EnvironmentReader::Namespace);
        let text = render(spec, layout, is_dynamic, &variables);
        let path = match reader {
            EnvironmentReader::User(_) => layout.environment(&spec.id),
            EnvironmentReader::Namespace => layout.sealed_environment(&spec.id),
        };
        let write = || match reader {
            EnvironmentReader::User(uid) => files::put_for(uid, &path, &text),
            EnvironmentReader::Namespace => files::put_sealed(&path, &text),
        };
        write().map_err(|source| BeginError::Environment { path: path.clone(), source })
    }

    /// Returns the variables that change with each attempt.
    fn attempt_variables(
        &self,
        id: &ExperimentId,
        opened: Option<&Opened>,
        recent: &[Attempt],
    ) -> Vec<(&'static str, String)> {
        let Some(opened) = opened else { return Vec::new() };
        let mut variables = vec![
            ("BIJ_RUN", opened.run.to_string()),
            ("BIJ_ATTEMPT", opened.attempt.to_string()),
            ("BIJ_CRASHES", opened.before.crashes.to_string()),
        ];
        if let Some(cause) = opened.before.last_cause {
            variables.push(("BIJ_LAST_CAUSE", cause.to_string()));
        }
        if let Some(checkpoint) = self.resume_point(id, opened, recent) {
            variables.push(("BIJ_RESUME_FROM", checkpoint));
        }
        variables
    }

    /// Returns the newest checkpoint, unless its run has succeeded.
    fn resume_point(
        &self,
        id: &ExperimentId,
        opened: &Opened,
        recent: &[Attempt],
    ) -> Option<String> {
        let path = self.host.layout().progress(id);
        let begins_anew =
            opened.attempt.0 == 1 && opened.before.last_run_end == Some(RunEnd::Success);
        if begins_anew {
            logged(files::remove(&path), "cannot remove the progress of the last run");
            return None;
        }
        let newest = read_progress(&path).and_then(|progress| progress.checkpoint);
        newest.or_else(|| last_checkpoint(recent))
    }
}

/// Returns the newest checkpoint of an attempt since the last success.
fn last_checkpoint(recent: &[Attempt]) -> Option<String> {
    let ends = recent.iter().rev().filter_map(|attempt| attempt.end.as_ref());
    ends.take_while(|end| end.cause != Cause::Success)
        .find_map(|end| end.evidence.progress.as_ref()?.checkpoint.clone())
}

/// Renders the environment of an attempt: `HOME` of a dynamic user, then the definition's variables, then ours, then
/// `variables` of this attempt; later ones override earlier ones. Each is `NAME=VALUE`, ended by a NUL, so that no
/// value needs quotes.
///
/// In the user database, the home of a dynamic user is `/` (nss-systemd(8)), which is not writable, but libraries
/// keep their caches below the home (XDG Base Directory Specification).
fn render(
    spec: &ExperimentSpec,
    layout: &Layout,
    is_dynamic: bool,
    variables: &[(&'static str, String)],
) -> Vec<u8> {
    let id = &spec.id;
    let shown = |path: std::path::PathBuf| Cow::Owned(path.to_string_lossy().into_owned());
    let ours = [
        ("BIJ_EXPERIMENT", Cow::Borrowed(id.as_str())),
        ("BIJ_STATE_DIR", shown(layout.experiment_state(id))),
        ("BIJ_PROGRESS", shown(layout.progress(id))),
        ("BIJ_STOP_FILE", shown(layout.stop_file(id))),
    ];
    let home = is_dynamic.then(|| ("HOME", shown(layout.experiment_state(id))));
    let config = spec.config.as_deref().map(|config| ("BIJ_CONFIG", Cow::Borrowed(config)));
    let variables = variables.iter().map(|(name, value)| (*name, Cow::Borrowed(value.as_str())));
    let defined =
        spec.environment.iter().map(|(name, value)| (name.as_str(), Cow::Borrowed(value.as_str())));
    let mut text = Vec::new();
    for (name, value) in home.into_iter().chain(defined).chain(ours).chain(config).chain(variables)
    {
        text.extend([name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat());
    }
    text
}

/// Why the user of an experiment cannot be found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// There is no user of this name.
    #[error("{0}")]
    NoUser(Obstacle),
    /// The users could not be looked up.
    #[error("cannot look up user {name}")]
    Lookup {
        /// The name of the user.
        name: String,
        /// The error of the system.
        #[source]
        source: Errno,
    },
}

/// The processes that may read the environment of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EnvironmentReader {
    /// The processes of one user.
    User(Uid),
    /// The processes in the unit's mount namespace, of a dynamic user. systemd allocates that user with its first
    /// process, which may run only after this hook.
    Namespace,
}

/// Returns the processes that may read the environment of an experiment.
///
/// # Errors
/// [`OwnerError`] if the definition's user cannot be found.
fn environment_reader(
    host: &HostContext,
    spec: &ExperimentSpec,
) -> Result<EnvironmentReader, OwnerError> {
    if host.is_user() {
        return Ok(EnvironmentReader::User(geteuid()));
    }
    match &spec.user {
        Some(user) => find_user(user).map(EnvironmentReader::User),
        None => Ok(EnvironmentReader::Namespace),
    }
}

fn find_user(name: &str) -> Result<Uid, OwnerError> {
    if let Ok(number) = name.parse() {
        return Ok(Uid::from_raw(number));
    }
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid),
        Ok(None) => Err(OwnerError::NoUser(Obstacle::NoUser { name: name.to_owned() })),
        Err(source) => Err(OwnerError::Lookup { name: name.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bij_core::ExperimentId;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::TestMachine;

    fn spec() -> ExperimentSpec {
        ExperimentSpec::new(ExperimentId::new("x").unwrap(), vec!["true".to_owned()])
    }

    fn rendered(spec: &ExperimentSpec, variables: &[(&'static str, String)]) -> Vec<String> {
        let text = render(spec, &Layout::system(Path::new("/")), false, variables);
        let text = String::from_utf8(text).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn our_variables_override_those_of_the_definition() {
        let mut spec = spec();
        spec.environment.insert("BIJ_EXPERIMENT".to_owned(), "another".to_owned());
        spec.environment.insert("A".to_owned(), "1 2\n\"3\" 100% $HOME".to_owned());
        spec.config = Some("/opt/c.json".to_owned());
        let entries = rendered(&spec, &[("BIJ_ATTEMPT", "2".to_owned())]);
        assert_eq!(
            entries,
            [
                "A=1 2\n\"3\" 100% $HOME",
                "BIJ_EXPERIMENT=another",
                "BIJ_EXPERIMENT=x",
                "BIJ_STATE_DIR=/var/lib/brain-in-jar/experiments/x",
                "BIJ_PROGRESS=/var/lib/brain-in-jar/experiments/x/progress",
                "BIJ_STOP_FILE=/run/brain-in-jar/stop/x",
                "BIJ_CONFIG=/opt/c.json",
                "BIJ_ATTEMPT=2",
            ]
        );
    }

    #[test]
    fn a_dynamic_user_has_a_home_that_it_can_write_unless_the_definition_sets_one() {
        let mut spec = spec();
        assert!(!rendered(&spec, &[]).iter().any(|entry| entry.starts_with("HOME=")));
        let home = |spec: &ExperimentSpec| {
            let text = render(spec, &Layout::system(Path::new("/")), true, &[]);
            let text = String::from_utf8(text).unwrap();
            let mut entries = text.split_terminator('\0').filter_map(|it| it.strip_prefix("HOME="));
            entries.next_back().map(str::to_owned)
        };
        assert_eq!(home(&spec).as_deref(), Some("/var/lib/brain-in-jar/experiments/x"));
        spec.environment.insert("HOME".to_owned(), "/opt/brain".to_owned());
        assert_eq!(home(&spec).as_deref(), Some("/opt/brain"));
    }

    proptest! {
        #[test]
        fn every_value_is_an_entry_of_its_own(value in "[^\0]{0,40}") {
            let mut spec = spec();
            spec.environment.insert("VALUE".to_owned(), value.clone());
            prop_assert_eq!(&rendered(&spec, &[])[0], &format!("VALUE={value}"));
        }
    }

    #[test]
    fn a_dynamic_user_reads_in_its_namespace_and_a_static_one_is_looked_up() {
        let machine = TestMachine::new();
        let mut spec = ExperimentSpec::new(machine.id.clone(), vec!["true".to_owned()]);
        assert_eq!(environment_reader(&machine.host, &spec).unwrap(), EnvironmentReader::Namespace);
        for (user, uid) in [("root", 0), ("4711", 4711)] {
            spec.user = Some(user.to_owned());
            let expected = EnvironmentReader::User(Uid::from_raw(uid));
            assert_eq!(environment_reader(&machine.host, &spec).unwrap(), expected);
        }
        spec.user = Some("no-such-user".to_owned());
        let lost = environment_reader(&machine.host, &spec).unwrap_err();
        assert!(lost.to_string().starts_with("there is no user no-such-user: create"), "{lost}");
    }
}
