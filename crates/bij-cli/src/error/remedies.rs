//! Makes errors of bij's own crates errors of the command line, with their remedies.

use std::error::Error;
use std::io;

use bij_api::{ClientError, Refusal, RefusalKind};
use bij_core::port::{DefinitionError, FindError, LedgerError, UnitError};
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

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Refused(refusal) => refusal.into(),
            ClientError::Late { .. } => Self::from_error(Kind::Unreachable, &error)
                .hint("the change may have been made: see `bij queue` and `bij events`"),
            ClientError::NoCoordinator | ClientError::NotListening => {
                Self::from_error(Kind::Unreachable, &error)
            }
            ClientError::Unreachable(_) => Self::from_error(Kind::Unreachable, &error)
                .hint("if this was a change, `bij events` shows whether it was made"),
            _ => Self::from_error(Kind::Internal, &error),
        }
    }
}

impl CliError {
    /// Adds the remedies for a change of units that systemd permits to root only and that the
    /// coordinator did not make for the caller.
    #[must_use]
    pub(crate) fn hint_at_coordinator(self, refused: &ClientError) -> Self {
        match refused {
            ClientError::Refused(Refusal { remedy: Some(remedy), .. }) => self.hint(remedy.as_str()),
            ClientError::NoCoordinator | ClientError::NotListening => self
                .hint("members of group bij need the coordinator for this: `sudo systemctl enable --now brain-experiment-coordinator`")
                .hint("or repeat the command with sudo"),
            _ => self.hint("repeat the command with sudo"),
        }
    }
}

impl From<&Refusal> for CliError {
    fn from(Refusal { kind, text, remedy }: &Refusal) -> Self {
        let error = Self::new(Kind::from(*kind), text.as_str());
        remedy.iter().fold(error, |error, remedy| error.hint(remedy.as_str()))
    }
}

impl From<RefusalKind> for Kind {
    fn from(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::Denied => Self::Permission,
            RefusalKind::NotFound => Self::NotFound,
            RefusalKind::Invalid => Self::Usage,
            RefusalKind::Impossible => Self::Failed,
            RefusalKind::Store => Self::Database,
            RefusalKind::Trouble => Self::Unreachable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_remedy_and_gets_a_code() {
        for (kind, code) in [
            (RefusalKind::Denied, 103),
            (RefusalKind::NotFound, 102),
            (RefusalKind::Invalid, 2),
            (RefusalKind::Impossible, 1),
            (RefusalKind::Store, 106),
            (RefusalKind::Trouble, 104),
        ] {
            let refusal = Refusal::new(kind, "you may not").remedy("join group bij");
            let error = CliError::from(ClientError::from(refusal));
            assert_eq!((error.kind.code(), error.sentence().as_str()), (code, "you may not"));
            assert_eq!(error.hints, ["join group bij"]);
        }
    }
}
