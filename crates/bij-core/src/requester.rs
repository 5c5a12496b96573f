//! The account that makes a request.

/// The account that makes a request, as authenticated by the kernel or the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requester {
    /// Root, or the user who owns the coordinator.
    Operator,
    /// Another account.
    Member {
        /// The user id; `u32::MAX` for a name that no account has.
        uid: u32,
        /// The login name, if the user database has one.
        login: Option<String>,
    },
}

/// Returns an account's name for output and for the ledger: `root`, `alice (uid 1000)`, `uid 1000`.
///
/// Only uid 0 is called `root` alone, whatever name the user database gives to another account.
pub fn account_name(uid: u32, login: Option<&str>) -> String {
    match (uid, login) {
        (0, _) => "root".to_owned(),
        (_, Some(login)) => format!("{login} (uid {uid})"),
        (_, None) => format!("uid {uid}"),
    }
}

/// Names in the ledger for starts that the service manager attributes to no account. Only the hooks, which
/// root runs, report such starts.
pub const UNATTRIBUTED_STARTS: [&str; 2] = ["boot", "systemctl start"];

impl Requester {
    /// Returns the account that an [`account_name`] names. `owner` is the user who owns the coordinator, if it
    /// is a user's.
    ///
    /// A name of any other form gives an account that matches no user and has no rights.
    pub fn from_name(name: &str, owner: Option<u32>) -> Self {
        if name == "root" || UNATTRIBUTED_STARTS.contains(&name) {
            return Self::Operator;
        }
        let (login, rest) = match name.rsplit_once(" (uid ") {
            Some((login, rest)) => (Some(login.to_owned()), rest.strip_suffix(')')),
            None => (None, name.strip_prefix("uid ")),
        };
        match rest.and_then(|digits| digits.parse().ok()) {
            Some(uid) if Some(uid) == owner => Self::Operator,
            Some(uid) => Self::Member { uid, login },
            None => Self::Member { uid: u32::MAX, login: None },
        }
    }

    /// Returns whether this account is an experiment's `user`, given as login or as number.
    pub fn is_user(&self, user: Option<&str>) -> bool {
        let (Self::Member { uid, login }, Some(user)) = (self, user) else { return false };
        login.as_deref() == Some(user) || user.parse() == Ok(*uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_name_parses_back_to_its_account() {
        for (uid, login) in [
            (1000, Some("alice")),
            (1000, None),
            (5, Some("root")),
            (5, Some("x (uid 0)")),
            (5, Some("boot")),
            (5, Some("")),
        ] {
            let requester = Requester::from_name(&account_name(uid, login), None);
            assert_eq!(requester, Requester::Member { uid, login: login.map(ToOwned::to_owned) });
        }
        assert_eq!(Requester::from_name(&account_name(0, Some("toor")), None), Requester::Operator);
        assert_eq!(Requester::from_name("alice (uid 7)", Some(7)), Requester::Operator);
        assert_eq!(Requester::from_name("boot", None), Requester::Operator);
        for odd in ["alice", "", "uid x", "a (uid 1", "a (uid -1)"] {
            let no_account = Requester::Member { uid: u32::MAX, login: None };
            let found = Requester::from_name(odd, Some(0));
            assert!(matches!(found, Requester::Member { uid: u32::MAX, .. }), "{odd}: {found:?}");
            assert!(!no_account.is_user(Some("alice")));
        }
    }

    #[test]
    fn an_experiments_user_is_named_by_login_or_number() {
        let alice = Requester::from_name("alice (uid 1000)", None);
        assert!(alice.is_user(Some("alice")) && alice.is_user(Some("1000")));
        assert!(!alice.is_user(Some("bob")) && !alice.is_user(None) && !alice.is_user(Some("0")));
        assert!(!Requester::Operator.is_user(Some("root")));
    }
}
