//! Warns if the experiments of a user end with the user's last session.

use std::io::ErrorKind;
use std::path::Path;

use nix::unistd::{User, geteuid};

/// The directory in which logind keeps a file for each user whose manager runs without a session
/// (`loginctl enable-linger`; systemd-logind.service(8)).
const LINGER: &str = "var/lib/systemd/linger";

/// Returns a warning if the user's service manager, with all its units, ends with the user's last session.
/// `root` is the root of the machine's files.
pub(crate) fn warning(root: &Path) -> Option<String> {
    let user = User::from_uid(geteuid()).ok()??.name;
    is_off(root, &user).then(|| {
        format!(
            "lingering is off for {user}: experiments under `systemd --user` are stopped when the last \
             session ends, and none starts before the next login; `loginctl enable-linger` changes this"
        )
    })
}

/// Returns whether lingering is off; `false` also if that is not known.
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
    fn lingering_is_off_for_a_user_without_a_file_of_logind() {
        let root = tempfile::tempdir().unwrap();
        assert!(is_off(root.path(), "ann"), "logind makes the directory with the first file");
        std::fs::create_dir_all(root.path().join(LINGER)).unwrap();
        std::fs::write(root.path().join(LINGER).join("ann"), "").unwrap();
        assert!(!is_off(root.path(), "ann"));
        assert!(is_off(root.path(), "ben"));
    }
}
