//! The writers of records that are believed.

use bij_core::InvocationId;
use nix::unistd::Uid;

use super::record::Record;

/// The unit that contains the manager process itself, directly below PID 1 or below `user@UID.service`
/// (systemd.special(7)).
pub(crate) const MANAGER_UNIT: &str = "init.scope";

/// The writers that are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrustedWriters {
    /// PID 1, and root on behalf of units.
    System,
    /// A user's service manager, and that user on behalf of units.
    User {
        /// The id of the user.
        uid: Uid,
    },
}

impl TrustedWriters {
    /// Returns `true` if a process of a trusted user wrote a record.
    pub(crate) fn is_trusted_uid(self, record: &Record) -> bool {
        let trusted = match self {
            Self::System => Uid::from_raw(0),
            Self::User { uid } => uid,
        };
        record.number("_UID") == Some(trusted.as_raw())
    }

    /// Returns journalctl matches for the manager's records of one attempt.
    pub(crate) fn manager_matches(self, invocation: InvocationId) -> Vec<String> {
        match self {
            Self::System => vec!["_PID=1".to_owned(), format!("INVOCATION_ID={invocation}")],
            Self::User { uid } => vec![
                format!("_UID={uid}"),
                format!("_SYSTEMD_USER_UNIT={MANAGER_UNIT}"),
                format!("USER_INVOCATION_ID={invocation}"),
            ],
        }
    }
}
