//! Trust in files, by their owner and mode and those of the directories above them.
//!
//! Privileged code reads settings from files. A setting is as trustworthy as the least trusted account that
//! could have written it: the owner of the file, of a directory on its path, or of a symbolic link on its path,
//! and every account that may write one of them. [`Authority::check`] decides from values alone; the adapter
//! that opens files collects them.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Write permission of the group (inode(7)).
const GROUP_WRITE: u32 = 0o020;
/// Write permission of all other users (inode(7)).
const OTHERS_WRITE: u32 = 0o002;
/// On a directory: only the owner of an entry may rename or remove it (inode(7)).
const STICKY: u32 = 0o1000;

/// The owner and mode of a file, a directory or a symbolic link (fstat(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ownership {
    /// User id of the owner.
    pub uid: u32,
    /// The group id of the file.
    pub gid: u32,
    /// The permission bits, `0o7777` at most. A POSIX access list shows as the group's bits (acl(5)).
    pub mode: u32,
}

/// The kind of a step on the path to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathStepKind {
    /// A directory above the one that holds the next link or the file.
    Ancestor,
    /// The directory that holds a link or the file itself.
    Directory,
    /// A symbolic link, whose mode means nothing.
    Link,
    /// The file itself.
    File,
}

impl PathStepKind {
    const fn noun(self) -> &'static str {
        match self {
            Self::Ancestor | Self::Directory => "the directory",
            Self::Link => "the symbolic link",
            Self::File => "the file",
        }
    }
}

/// A directory, a link or the file itself, on the path from `/` to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// The path of the step.
    pub path: PathBuf,
    /// The kind of the step.
    pub kind: PathStepKind,
    /// Its owner and mode.
    pub ownership: Ownership,
}

/// The accounts whose files are trusted: root, and at most one other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority {
    uid: u32,
}

impl Authority {
    /// Trusts root alone.
    pub const ROOT: Self = Self { uid: 0 };

    /// Trusts root and this user.
    pub const fn user(uid: u32) -> Self {
        Self { uid }
    }

    /// Returns the user id of the account beside root; 0 if there is none.
    pub const fn uid(self) -> u32 {
        self.uid
    }

    /// Checks that no other account could have written a step.
    ///
    /// An ancestor that all users may write is accepted if it is sticky, like `/tmp`: only the owner of the
    /// next step can replace that step, and its owner is checked too. The directory that holds the file is
    /// not accepted even if sticky, because a hard link in it can give another file's content a new name.
    ///
    /// A group with the same number as the user is that user's private group (useradd(8), `USERGROUPS_ENAB`)
    /// and may write the user's files. Root has no such group.
    ///
    /// # Errors
    /// [`TooOpen`] names the first step that another account could have written, and the remedy.
    pub fn check<'a>(self, steps: impl IntoIterator<Item = &'a PathStep>) -> Result<(), TooOpen> {
        for step in steps {
            if let Some(why) = self.objection(step) {
                return Err(TooOpen {
                    path: step.path.clone(),
                    kind: step.kind,
                    why,
                    wanted: self.uid,
                });
            }
        }
        Ok(())
    }

    fn objection(self, PathStep { path: _, kind, ownership }: &PathStep) -> Option<TooOpenReason> {
        let Ownership { uid, gid, mode } = *ownership;
        if uid != 0 && uid != self.uid {
            return Some(TooOpenReason::Owner { uid });
        }
        let is_shared = match kind {
            PathStepKind::Link => return None,
            PathStepKind::Ancestor => mode & STICKY == 0,
            PathStepKind::Directory | PathStepKind::File => true,
        };
        let is_own_group = self.uid != 0 && gid == self.uid;
        if is_shared && mode & OTHERS_WRITE != 0 {
            Some(TooOpenReason::Others { mode })
        } else if is_shared && mode & GROUP_WRITE != 0 && !is_own_group {
            Some(TooOpenReason::Group { gid, mode })
        } else {
            None
        }
    }
}

/// Why an untrusted account could have written a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooOpenReason {
    /// An untrusted account owns it.
    Owner {
        /// The user id of the owner.
        uid: u32,
    },
    /// A group may write it.
    Group {
        /// The group id.
        gid: u32,
        /// The permission bits.
        mode: u32,
    },
    /// All users may write it.
    Others {
        /// The permission bits.
        mode: u32,
    },
}

/// The error for a file that is not trusted, because an untrusted account could have written it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{} {} {why}, so it is not trusted", .kind.noun(), .path.display())]
pub struct TooOpen {
    /// The path of the step that an untrusted account could have written.
    pub path: PathBuf,
    /// The kind of that step.
    pub kind: PathStepKind,
    /// Why the account could have written it.
    pub why: TooOpenReason,
    /// User id of the owner that the step should have.
    wanted: u32,
}

