//! The rights of callers.

use std::ffi::CString;

use bij_core::account_name;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use crate::{Refusal, RefusalKind};

/// The users who may change things. All users may query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// The system's coordinator: root and the members of a group.
    System {
        /// The name of the group.
        group: String,
    },
    /// The coordinator of a user: that user, and root.
    User {
        /// The id of the user.
        uid: u32,
    },
}

/// The user at the other end of a connection, as identified by the kernel or the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user id.
    pub uid: u32,
    /// The name for output: `alice (uid 1000)`.
    pub name: String,
    may_change: bool,
    /// Whether the user is root or the owner of the coordinator.
    is_operator: bool,
    /// How to get the right to change things.
    remedy: Option<String>,
}

impl Rights {
    /// Returns the rights of the system's coordinator: root and members of group `bij` may change things.
    pub fn system() -> Self {
        Self::System { group: "bij".to_owned() }
    }

    /// Returns a user with their rights. Looks up the user and group databases, which can take long if they are on the
    /// network.
    pub fn caller(&self, uid: u32) -> Caller {
        let user = if uid == 0 { None } else { User::from_uid(Uid::from_raw(uid)).ok().flatten() };
        let name = account_name(uid, user.as_ref().map(|user| &*user.name));
        let is_operator = self.is_owner(uid);
        let may_change = is_operator
            || match self {
                Self::System { group } => user.as_ref().is_some_and(|user| is_member(user, group)),
                Self::User { .. } => false,
            };
        let remedy = (!may_change).then(|| self.remedy(user.as_ref().map(|user| &*user.name)));
        Caller { uid, name, may_change, is_operator, remedy }
    }

    /// Returns whether the user owns the coordinator; needs no look-up.
    pub(super) fn is_owner(&self, uid: u32) -> bool {
        uid == 0 || matches!(self, Self::User { uid: owner } if *owner == uid)
    }

    fn remedy(&self, name: Option<&str>) -> String {
        match self {
            Self::System { group } => format!(
                "join group {group} with `sudo usermod -aG {group} {}` and log in again, or use sudo",
                name.unwrap_or("USER")
            ),
            Self::User { uid } => format!("this is the coordinator of the user with uid {uid}"),
        }
    }
}

/// Returns whether a user is in a group by the databases, independent of the groups of any process.
fn is_member(user: &User, group: &str) -> bool {
    let Ok(Some(group)) = Group::from_name(group) else { return false };
    groups(user).contains(&group.gid)
}

fn groups(user: &User) -> Vec<Gid> {
    let name = CString::new(user.name.as_str()).unwrap_or_default();
    getgrouplist(&name, user.gid).unwrap_or_default()
}

impl Caller {
    /// Returns whether the caller may change things.
    pub const fn may_change(&self) -> bool {
        self.may_change
    }

    /// Refuses a caller who is neither root nor the owner of the coordinator.
    ///
    /// # Errors
    /// [`RefusalKind::Denied`] with the remedy.
    pub(crate) fn ensure_operator(&self, what: &str) -> Result<(), Refusal> {
        if self.is_operator {
            return Ok(());
        }
        let text = format!("{} may not {what}: only the hooks may, which root runs", self.name);
        let remedy =
            "use bij start ID, or systemctl start brain-experiment@ID, whose hook asks".to_owned();
        Err(Refusal { kind: RefusalKind::Denied, text, remedy: Some(remedy) })
    }

    /// Refuses a caller who may not change things.
    ///
    /// # Errors
    /// [`RefusalKind::Denied`] with the remedy.
    pub(crate) fn ensure_may_change(&self, what: &str) -> Result<(), Refusal> {
        if self.may_change {
            return Ok(());
        }
        let text = format!("{} may not {what}", self.name);
        Err(Refusal { kind: RefusalKind::Denied, text, remedy: self.remedy.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_may_change_things_and_other_users_get_a_remedy() {
        let rights = Rights::system();
        assert!(rights.caller(0).may_change());
        // No user has this id, so it is in no group.
        let stranger = rights.caller(3_999_999_999);
        let refusal = stranger.ensure_may_change("submit runs").unwrap_err();
        assert_eq!(refusal.text, "uid 3999999999 may not submit runs");
        assert!(refusal.remedy.unwrap().contains("usermod -aG bij USER"));
    }

    #[test]
    fn a_users_coordinator_belongs_to_that_user() {
        let rights = Rights::User { uid: 1000 };
        assert!(rights.caller(1000).may_change() && rights.caller(0).may_change());
        assert!(!rights.caller(1001).may_change());
    }

    #[test]
    fn members_of_the_group_may_change_things() {
        // A user is also in the group of their passwd entry.
        let Ok(Some(daemon)) = User::from_name("daemon") else { return };
        let Ok(Some(group)) = Group::from_gid(daemon.gid) else { return };
        let rights = Rights::System { group: group.name };
        assert!(rights.caller(daemon.uid.as_raw()).may_change());
        let rights = Rights::System { group: "no-such-group".to_owned() };
        assert!(!rights.caller(daemon.uid.as_raw()).may_change());
    }
}
