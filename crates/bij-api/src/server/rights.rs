//! Who may change things.

use std::ffi::CString;

use bij_core::account_name;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use crate::{Refusal, RefusalKind};

/// Whose coordinator it is, and so who may change things. Everybody may look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// The machine's: root and the members of this group.
    System {
        /// The group's name.
        group: String,
    },
    /// One user's: that user, and root.
    User {
        /// The user.
        uid: u32,
    },
}

/// Somebody at the other end of a connection, as the kernel or the bus vouches for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Their user id.
    pub uid: u32,
    /// Their name for output: `alice (uid 1000)`.
    pub name: String,
    may_change: bool,
    /// Root, or the user whose own coordinator it is.
    is_operator: bool,
    /// What would make it possible.
    remedy: Option<String>,
}

impl Rights {
    /// The machine's coordinator: root and members of group `bij` may change things.
    pub fn system() -> Self {
        Self::System { group: "bij".to_owned() }
    }

    /// What a user may do. Looks into the system's databases of users and groups, which can take
    /// long where they are on the network.
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

    /// Whether the coordinator is this user's own, without looking anything up.
    pub(super) fn is_owner(&self, uid: u32) -> bool {
        uid == 0 || matches!(self, Self::User { uid: owner } if *owner == uid)
    }

    fn remedy(&self, name: Option<&str>) -> String {
        match self {
            Self::System { group } => format!(
                "`sudo usermod -aG {group} {}` makes a member of group {group} from the next login on; sudo does for once",
                name.unwrap_or("USER")
            ),
            Self::User { uid } => format!("this is the coordinator of the user with uid {uid}"),
        }
    }
}

/// Whether a user is in a group, by the databases and not by what some process was given once.
fn is_member(user: &User, group: &str) -> bool {
    let Ok(Some(group)) = Group::from_name(group) else { return false };
    groups(user).contains(&group.gid)
}

fn groups(user: &User) -> Vec<Gid> {
    let name = CString::new(user.name.as_str()).unwrap_or_default();
    getgrouplist(&name, user.gid).unwrap_or_default()
}

impl Caller {
    /// Whether they may change things.
    pub const fn may_change(&self) -> bool {
        self.may_change
    }

    /// Refuses an account that is neither root nor the one whose own coordinator it is.
    ///
    /// # Errors
    /// [`RefusalKind::Denied`] with what helps.
    pub(crate) fn must_be_operator(&self, what: &str) -> Result<(), Refusal> {
        if self.is_operator {
            return Ok(());
        }
        let text = format!("{} may not {what}: only the hooks do, which root runs", self.name);
        let remedy =
            "bij start ID, or systemctl start brain-experiment@ID: its hook asks".to_owned();
        Err(Refusal { kind: RefusalKind::Denied, text, remedy: Some(remedy) })
    }

    /// Refuses somebody who may not change things.
    ///
    /// # Errors
    /// [`RefusalKind::Denied`] with what helps.
    pub(crate) fn must_be_allowed(&self, what: &str) -> Result<(), Refusal> {
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
    fn root_may_everything_and_strangers_are_told_what_helps() {
        let rights = Rights::system();
        assert!(rights.caller(0).may_change());
        // No user has this id, so it is in no group.
        let stranger = rights.caller(3_999_999_999);
        let refusal = stranger.must_be_allowed("submit runs").unwrap_err();
        assert_eq!(refusal.text, "uid 3999999999 may not submit runs");
        assert!(refusal.remedy.unwrap().contains("usermod -aG bij USER"));
    }

    #[test]
    fn a_users_own_coordinator_is_that_users() {
        let rights = Rights::User { uid: 1000 };
        assert!(rights.caller(1000).may_change() && rights.caller(0).may_change());
        assert!(!rights.caller(1001).may_change());
    }

    #[test]
    fn a_group_is_one_by_its_members() {
        // Everybody is in the group that their passwd entry names, whoever lists its members.
        let Ok(Some(daemon)) = User::from_name("daemon") else { return };
        let Ok(Some(group)) = Group::from_gid(daemon.gid) else { return };
        let rights = Rights::System { group: group.name };
        assert!(rights.caller(daemon.uid.as_raw()).may_change());
        let rights = Rights::System { group: "no-such-group".to_owned() };
        assert!(!rights.caller(daemon.uid.as_raw()).may_change());
    }
}