impl fmt::Display for TooOpenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner { uid } => write!(f, "belongs to uid {uid}"),
            Self::Group { gid, mode } => {
                write!(f, "has mode {mode:04o}: every member of gid {gid} may write it")
            }
            Self::Others { mode } => write!(f, "has mode {mode:04o}: every user may write it"),
        }
    }
}

impl TooOpen {
    /// Returns the command that restricts access. The content must be checked first, because another account
    /// may have changed it.
    pub fn remedy(&self) -> String {
        let path = self.path.display();
        let command = match self.why {
            TooOpenReason::Owner { .. } => {
                let no_follow = if self.kind == PathStepKind::Link { "-h " } else { "" };
                let owner =
                    if self.wanted == 0 { "root".to_owned() } else { self.wanted.to_string() };
                format!("chown {no_follow}{owner} {path}")
            }
            TooOpenReason::Group { .. } => format!("chmod g-w {path}"),
            TooOpenReason::Others { .. } => format!("chmod o-w {path}"),
        };
        format!("check its contents, then: {command}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: u32 = 1000;
    const BOB: u32 = 1001;

    fn step(kind: PathStepKind, uid: u32, gid: u32, mode: u32) -> PathStep {
        PathStep { path: PathBuf::from("/x"), kind, ownership: Ownership { uid, gid, mode } }
    }

    #[test]
    fn a_step_is_trusted_by_its_owner_and_mode() {
        use PathStepKind::{Ancestor, Directory, File, Link};
        let root = Authority::ROOT;
        let alice = Authority::user(ALICE);
        // Kind, owner, group, mode; whether root trusts it, whether alice trusts it.
        for (kind, uid, gid, mode, for_root, for_alice) in [
            (File, 0, 0, 0o644, true, true),
            (File, 0, 0, 0o600, true, true),
            (File, 0, ALICE, 0o664, false, true),
            (File, 0, 0, 0o664, false, false),
            (File, 0, 0, 0o646, false, false),
            (File, 0, 0, 0o1646, false, false),
            (File, 0, 0, 0o666, false, false),
            (File, ALICE, ALICE, 0o644, false, true),
            (File, ALICE, ALICE, 0o664, false, true),
            (File, ALICE, BOB, 0o664, false, false),
            (File, BOB, BOB, 0o600, false, false),
            (Directory, 0, 0, 0o755, true, true),
            (Directory, 0, 0, 0o775, false, false),
            (Directory, 0, 0, 0o1777, false, false),
            (Directory, ALICE, ALICE, 0o700, false, true),
            (Ancestor, 0, 0, 0o755, true, true),
            (Ancestor, 0, 0, 0o1777, true, true),
            (Ancestor, 0, 0, 0o1775, true, true),
            (Ancestor, 0, 0, 0o777, false, false),
            (Ancestor, ALICE, ALICE, 0o755, false, true),
            (Ancestor, BOB, BOB, 0o1777, false, false),
            (Link, 0, 0, 0o777, true, true),
            (Link, ALICE, ALICE, 0o777, false, true),
            (Link, BOB, BOB, 0o777, false, false),
        ] {
            let steps = [step(kind, uid, gid, mode)];
            let case = format!("{kind:?} {uid}:{gid} {mode:o}");
            assert_eq!(root.check(&steps).is_ok(), for_root, "root, {case}");
            assert_eq!(alice.check(&steps).is_ok(), for_alice, "alice, {case}");
        }
    }

    #[test]
    fn one_open_step_is_enough_and_is_named_with_its_remedy() {
        let mut steps = vec![
            step(PathStepKind::Ancestor, 0, 0, 0o755),
            step(PathStepKind::Directory, 0, 0, 0o755),
            step(PathStepKind::File, 0, 0, 0o644),
        ];
        assert_eq!(Authority::ROOT.check(&steps), Ok(()));
        steps[0] = step(PathStepKind::Ancestor, ALICE, ALICE, 0o755);
        steps[0].path = PathBuf::from("/home/alice");
        let error = Authority::ROOT.check(&steps).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the directory /home/alice belongs to uid 1000, so it is not trusted"
        );
        assert_eq!(error.remedy(), "check its contents, then: chown root /home/alice");
        steps[0].ownership = Ownership { uid: 0, gid: 27, mode: 0o2775 };
        let error = Authority::ROOT.check(&steps).unwrap_err();
        assert!(error.to_string().contains("mode 2775: every member of gid 27"), "{error}");
        assert!(error.remedy().ends_with("chmod g-w /home/alice"));
        steps[0].ownership.mode = 0o757;
        assert!(Authority::ROOT.check(&steps).unwrap_err().remedy().contains("chmod o-w"));
        steps[0] = step(PathStepKind::Link, ALICE, 0, 0o777);
        assert!(Authority::ROOT.check(&steps).unwrap_err().remedy().contains("chown -h root"));
        assert!(Authority::user(BOB).check(&steps).unwrap_err().remedy().contains("chown -h 1001"));
    }
}
