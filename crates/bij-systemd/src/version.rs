//! What an older systemd cannot take.

/// The version of the systemd that a drop-in is for: `252`.
///
/// Directives that are too new need no version: systemd passes over them. What is told apart here it
/// takes, and then does harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SystemdVersion(pub u32);

impl SystemdVersion {
    /// The oldest that bij runs on: JetPack 5's, which is Ubuntu 20.04's.
    pub const OLDEST: Self = Self(245);

    /// Whether a process of `Type=exec` may die before its program is executed.
    ///
    /// Before 249 the manager then loses an event source if `ExecStopPost=` runs next, spins on it and
    /// answers nobody any more (seen on 247; <https://github.com/systemd/systemd/pull/20030>).
    pub(crate) const fn survives_failed_exec(self) -> bool {
        self.0 >= 249
    }

    /// Whether a unit with `DynamicUser=` may have a `UMask=` that leaves others nothing.
    ///
    /// 247 makes the way to the state directory inside the unit's mount namespace under that umask, and
    /// then its process may not go it (200/CHDIR). 252 does not. 250 was not tried.
    pub(crate) const fn makes_ways_for_its_users(self) -> bool {
        self.0 >= 251
    }
}
