//! Who is typing.

use nix::unistd::{Uid, User, geteuid, getuid};

/// The person behind this process, as the ledger tells it: `alice (uid 1000)`. Behind sudo it is
/// the one who called it.
pub(crate) fn who() -> String {
    let caller = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    let uid = caller.filter(|_| geteuid().is_root()).map_or_else(getuid, Uid::from_raw);
    match User::from_uid(uid) {
        Ok(Some(user)) => format!("{} (uid {uid})", user.name),
        Ok(None) | Err(_) => format!("uid {uid}"),
    }
}
