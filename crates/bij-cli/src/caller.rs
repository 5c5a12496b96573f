//! The user who calls `bij`.

use nix::unistd::{Uid, User, geteuid, getuid};

/// Returns the user behind this process, as the ledger records users: `alice (uid 1000)`. Under sudo it is the
/// user who called sudo.
pub(crate) fn caller() -> String {
    let caller = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    let uid = caller.filter(|_| geteuid().is_root()).map_or_else(getuid, Uid::from_raw);
    match User::from_uid(uid) {
        Ok(Some(user)) => format!("{} (uid {uid})", user.name),
        Ok(None) | Err(_) => format!("uid {uid}"),
    }
}
