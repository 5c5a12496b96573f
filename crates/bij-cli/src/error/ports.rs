//! Errors of the ports, with their remedies.

use std::error::Error;
use std::io;

use bij_core::port::DefinitionError;
use bij_core::port::{FindError, LedgerError, UnitError};
use bij_definition::SubmitError;

use super::{CliError, Kind};

const AS_ROOT: &str = "repeat the command with sudo, or use --user for experiments of your own";

const READ_ONLY: &str =
    "the file system is mounted read-only, maybe after a disk error: see `findmnt` and `dmesg`";

impl From<UnitError> for CliError {
    fn from(error: UnitError) -> Self {
        match &error {
            UnitError::NotFound(_) => {
                Self::from_error(Kind::NotFound, &error).hint("see `bij list`")
            }
            UnitError::NotLoaded { .. } => {
                error.remedy().into_iter().fold(Self::from_error(Kind::Failed, &error), Self::hint)
            }
            UnitError::Job { id, .. } => Self::from_error(Kind::Failed, &error)
                .hint(format!("see `bij status {id}` and `bij logs {id}`")),
            UnitError::NotPrepared { id, .. } => Self::from_error(Kind::Failed, &error)
                .hint("a file system may be full or read-only: see `df -h /run /var` and `findmnt`")
                .hint(format!("systemd's messages: journalctl -u {}", id.unit_name())),
            UnitError::Denied { source, .. } => match source.downcast_ref() {
                Some(refused) => {
                    Self::from_error(Kind::Permission, &error).hint_at_coordinator(refused)
                }
                None => Self::from_error(Kind::Permission, &error).hint(AS_ROOT),
            },
            UnitError::Unreachable(_) => Self::from_error(Kind::Unreachable, &error)
                .hint("where systemd does not run, use --local"),
            UnitError::Unsupported(_) => Self::from_error(Kind::Unsupported, &error),
            _ => Self::from_error(Kind::Failed, &error),
        }
    }
}

impl From<FindError> for CliError {
    fn from(error: FindError) -> Self {
        match &error {
            FindError::Missing { id, looked_for } => {
                let path = looked_for.first().map_or("its file", String::as_str);
                Self::new(Kind::NotFound, format!("there is no experiment {id}")).hint(format!(
                    "write {path}; `bij list` shows the experiments that are defined"
                ))
            }
            FindError::Invalid { id, source } => {
                Self::from_definition(format!("the definition of {id} has an error"), source)
            }
            FindError::Unreadable { source, .. } => {
                let kind = match source.kind() {
                    io::ErrorKind::PermissionDenied => Kind::Permission,
                    _ => Kind::Definition,
                };
                let error = Self::from_error(kind, &error);
                if kind == Kind::Permission { error.hint(AS_ROOT) } else { error }
            }
            _ => Self::from_error(Kind::Definition, &error),
        }
    }
}

impl From<SubmitError> for CliError {
    fn from(error: SubmitError) -> Self {
        match &error {
            SubmitError::Invalid { id, source } => {
                Self::from_definition(format!("the definition of {id} has an error"), source)
            }
            SubmitError::Write { path, source } => file_error(&format!("write {path}"), source),
            _ => Self::from_error(Kind::Definition, &error),
        }
    }
}

impl CliError {
    /// Creates the error of a definition: a headline, and a line for each problem, with its hint.
    pub(crate) fn from_definition(headline: String, error: &DefinitionError) -> Self {
        let mut lines = vec![headline];
        lines.extend(error.problems.iter().map(ToString::to_string));
        let hints = error.problems.iter().filter_map(|problem| problem.hint.clone()).collect();
        Self { hints, ..Self::new(Kind::Definition, lines.join("\n  ")) }
    }
}

impl From<LedgerError> for CliError {
    fn from(error: LedgerError) -> Self {
        match &error {
            LedgerError::Denied(_) => Self::from_error(Kind::Permission, &error).hint(AS_ROOT),
            LedgerError::Corrupt(_) => Self::from_error(Kind::Database, &error).hint(
                "restore a backup, or begin a new history: `systemctl stop \
                     brain-experiment-coordinator`, move state.db, state.db-wal and state.db-shm \
                     away, `systemctl start brain-experiment-coordinator`",
            ),
            LedgerError::Newer { .. } => {
                Self::from_error(Kind::Database, &error).hint("install a newer bij")
            }
            LedgerError::Busy(_) | LedgerError::Replaced(_) => {
                Self::from_error(Kind::Database, &error).hint("try again")
            }
            LedgerError::Full(_) => {
                Self::from_error(Kind::Database, &error).hint("free space on that file system")
            }
            _ => Self::from_error(Kind::Database, &error),
        }
    }
}

/// Creates the error of a failed action on a file, such as `write /path`.
pub(crate) fn file_error(action: &str, error: &io::Error) -> CliError {
    let (kind, hint) = match error.kind() {
        io::ErrorKind::PermissionDenied => (Kind::Permission, Some(AS_ROOT)),
        io::ErrorKind::ReadOnlyFilesystem => (Kind::Internal, Some(READ_ONLY)),
        io::ErrorKind::StorageFull => (Kind::Internal, Some("free space on that file system")),
        _ => (Kind::Internal, None),
    };
    let source: &dyn Error = error;
    let error = CliError::new(kind, format!("cannot {action}: {source}"));
    hint.into_iter().fold(error, CliError::hint)
}
