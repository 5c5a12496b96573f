//! What the ports' errors mean to a person at a shell.

use std::error::Error;
use std::io;

use bij_core::definition::DefinitionError;
use bij_core::port::{FindError, LedgerError, UnitError};
use bij_definitions::SubmitError;

use super::{CliError, Kind};

const AS_ROOT: &str = "repeat it with sudo, or use --user for experiments of your own";

const READ_ONLY: &str = "the file system is mounted read-only, by intent or after an error of the disk: `findmnt` and `dmesg` tell";

impl From<UnitError> for CliError {
    fn from(error: UnitError) -> Self {
        match &error {
            UnitError::NotFound(_) => Self::of(Kind::NotFound, &error).hint("see `bij list`"),
            UnitError::NotLoaded { .. } => {
                error.remedy().into_iter().fold(Self::of(Kind::Failed, &error), Self::hint)
            }
            UnitError::Job { id, .. } => Self::of(Kind::Failed, &error)
                .hint(format!("see `bij status {id}` and `bij logs {id}`")),
            UnitError::NotPrepared { id, .. } => Self::of(Kind::Failed, &error)
                .hint("is a file system full or read-only? `df -h /run /var` and `findmnt` tell")
                .hint(format!("systemd's own words: journalctl -u {}", id.unit_name())),
            UnitError::Denied { source, .. } => match source.downcast_ref() {
                Some(refused) => Self::of(Kind::Permission, &error).hints_of(refused),
                None => Self::of(Kind::Permission, &error).hint(AS_ROOT),
            },
            UnitError::Unreachable(_) => Self::of(Kind::Unreachable, &error)
                .hint("where systemd does not run, --local does without it"),
            UnitError::Unsupported(_) => Self::of(Kind::Unsupported, &error),
            _ => Self::of(Kind::Failed, &error),
        }
    }
}

impl From<FindError> for CliError {
    fn from(error: FindError) -> Self {
        match &error {
            FindError::Missing { id, looked_for } => {
                let place = looked_for.first().map_or("its file", String::as_str);
                Self::new(Kind::NotFound, format!("there is no experiment {id}"))
                    .hint(format!("write {place}, or see `bij list` for those that are defined"))
            }
            FindError::Invalid { id, source } => {
                Self::of_definition(format!("the definition of {id} has an error"), source)
            }
            FindError::Unreadable { source, .. } => {
                let kind = match source.kind() {
                    io::ErrorKind::PermissionDenied => Kind::Permission,
                    _ => Kind::Definition,
                };
                let error = Self::of(kind, &error);
                if kind == Kind::Permission { error.hint(AS_ROOT) } else { error }
            }
            _ => Self::of(Kind::Definition, &error),
        }
    }
}

impl From<SubmitError> for CliError {
    fn from(error: SubmitError) -> Self {
        match &error {
            SubmitError::Invalid { id, source } => {
                Self::of_definition(format!("the definition of {id} has an error"), source)
            }
            SubmitError::Write { path, source } => of_file(&format!("write {path}"), source),
            _ => Self::of(Kind::Definition, &error),
        }
    }
}

impl CliError {
    /// What is wrong with a definition: each problem in a line of its own, with its hint.
    pub(crate) fn of_definition(headline: String, error: &DefinitionError) -> Self {
        let mut lines = vec![headline];
        lines.extend(error.problems.iter().map(ToString::to_string));
        let hints = error.problems.iter().filter_map(|problem| problem.hint.clone()).collect();
        Self { hints, ..Self::new(Kind::Definition, lines.join("\n  ")) }
    }
}

impl From<LedgerError> for CliError {
    fn from(error: LedgerError) -> Self {
        match &error {
            LedgerError::Denied(_) => Self::of(Kind::Permission, &error).hint(AS_ROOT),
            LedgerError::Corrupt(_) => Self::of(Kind::Database, &error).hint(
                "put a backup in its place, or begin a new history: `systemctl stop \
                     brain-experiment-coordinator`, move state.db, state.db-wal and state.db-shm \
                     away, `systemctl start brain-experiment-coordinator`",
            ),
            LedgerError::Newer { .. } => {
                Self::of(Kind::Database, &error).hint("install the newer bij")
            }
            LedgerError::Busy(_) | LedgerError::Replaced(_) => {
                Self::of(Kind::Database, &error).hint("try again")
            }
            LedgerError::Full(_) => {
                Self::of(Kind::Database, &error).hint("make room on that file system")
            }
            _ => Self::of(Kind::Database, &error),
        }
    }
}

/// The kind that an I/O error on a file of bij's own has.
pub(crate) fn of_file(action: &str, error: &io::Error) -> CliError {
    let (kind, hint) = match error.kind() {
        io::ErrorKind::PermissionDenied => (Kind::Permission, Some(AS_ROOT)),
        io::ErrorKind::ReadOnlyFilesystem => (Kind::Internal, Some(READ_ONLY)),
        io::ErrorKind::StorageFull => (Kind::Internal, Some("make room on that file system")),
        _ => (Kind::Internal, None),
    };
    let source: &dyn Error = error;
    let told = CliError::new(kind, format!("cannot {action}: {source}"));
    hint.into_iter().fold(told, CliError::hint)
}
