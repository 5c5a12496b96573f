//! Whether the experiments of a user outlive the user's last session.

use std::io::ErrorKind;
use std::path::Path;

use nix::unistd::{User, geteuid};

/// Where logind keeps a file for each user whose manager runs without a session
/// (`loginctl enable-linger`; systemd-logind.service(8)).
const LINGER: &str = "var/lib/systemd/linger";

/// Returns a warning if the user's service manager ends with the user's last session, and with it
/// all that it runs. `root` is the tree of the machine.
pub(crate) fn warning(root: &Path) -> Option<String> {
    let user = User::from_uid(geteuid()).ok()??.name;
    is_off(root, &user).then(|| {
        format!(
            "lingering is off for {user}: what runs under `systemd --user` is stopped when the last \
             session ends, and nothing starts before the next login (`loginctl enable-linger` keeps it running)"
        )
    })
}

/// Returns `false` also where it cannot be told.
fn is_off(root: &Path, user: &str) -> bool {
    let missing = |path: &Path| {
        path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    missing(&root.join(LINGER).join(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_a_file_of_loginds_does_not_linger() {
        let root = tempfile::tempdir().unwrap();
        assert!(is_off(root.path(), "ann"), "logind makes the directory with the first file");
        std::fs::create_dir_all(root.path().join(LINGER)).unwrap();
        std::fs::write(root.path().join(LINGER).join("ann"), "").unwrap();
        assert!(!is_off(root.path(), "ann"));
        assert!(is_off(root.path(), "ben"));
    }
}
