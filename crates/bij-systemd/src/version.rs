//! Workarounds by systemd version.

/// The version of the systemd that will read a drop-in, such as `252`.
///
/// systemd ignores directives that it does not know, so these need no version check. The checks here are for
/// directives that an older systemd accepts and then handles wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SystemdVersion(pub u32);

impl SystemdVersion {
    /// The oldest supported version: that of JetPack 5, which is Ubuntu 20.04's.
    pub const OLDEST: Self = Self(245);

    /// Returns `true` if the manager survives a process of `Type=exec` that dies before its program is executed.
    ///
    /// Before 249 the manager then loses an event source if `ExecStopPost=` runs next, spins on it and
    /// stops answering (seen on 247; <https://github.com/systemd/systemd/pull/20030>).
    pub(crate) const fn survives_failed_exec(self) -> bool {
        self.0 >= 249
    }

    /// Returns `true` if a unit with `DynamicUser=` may have `UMask=0077`.
    ///
    /// 247 creates the parents of the state directory in the unit's mount namespace with that umask, and the
    /// unit's process cannot enter them (200/CHDIR). 252 does not; 250 was not tried.
    pub(crate) const fn can_umask_dynamic_users(self) -> bool {
        self.0 >= 251
    }
}
